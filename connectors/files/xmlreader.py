"""XML: records are elements of one name; strings, and lists as JSON text where siblings have one name."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final

import orjson
import polars as pl

from connectors.files.bypiece import ByPiece, nothing, table
from connectors.files.codes import Code
from connectors.files.names import Names
from connectors.files.places import Fault, Places, Span
from connectors.files.reader import Read
from connectors.files.table import Table
from connectors.files.transcode import transcoded
from connectors.files.xmljudge import XmlJudge, XmlOptions, XmlRow
from connectors.files.xmlspans import spans
from connectors.files.xmltemplate import Template, learn
from flows.core.files.pieces import Piece

DEFAULT: Final = XmlOptions()
_TOGETHER: Final = 16
"""Records that are tried at once where one of the piece is damaged."""


def reader(options: XmlOptions = DEFAULT, state: bytes = b"", goes_on: int = 0, encoding: str = "utf-8") -> ByPiece:
    """Make a `Reader` of XML records, which goes on from what `state` and `goes_on` of another said."""
    return ByPiece(transcoded(_Records(options, state), encoding), goes_on)


class _Records:
    """Reads pieces of records: by the template, as one document, or one by one; each gives what the last would give."""

    def __init__(self, options: XmlOptions, state: bytes) -> None:
        self._record = options.record.rpartition("/")[2].rpartition(":")[2]
        self._judge = XmlJudge(options)
        self._names = Names(state)
        self._template: Template | None = None
        self._alike = False
        """Whether most records of the last piece that was read one by one were written like the template."""

    def state(self) -> bytes:
        return self._names.state()

    def parse_all(self, pieces: Sequence[Piece]) -> Iterable[Read]:
        """Yield the rows of each piece."""
        return map(self.parse, pieces)

    def parse(self, piece: Piece) -> Read:
        if self._template is not None:
            return self._quick(piece) or self._exact(piece, self._spans(piece))
        found = self._spans(piece)
        if found:
            self._learn(piece.data[found[0].start : found[0].end])
        return self._quick(piece) or self._exact(piece, found)

    def _learn(self, record: bytes) -> None:
        """Learn from one record, so that those behind it need not be read exactly."""
        row = self._judge.row(record)
        if not isinstance(row, Fault) and self._names.admit(row):
            self._template = learn(record, row, self._judge.named)

    def _quick(self, piece: Piece) -> Read | None:
        template = self._template
        values = template and template.values(piece.data, piece.records)
        if not template or not values:
            return None
        held = dict(zip(template.columns, values, strict=True)) | dict.fromkeys(template.empty, [""] * piece.records)
        frame = pl.DataFrame({name: pl.Series(name, held.get(name) or [None] * piece.records, pl.String) for name in self._names})
        ordinals = range(piece.first, piece.first + piece.records)
        places = Places(piece, lambda: self._spans(piece) or (), ordinals)
        return Read(Table(frame, ordinals, places.row), [], piece.records)

    def _exact(self, piece: Piece, found: Sequence[Span] | None) -> Read:
        if found is None:
            return nothing(piece, [Span(0, len(piece.data))] * piece.records, Fault(Code.MISCOUNTED))
        texts = [piece.data[start:end] for start, end in found]
        rows: list[XmlRow] = []
        faults: dict[int, Fault] = {}
        example = b""
        for index, row in enumerate(self._judged(texts)):
            if isinstance(row, Fault) or not self._names.admit(row):
                faults[index] = row if isinstance(row, Fault) else Fault(Code.TOO_MANY_COLUMNS)
            else:
                rows.append(row)
                example = texts[index]
        if rows and not self._alike:
            self._template = learn(example, rows[-1], self._judge.named)
        places, ordinals, rejects = table(piece, found, faults)
        frame, fragments = _columns(self._names, rows)
        return Read(Table(frame, ordinals, places.row, fragments), rejects, len(found))

    def _judged(self, texts: Sequence[bytes]) -> list[XmlRow | Fault]:
        """Judge each record; those that are written like the template have gone the quick way already, one by one."""
        template = self._template
        known: list[XmlRow | None] = []
        for begin in range(0, len(texts), _TOGETHER):
            some = texts[begin : begin + _TOGETHER]
            known += _alike(template, some) if template else [None] * len(some)
        odd = [text for text, row in zip(texts, known, strict=True) if row is None]
        self._alike = 2 * len(odd) < len(texts)
        others = iter(self._judge.rows(odd) or [self._judge.row(text) for text in odd])
        return [next(others) if row is None else row for row in known]

    def _spans(self, piece: Piece) -> Sequence[Span] | None:
        return spans(piece, self._record)


def _alike(template: Template, texts: Sequence[bytes]) -> list[XmlRow | None]:
    """Return the values of records that are written like the template, all at once if all are."""
    data = b"".join(texts)
    behind = b"&" in data and any(b"&" in text[text.rfind(b"<") :] for text in texts)  # what stands behind a record is no value, but has to be XML
    together = None if behind else template.values(data, len(texts))
    if together is None:
        if len(texts) == 1:
            return [None]
        return list(chain.from_iterable(_alike(template, [text]) for text in texts))
    empty = dict.fromkeys(template.empty, "")
    return [dict(zip(template.columns, row, strict=True)) | empty for row in zip(*together, strict=True)]


def _columns(names: Names, rows: Sequence[XmlRow]) -> tuple[pl.DataFrame, frozenset[str]]:
    series: dict[str, pl.Series] = {}
    fragments = set()
    for name in names:
        values = [row.get(name) for row in rows]
        if any(isinstance(value, list) for value in values):
            fragments.add(name)
            values = [None if value is None else orjson.dumps(value).decode() for value in values]
        series[name] = pl.Series(name, values, pl.String)
    return pl.DataFrame(series) if series else pl.DataFrame(height=len(rows)), frozenset(fragments)
