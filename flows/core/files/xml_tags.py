"""The markup of an XML file, token by token: linear, and going on anywhere; a parser judges whether it is sound."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

_MARKUP: Final = re.compile(
    rb"<(?:(!--)|(!\[CDATA\[)|(\?)|(!)|(/?)([^\s<>/=\"'&!?]++)((?:[^<>\"']|\"[^\"<]*+\"|'[^'<]*+')*+)>)",
)
"""A tag has no `<` in it, so that one that was not closed ends at the next."""
_ENDS: Final = {1: b"-->", 2: b"]]>", 3: b"?>"}
_LONGEST: Final = 64 * 1024
_COMMENTS: Final = re.compile(rb"<!--.*?-->|<\?.*?\?>", re.DOTALL)
_NAMESPACE: Final = re.compile(rb"\sxmlns(?::[^\s=]+)?\s*=\s*(?:\"[^\"]*+\"|'[^']*+')")


class Tag(NamedTuple):
    """One tag."""

    start: int
    end: int
    name: bytes
    opens: bool
    closes: bool
    """With `opens`: it is empty."""
    attributes: bytes


class Skip(NamedTuple):
    """This much holds no tag; with `until`, a comment, CDATA or instruction has begun that goes on to it."""

    end: int
    until: bytes = b""


class Doctype(NamedTuple):
    """A declaration that is not read."""

    start: int


def token(data: bytes, at: int, *, final: bool) -> Tag | Skip | Doctype | None:
    """Return the next tag, or how far there is none; None: more has to come."""
    start = data.find(b"<", at)
    if start < 0:
        return Skip(len(data)) if len(data) > at else None
    found = _MARKUP.match(data, start)
    if found is None or found.end() - start > _LONGEST:
        return _broken(data, at, start, final=final or found is not None)
    if found.lastindex and found.lastindex <= 3:  # noqa: PLR2004  the groups of `_ENDS`
        return Skip(found.end(), _ENDS[found.lastindex])
    if found[4]:
        if not final and len(data) - start < len(b"<![CDATA["):
            return Skip(start) if start > at else None
        return Doctype(start) if data[start : start + 9].upper() == b"<!DOCTYPE" else Skip(start + 2)
    empty = found[7].endswith(b"/")
    return Tag(start, found.end(), found[6], not found[5], bool(found[5]) or empty, found[7].removesuffix(b"/"))


def _broken(data: bytes, at: int, start: int, *, final: bool) -> Skip | None:
    """Go over a `<` that begins no tag, once it is sure that it does not."""
    again = data.find(b"<", start + 1)
    if again >= 0 or final or len(data) - start > _LONGEST:
        return Skip(start + 1)
    return Skip(start) if start > at else None


def until(data: bytes, at: int, sign: bytes) -> tuple[int, bool]:
    """Go on to the end of a comment, CDATA or instruction; return how far, and whether it was there."""
    end = data.find(sign, at) if sign else at
    return (end + len(sign), True) if end >= 0 else (max(at, len(data) - len(sign) + 1), False)


def namespaces(attributes: bytes) -> bytes:
    """Return the declarations of namespaces among attributes, as they stand."""
    return b"".join(found[0] for found in _NAMESPACE.finditer(attributes))


def local(name: bytes) -> bytes:
    """Return a name without its prefix."""
    return name.rpartition(b":")[2]


def first_path(data: bytes) -> list[bytes]:
    """Return the names of the root and of the first element in it, without prefixes: fewer where these bytes do not tell."""
    names: list[bytes] = []
    for tag in _tags(data):
        if tag.opens:
            names.append(local(tag.name))
        if len(names) == 2 or tag.closes or not tag.opens:  # noqa: PLR2004  the root and an element in it
            break
    return names


def root_alone(data: bytes) -> bytes | None:
    """Return the name of the root of a file in which nothing else is but white space and comments; None: it is not closed, or more is in it."""
    tags = [*islice(_tags(data), 3)]
    if not tags or not tags[0].opens:
        return None
    within = b"" if tags[0].closes else data[tags[0].end : tags[-1].start]
    alone = len(tags) == 1 if tags[0].closes else len(tags) == 2 and not tags[1].opens and tags[1].name == tags[0].name  # noqa: PLR2004  start and end
    return local(tags[0].name) if alone and not _COMMENTS.sub(b"", within).strip() else None


def _tags(data: bytes) -> Iterator[Tag]:
    """Yield the tags that these bytes have for certain, up to a DOCTYPE."""
    at = 0
    while (found := token(data, at, final=False)) is not None and not isinstance(found, Doctype):
        at = found.end
        if isinstance(found, Tag):
            yield found
            continue
        at, done = until(data, at, found.until)
        if not done:
            return
