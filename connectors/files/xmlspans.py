"""Where XML records stand in bytes, well-formed or not; in one pass, whatever the bytes are."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple

from connectors.files.places import Span
from flows.core.files.pieces import Piece

_NAME: Final = rb"""[^\s<>/!?"'=]+"""
_REST: Final = rb"""((?:[^<>"']|"[^"<]*"|'[^'<]*')*+)>"""
_FIRST: Final = re.compile(b"<(" + _NAME + b")" + _REST)
_HIDES: Final = re.compile(rb"<!--|<!\[CDATA\[|<\?")
_ENDS: Final = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<?": b"?>"}


class Tag(NamedTuple):
    """A tag of a record."""

    start: int
    end: int
    opens: bool
    closes: bool
    """An empty element does both."""


def spans(piece: Piece, record: str) -> list[Span] | None:
    """Return the bytes of each record, or None where there are not as many as were counted. A record without its end is everything up to the next one's begin.

    `record`: its name, without a prefix; empty: that of the first element.
    """
    hidden = list(_hidden(piece.data))
    tags = list(_tags(piece.data, record.encode() or _first(piece.data, hidden), hidden))
    nested = list(_nested(tags, len(piece.data)))
    if len(nested) == piece.records:
        return nested
    begins = [tag.start for tag in tags if tag.opens]
    if len(begins) == piece.records:
        return [Span(begin, end) for begin, end in zip(begins, [*begins[1:], len(piece.data)], strict=True)]
    return [Span(0, len(piece.data))] if piece.records == 1 else None  # damage is cut off as one record


def _nested(tags: list[Tag], end: int) -> Iterator[Span]:
    depth = begin = 0
    for tag in tags:
        if tag.opens:
            begin = begin if depth else tag.start
            depth += 1
        if tag.closes and depth:
            depth -= 1
            if not depth:
                yield Span(begin, tag.end)
    if depth:
        yield Span(begin, end)


def _first(data: bytes, hidden: list[Span]) -> bytes:
    found = next((match[1] for match in _FIRST.finditer(data) if not _within(match.start(), hidden)), b"")
    return found.rpartition(b":")[2]


def _tags(data: bytes, name: bytes, hidden: list[Span]) -> Iterator[Tag]:
    """Yield the tags of elements of this name, with whatever prefix."""
    for match in re.finditer(rb"""<(/?)(?:[^\s<>/!?"'=:]+:)?""" + re.escape(name) + rb"(?=[\s/>])" + _REST, data):
        if not hidden or not _within(match.start(), hidden):
            ends = match[1] == b"/"
            yield Tag(match.start(), match.end(), not ends, ends or match[2].endswith(b"/"))


def _within(at: int, hidden: list[Span]) -> bool:
    index = bisect_right(hidden, at, key=lambda span: span.start)
    return index > 0 and at < hidden[index - 1].end


def _hidden(data: bytes) -> Iterator[Span]:
    """Yield comments, CDATA and instructions; one of those that nothing ends is text."""
    endless: set[bytes] = set()
    at = 0
    while match := _HIDES.search(data, at):
        at = match.end()
        end = _ENDS[match[0]]
        found = -1 if end in endless else data.find(end, at)
        if found < 0:
            endless.add(end)  # nor will one that comes later be ended: looked for once
        elif match[0] != b"<!--" or data.find(b"<!--", at, found) < 0:  # one with another in it was not ended: it is text
            at = found + len(end)
            yield Span(match.start(), at)
