"""What a workbook says of itself: its sheets, which styles are dates, which calendar it counts by, where its strings lie."""

import posixpath
import re
from collections.abc import Callable, Iterator
from datetime import date
from enum import StrEnum
from typing import Any, Final, NamedTuple
from xml.parsers import expat

from connectors.files.archive import Archive, listed
from connectors.files.bounds import Limits, refusal

_BLOCK_BYTES: Final = 256 * 1024
_QUOTED: Final = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)
"""What a format shows as it is: texts, room, colours, conditions; not hours past a day."""


class Kind(StrEnum):
    """What the number in a cell stands for, by its style."""

    NUMBER = "number"
    DATE = "date"
    TIME = "time"
    MOMENT = "moment"


_BUILT_IN: Final = {
    **dict.fromkeys((14, 15, 16, 17, *range(27, 32), 34, 35, 36, *range(50, 55), 57, 58), Kind.DATE),
    **dict.fromkeys((18, 19, 20, 21, 32, 33, 45, 47, 55, 56), Kind.TIME),
    22: Kind.MOMENT,
}
"""Formats that have a number and no text (ECMA-376 part 1, 18.8.30)."""


class Book(NamedTuple):
    """A workbook."""

    sheets: dict[str, str]
    """Each sheet's name and the member that holds it, in order."""
    hidden: frozenset[str]
    kinds: list[Kind]
    """What the numbers of each style stand for."""
    epoch: date
    """Day 0."""
    strings: str
    """The member with the shared strings; empty: there are none."""

    def sheet(self, wish: str | int | None) -> str:
        """Return the sheet of that name, or of that number from 1; None: the first that can be seen. Raises `Unreadable`."""
        names = list(self.sheets)
        if wish is None:
            seen = [name for name in names if name not in self.hidden]
            if not seen:
                raise refusal("no_sheet", what=listed(names))
            return seen[0]
        if isinstance(wish, int) and 1 <= wish <= len(names):
            return names[wish - 1]
        if wish not in self.sheets:
            raise refusal("no_such_sheet", where=repr(wish), what=listed(names))
        return str(wish)


def read_book(archive: Archive, limits: Limits) -> Book:
    """Read what the workbook says of itself; its sheets are not touched. Raises `Unreadable`."""
    main = next((part.removeprefix("/") for kind, part in _relations(archive, "", limits).values() if kind == "officeDocument"), "xl/workbook.xml")
    if main not in archive.members:
        what = "it is a zip archive without a workbook" if "mimetype" not in archive.members else "it looks like an OpenDocument file"
        raise refusal("not_excel", what=what)
    relations = _relations(archive, main, limits)
    sheets: dict[str, str] = {}
    hidden: set[str] = set()
    epoch = date(1899, 12, 30)
    for tag, attributes in _elements(archive, main, limits):
        if tag == "workbookPr" and attributes.get("date1904", "0") in {"1", "true"}:
            epoch = date(1904, 1, 1)
        if tag == "sheet":
            kind, part = relations.get(attributes.get("id", ""), ("", ""))
            if kind == "worksheet" and part in archive.members:
                sheets[attributes.get("name", "")] = part
                if attributes.get("state", "visible") != "visible":
                    hidden.add(attributes.get("name", ""))
    parts = {kind: part for kind, part in relations.values() if part in archive.members}
    kinds = _kinds(archive, parts["styles"], limits) if "styles" in parts else []
    return Book(sheets, frozenset(hidden), kinds, epoch, parts.get("sharedStrings", ""))


def _relations(archive: Archive, part: str, limits: Limits) -> dict[str, tuple[str, str]]:
    """Return what a part refers to: by id, the last word of its kind and the member."""
    folder, name = posixpath.split(part)
    listing = posixpath.join(folder, "_rels", f"{name}.rels")
    if listing not in archive.members:
        return {}
    return {
        attributes.get("Id", ""): (
            attributes.get("Type", "").rsplit("/", 1)[-1],
            posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", "")))[1:],
        )
        for tag, attributes in _elements(archive, listing, limits)
        if tag == "Relationship" and attributes.get("TargetMode") != "External"
    }


def _kinds(archive: Archive, part: str, limits: Limits) -> list[Kind]:
    """Return what the numbers of each style stand for."""
    own: dict[str, Kind] = {}
    kinds: list[Kind] = []
    inside = False
    for tag, attributes in _elements(archive, part, limits):
        if tag == "numFmt":
            own.setdefault(attributes.get("numFmtId", ""), kind_of(attributes.get("formatCode", "")))
        if tag in {"cellStyleXfs", "cellXfs", "cellStyles", "dxfs"}:
            inside = tag == "cellXfs"
        if tag == "xf" and inside:
            number = attributes.get("numFmtId", "0")
            kinds.append(own.get(number) or _BUILT_IN.get(int(number) if number.isdecimal() else 0, Kind.NUMBER))
    return kinds


def kind_of(code: str) -> Kind:
    """Return what a number in a format of this code stands for. Hours past a day (`[h]:mm`) are a number of days."""
    letters = re.sub(r"(s\]?)\.0+", r"\1", _QUOTED.sub("", code.split(";", 1)[0]).lower()).strip()
    if letters == "general" or re.search(r"[0#?]", letters):
        return Kind.NUMBER
    if re.search(r"\[[hms]+\]", letters):
        return Kind.NUMBER
    day, hour = re.search(r"[dyeg]", letters), re.search(r"[hs]", letters)
    if day or (not hour and "m" in letters):
        return Kind.MOMENT if hour else Kind.DATE
    return Kind.TIME if hour else Kind.NUMBER


def _elements(archive: Archive, part: str, limits: Limits) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each element of a small part: its name and attributes without prefixes."""
    found: list[tuple[str, dict[str, str]]] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        found.append((tag.rpartition(":")[2], {name.rpartition(":")[2]: value for name, value in attributes.items()}))

    size = 0
    with_parser = parser(f"The part {part}", start)
    for _, block in archive.stream(part, _BLOCK_BYTES):
        size += len(block)
        if size > limits.part_bytes:
            raise refusal("part_too_large", where=f"The part {part}", limit=limits.part_bytes)
        _feed(with_parser, block, part)
        yield from found
        found.clear()
    _feed(with_parser, b"", part, final=True)


def _feed(reader: expat.XMLParserType, block: bytes, part: str, *, final: bool = False) -> None:
    try:
        reader.Parse(block, final)
    except expat.ExpatError as error:
        raise refusal("damaged", where=f"in the part {part}", what=str(error)) from None


def parser(where: str, start: Callable[[str, dict[str, str]], Any]) -> expat.XMLParserType:
    """Return a parser that refuses every document type: entities have no other place to come from."""

    def refuse(*_: object) -> None:
        raise refusal("forbidden_markup", where=where)

    made = expat.ParserCreate()
    made.StartElementHandler = start
    made.StartDoctypeDeclHandler = refuse
    made.EntityDeclHandler = refuse
    made.buffer_text = True
    return made
