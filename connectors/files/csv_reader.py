"""CSV, at two speeds: by Polars, many pieces at once; and where that could be wrong, piece by piece with the tokenizer that says what a row is.

Every column is text. An empty field is null, one in quotes the empty string; white space is kept. Empty lines and comments are no rows. A column whose name is
empty or was there already gets one of its own. Rows of another number of fields are rejects, or with `fill` those that are too short end in nulls.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, count, pairwise
from typing import Final, NamedTuple

import orjson
import polars as pl

from connectors.files.csv_fast import Damage, Parsed, parse, sound
from connectors.files.csv_lines import able, fault
from connectors.files.csv_places import Chunk, places
from connectors.files.reader import AT_ONCE, Read, Unreadable
from connectors.files.table import Table
from flows.core.files.csv_dialect import Dialect
from flows.core.files.csv_rows import LINE_END
from flows.core.files.pieces import Part, Piece
from flows.core.files.rejects import RAW_BYTES, VALUE_CHARS, Reject
from flows.core.files.units import bom, shadow
from flows.core.imports.source import MOST_COLUMNS

_NO_HEADER: Final = "source_config.header to false and name the columns in source_config.columns"
_DIALECT: Final = "source_config.delimiter and source_config.quote"


class CsvReader:
    """Reads one file, as `connectors.files.reader.Reader` says."""

    def __init__(self, dialect: Dialect, columns: Sequence[str] = (), *, fill: bool = False, state: bytes = b"") -> None:
        """Begin, or go on from a state. Columns that are given are named so whatever the header says. Raises `BadRequest` for a dialect that means nothing."""
        self._dialect = dialect
        self._able = able(dialect)
        self._damaged = False
        """Whether the last rows were: then the next are not thought to be sound."""
        self._fill = fill
        self._names: list[str] = orjson.loads(state) if state else unique(columns)
        self._header = dialect.header and not state
        self._begun: list[Piece] = []
        self._held = 0
        self._at = 0

    def state(self) -> bytes:
        """Return the names of the columns; none: they are not known yet."""
        return b"" if self._header or not self._names else orjson.dumps(self._names)

    def goes_on(self) -> int:
        """Return where the first piece begins that was not read to its end."""
        return self._begun[0].start if self._begun else self._at

    def finish(self) -> Iterator[Read]:
        """Yield what is left: a record whose last piece never came."""
        if self._begun:
            yield from self._part(self._begun[-1]._replace(data=b"", part=Part.END))

    def read(self, pieces: Sequence[Piece]) -> Iterator[Read]:
        """Yield tables of `AT_ONCE` bytes at most."""
        together: list[Chunk] = []
        size = 0
        for piece in pieces:
            if together and (piece.part is not Part.RECORDS or size + len(piece.data) > AT_ONCE):
                yield self._rows(together)
                together, size = [], 0
            self._at = piece.start + len(piece.data)
            if piece.part is not Part.RECORDS:
                yield from self._part(piece)
                continue
            together.append(self._chunk(piece))
            size += len(piece.data)
        if together:
            yield self._rows(together)

    def _part(self, piece: Piece) -> Iterator[Read]:
        """Put the pieces of one record together, as long as it is not too long, and yield it behind its last."""
        if self._held <= self._dialect.longest_row:
            self._begun.append(piece)
        self._held += len(piece.data)
        if piece.part is not Part.END:
            return
        whole = self._begun[0]._replace(data=b"".join(part.data for part in self._begun), records=1)
        held, too_long = self._held, self._held > self._dialect.longest_row
        self._begun, self._held = [], 0
        if too_long:
            if self._header:
                raise Unreadable("bad_header", f"The header is longer than {self._dialect.longest_row} bytes: check {_DIALECT}.")
            reject = Reject(whole.first, whole.line, whole.start, "", "record_too_long", _at_most(self._dialect), str(held), whole.data[:RAW_BYTES])
            yield Read(self._tabled([], [], []), [reject], 1)
        else:
            yield self._rows([self._chunk(whole, alone=True)])

    def _chunk(self, piece: Piece, *, alone: bool = False) -> Chunk:
        """Return a piece without byte order mark and header; the names of the columns come from its first row, if they are not known."""
        data, start, line = piece.data, piece.start, piece.line
        mark = bom(self._dialect.grammar.encoding)
        if start == 0 and mark and data.startswith(mark):
            data, start = data[len(mark) :], len(mark)
        if self._header or not self._names:
            chunk = Chunk(data, start, line, piece.first, piece.records, self._dialect, alone=alone)
            begin = next((row for row in chunk.rows() if self._header or not row.code), None)
            if begin and not self._names:
                _few(begin.fields)
                self._names = unique(begin.fields if self._header else [""] * len(begin.fields))
            if begin and self._header:
                if begin.code:
                    sentence = f"The header, in line {begin.line}, cannot be read ({begin.code}): mend it, or set {_NO_HEADER}."
                    raise Unreadable("bad_header", sentence)
                behind = begin.end - start
                line += len(LINE_END.findall(shadow(data[:behind], self._dialect.grammar.encoding)))
                data, start, self._header = data[behind:], begin.end, False
        return Chunk(data, start, line, piece.first, piece.records, self._dialect, alone=alone)

    def _rows(self, chunks: list[Chunk]) -> Read:
        """Return the rows of chunks that follow one another."""
        whole = self._at_once(chunks)
        if whole:
            chunks = [whole.chunk]
        frames: list[pl.DataFrame] = []
        ordinals: list[Sequence[int]] = []
        rejects: list[Reject] = []
        for chunk in chunks:
            frame, damages = whole.parsed if whole else self._closely(chunk)
            frames.append(frame)
            ordinals.append(_numbered(chunk.first, frame.height, damages))
            rejects += [_reject(chunk, damage, len(self._names)) for damage in damages]
        return Read(self._tabled(chunks, frames, ordinals), rejects, sum(map(len, ordinals)) + len(rejects))

    def _at_once(self, chunks: list[Chunk]) -> "_Whole | None":
        """Return all rows of chunks by one call of Polars; None: that is not certain to be right."""
        fit = all(chunk.data.endswith(b"\n") and chunk.first + chunk.records == behind.first for chunk, behind in pairwise(chunks))
        if not self._able or not self._names or not fit or not all(chunk.plain for chunk in chunks):
            return None
        first = chunks[0]
        records = sum(chunk.records for chunk in chunks)
        data = b"".join(chunk.data for chunk in chunks)
        ends = tuple(accumulate(len(chunk.data) for chunk in chunks[:-1]))
        parsed = None if self._damaged else sound(data, self._names, self._dialect, fill=self._fill)
        parsed = parsed or parse(data, self._names, self._dialect, fill=self._fill, ends=ends)
        self._damaged = parsed is None or bool(parsed.damages)
        if parsed is None or parsed.frame.height + len(parsed.damages) != records:
            return None
        return _Whole(Chunk(data, first.start, first.line, first.first, records, self._dialect), parsed)

    def _closely(self, chunk: Chunk) -> Parsed:
        """Return the rows of one chunk that are sound, and those that are not."""
        if self._able and self._names and chunk.plain:
            parsed = parse(chunk.data, self._names, self._dialect, fill=self._fill)
            if parsed:
                return parsed
        columns = len(self._names)
        whole, damages = [], []
        for number, row in enumerate(chunk.rows()):
            if code := fault(row, columns, fill=self._fill):
                damages.append(Damage(number, row.start - chunk.start, row.end - chunk.start, row.line - chunk.line, code, len(row.fields)))
            else:
                read = [text if text or quoted else None for text, quoted in zip(row.fields, row.quoted, strict=True)]
                whole.append((*read, *[None] * (columns - len(read))))
        return Parsed(self._frame(whole), damages)

    def _tabled(self, chunks: list[Chunk], frames: list[pl.DataFrame], ordinals: list[Sequence[int]]) -> Table:
        """Return frames as one table."""
        frame = pl.concat(frames, rechunk=False) if len(frames) > 1 else frames[0] if frames else self._frame([])
        numbers = ordinals[0] if len(ordinals) == 1 else list(chain.from_iterable(ordinals))
        return Table(frame, numbers, places(chunks, numbers))

    def _frame(self, sound: list[tuple[str | None, ...]]) -> pl.DataFrame:
        """Return rows as a frame."""
        return pl.DataFrame(sound, schema=dict.fromkeys(self._names, pl.String), orient="row")


def unique(names: Sequence[str]) -> list[str]:
    """Return names for columns, each another: `column_3` for one that has none, `name_2` for a second of the same name."""
    taken: dict[str, None] = {}
    given = set(names)
    for number, name in enumerate(names, 1):
        wanted = name or f"column_{number}"
        tries = chain([wanted], (f"{wanted}_{again}" for again in count(2)))
        free = next(one for one in tries if one not in taken and (one == name or one not in given))
        taken[free] = None
    return list(taken)


class _Whole(NamedTuple):
    """Chunks as one, and what was read of it."""

    chunk: Chunk
    parsed: Parsed


def _numbered(first: int, height: int, damages: list[Damage]) -> Sequence[int]:
    """Return the ordinals of the rows between those that are damaged."""
    if not damages:
        return range(first, first + height)
    total = first + height + len(damages)
    begins = [first, *(first + damage.row + 1 for damage in damages)]
    ends = [*(first + damage.row for damage in damages), total]
    return list(chain.from_iterable(map(range, begins, ends)))


def _few(names: Sequence[str]) -> None:
    """Raise `Unreadable` for more columns than a table can have."""
    if len(names) > MOST_COLUMNS:
        raise Unreadable(
            "too_many_columns",
            f"The first row has {len(names):,} columns, and {MOST_COLUMNS:,} are the most: check source_config.delimiter, or drop those that are not needed.",
        )


def _reject(chunk: Chunk, damage: Damage, columns: int) -> Reject:
    """Return a damaged row of a table of so many columns as what an import turns away."""
    raw = chunk.data[damage.start : min(damage.end, damage.start + RAW_BYTES)]
    rule, value = _why(chunk, damage, raw, columns)
    return Reject(chunk.first + damage.row, chunk.line + damage.lines, chunk.start + damage.start, "", damage.code, rule, value, raw)


def _why(chunk: Chunk, damage: Damage, raw: bytes, columns: int) -> tuple[str, str]:
    """Return what was expected of a damaged row, and what stands there: how many columns it has, the field that is no text, or how it begins."""
    if damage.code in {"too_few_columns", "too_many_columns"}:
        return f"{columns} column{'s' * (columns != 1)}", str(damage.fields)
    dialect = chunk.dialect
    if damage.code == "record_too_long":
        return _at_most(dialect), str(damage.end - damage.start)
    text = raw.decode(dialect.grammar.encoding, "replace").rstrip("\r\n")
    sign = {"nul_byte": "\0", "invalid_encoding": "\ufffd"}.get(damage.code)
    if sign is not None and (at := text.find(sign)) >= 0:
        text = text[:at].rpartition(dialect.delimiter)[2] + text[at:].partition(dialect.delimiter)[0]
    return "", text[:VALUE_CHARS]


def _at_most(dialect: Dialect) -> str:
    return f"at most {dialect.longest_row} bytes"
