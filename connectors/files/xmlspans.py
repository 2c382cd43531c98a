"""Where XML records stand in bytes, well-formed or not; in one pass, whatever the bytes are."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from connectors.files.places import Span
from flows.core.files.pieces import Piece

_TAG: Final = re.compile(rb"""<(/?)([^\s<>/!?"'=]+)((?:[^<>"']|"[^"<]*"|'[^'<]*')*+)>""")
_CLOSED: Final = ((b"<!--", b"-->"), (b"<![CDATA[", b"]]>"), (b"<?", b"?>"))


class Tag(NamedTuple):
    """A tag of an element."""

    start: int
    end: int
    name: bytes
    opens: bool
    closes: bool
    """An empty element does both."""


def spans(piece: Piece, record: str) -> list[Span] | None:
    """Return the bytes of each record, or None where there are not as many as were counted. A record without its end is everything up to the next one's begin.

    `record`: its name, without a prefix; empty: that of the first element.
    """
    tags = list(_tags(piece.data))
    name = record.encode() or next((local(tag.name) for tag in tags if tag.opens), b"")
    nested = list(_nested(tags, name, len(piece.data)))
    if len(nested) == piece.records:
        return nested
    begins = [tag.start for tag in tags if tag.opens and local(tag.name) == name]
    if len(begins) == piece.records:
        return [Span(begin, end) for begin, end in zip(begins, [*begins[1:], len(piece.data)], strict=True)]
    return [Span(0, len(piece.data))] if piece.records == 1 else None  # damage is cut off as one record


def local(name: bytes) -> bytes:
    """Return a name without its prefix."""
    return name.rpartition(b":")[2]


def _nested(tags: list[Tag], name: bytes, end: int) -> Iterator[Span]:
    depth = begin = 0
    for tag in tags:
        if local(tag.name) != name:
            continue
        if tag.opens:
            begin = begin if depth else tag.start
            depth += 1
        if tag.closes and depth:
            depth -= 1
            if not depth:
                yield Span(begin, tag.end)
    if depth:
        yield Span(begin, end)


def _tags(data: bytes) -> Iterator[Tag]:
    """Yield the tags outside of comments, CDATA and instructions; one of those that nothing ends is text."""
    endless: set[bytes] = set()
    at = data.find(b"<")
    while at >= 0:
        step = at + 1
        if match := _TAG.match(data, at):
            step = match.end()
            ends = match[1] == b"/"
            yield Tag(at, step, match[2], not ends, ends or match[3].endswith(b"/"))
        else:
            for begin, end in _CLOSED:
                if end not in endless and data.startswith(begin, at):
                    found = data.find(end, at + len(begin))
                    if found < 0:
                        endless.add(end)  # nor will one that comes later be ended: looked for once
                    else:
                        step = found + len(end)
        at = data.find(b"<", step)
