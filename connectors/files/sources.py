"""Where the rows of a file come from: pieces that are handed in, or a file in a scratch directory."""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from connectors.files.anew import TOGETHER, following, standing, together
from connectors.files.bounds import Limits, wrong_format
from connectors.files.bypiece import nothing
from connectors.files.codes import Code
from connectors.files.formats import WHOLE, Source, cutter_of, reader_of, settle, whole_reader_of
from connectors.files.gather import Gatherer
from connectors.files.inflate import Compression, blocks
from connectors.files.lacking import Left
from connectors.files.places import Fault, Span
from connectors.files.reader import Read, Unreadable
from flows.core.files.pieces import TRUNCATED, Cutter, Piece
from flows.core.imports.portion import Portion
from flows.core.imports.source import LOOKS_LIKE

_NOT_BEGUN: Final = frozenset({"bad_header", "no_key_column", "not_an_array", "path_not_found"})
"""Codes of refusals before the first row."""

PORTION_BYTES: Final = 4 << 20
"""A file's portion is over with so many bytes of what goes out, however many rows were asked for: who publishes it holds it several times over, and it has to
fit a frame. About what becomes of a portion of pieces, whose rows do not name their columns yet."""


class State(NamedTuple):
    """What a portion leaves for the next."""

    settled: dict[str, Any]
    reader: bytes = b""
    cutter: bytes | None = None
    lacking: Left | None = None
    """What no row had up to there of the columns that the job speaks of; None: there was no row."""
    good: bool = False
    """Whether there was a good row."""

    def text(self) -> bytes:
        """Write it."""
        cut = b64encode(self.cutter).decode() if self.cutter is not None else None
        return orjson.dumps([self.settled, b64encode(self.reader).decode(), cut, self.lacking, self.good])

    @classmethod
    def of(cls, form: str, source: Source, state: bytes, sample: bytes) -> "State":
        """Read what `text` wrote; of nothing, begin with what the file's first bytes tell."""
        if not state:
            return cls(settle(form, source, sample))
        settled, reader, cut, lacking, good = orjson.loads(state)
        return cls(settled, b64decode(reader), b64decode(cut) if cut is not None else None, lacking, good)


class Pieces:
    """A file that comes piece by piece."""

    def __init__(self, form: str, begun: State, at: int, line: int, gatherer: Gatherer) -> None:
        """Go on at byte `at` of the file."""
        self._form, self._begun = form, begun
        self._reader = reader_of(form, begun.settled, begun.reader, at)
        self._gatherer = gatherer
        gatherer.lacking.go_on(begun.lacking)
        self._line = line

    def portion(self, pieces: Sequence[Piece], known: Sequence[bytes] = (), *, last: bool, torn: str = "") -> Portion:
        """Return what these pieces hold, which follow those before; `last`: none follow, and `torn` says why the file ends too early, if it does.

        `known`: the answers of the job's memory. Raises `Unreadable` where they are the last of a file without a good row, which is of another format.
        """
        with _of_another(self._begun.settled, self._form):
            self._gatherer.add(self._reader.read(pieces))
            if last:
                self._gatherer.add(self._reader.finish())
        if pieces and pieces[-1].line:
            self._line = pieces[-1].line + pieces[-1].data.count(b"\n")
        good, lacking = self._begun.good or self._gatherer.good, self._gatherer.lacking
        state = self._begun._replace(reader=self._reader.state(), lacking=lacking.left, good=good)
        failed = (TRUNCATED, torn) if last and torn else None
        made = self._gatherer.portion(self._reader.goes_on(), state.text(), self._line, known, over=last and failed is None)
        told = {**self._begun.settled, **lacking.told(over=last and failed is None)}
        return _of_its_format(made._replace(read_as=told, unreadable=failed), self._form, good=good)

    def again(self, rows: Sequence[Piece], known: Sequence[bytes] = ()) -> Portion:
        """Return what these rows are now, each a piece of its own that was turned away before; they need not follow one another."""
        self._gatherer.add(together([read for begin in range(0, len(rows), TOGETHER) for read in self._anew(rows[begin : begin + TOGETHER])]))
        return self._gatherer.portion(self._reader.goes_on(), self._begun.text(), self._line, known, over=True)

    def _anew(self, rows: Sequence[Piece]) -> list[Read]:
        """Read rows as if they followed one another, and one by one where that cannot be."""
        reads = [*self._reader.read(following(rows)), *self._reader.finish()]
        if sum(read.rows_read for read in reads) == len(rows):
            return [standing(read, rows) for read in reads]
        return [read for row in rows for read in self._alone(row)]

    def _alone(self, row: Piece) -> list[Read]:
        """Read one row; what is not one row where nothing stands around it, stays turned away."""
        reads = [*self._reader.read([row]), *self._reader.finish()]
        if sum(read.rows_read for read in reads) == 1:
            return reads
        return [nothing(row, [Span(0, len(row.data))], Fault(Code.MISCOUNTED))]


class Reread:
    """Rows of a format that is read as a whole: those that were turned away, as they were kept."""

    def __init__(self, begun: State, at: int, line: int, gatherer: Gatherer) -> None:
        """Take where reading the file stands, which stays as it is."""
        self._begun, self._at, self._line, self._gatherer = begun, at, line, gatherer
        gatherer.lacking.go_on(begun.lacking)

    def again(self, rows: Sequence[Piece], known: Sequence[bytes] = ()) -> Portion:
        """Return what these rows are now, as `Pieces.again` does."""
        from connectors.files.reread import reads  # noqa: PLC0415 - its library takes 30 MB and a tenth of a second, which other formats are spared

        self._gatherer.add(reads(rows))
        return self._gatherer.portion(self._at, self._begun.text(), self._line, known, over=True)


class File:
    """A file that lies in a scratch directory: of a format that is read as a whole, or compressed, or not cut yet."""

    def __init__(self, form: str, begun: State, at: int, path: Path, limits: Limits, gatherer: Gatherer, *, torn: bool = False) -> None:
        """Go on where a portion before ended; of a compressed file, `at` is a byte of what it comes to. `torn`: only the file's beginning is there."""
        self._torn = torn
        self._found: Mapping[str, str] = {}
        self._form, self._begun, self._path, self._limits, self._at = form, begun, path, limits, at
        self._gatherer = gatherer
        gatherer.lacking.go_on(begun.lacking)
        self._state, self._line = begun, 0
        self._tables = self._whole() if form in WHOLE else self._cut()

    def portion(self, most: int, known: Sequence[bytes] = ()) -> Portion:
        """Return about `most` rows, fewer where they are large; those before the place where the file cannot be read any further, with why.

        `known`: the answers of the job's memory. Raises `Unreadable` where there are no rows.
        """
        over, failed = False, None
        while not over and self._gatherer.rows < most and self._gatherer.size < PORTION_BYTES:
            try:
                with _of_another(self._begun.settled, self._form):
                    over = next(self._tables, None) is None
            except Unreadable as error:
                if not self._torn or error.code != TRUNCATED:
                    if not self._gatherer.rows:
                        raise
                    failed = (error.code, str(error))
                over = True
        good, lacking, ends = self._begun.good or self._gatherer.good, self._gatherer.lacking, over and failed is None
        made = self._gatherer.portion(self._at, self._state._replace(lacking=lacking.left, good=good).text(), self._line, known, over=ends)
        told = {**self._begun.settled, **self._found, **lacking.told(over=ends and not self._torn)}
        return _of_its_format(made._replace(read_as=told, unreadable=failed), self._form, good=good)

    def _whole(self) -> Iterator[bool]:
        compression = Compression(self._begun.settled.get("compression") or "none")
        path = self._path
        if compression is not Compression.NONE:
            path = path.with_suffix(".inflated")
            with path.open("wb") as file:
                file.writelines(blocks(self._path, compression, self._limits, member=self._begun.settled.get("member"), nested=self._form == "excel"))
        reader = whole_reader_of(self._form, self._begun.settled, self._limits, path.parent)
        for table, rejects, after in reader.tables(path, self._begun.reader or None):
            self._found = reader.found
            self._gatherer.add([Read(table, rejects, len(table.ordinals) + len({reject.ordinal for reject in rejects}))])
            self._state = self._begun._replace(reader=after)
            yield True
        self._at = self._path.stat().st_size

    def _cut(self) -> Iterator[bool]:
        source = self._begun.settled
        cut = cutter_of(self._form, source, self._begun.cutter)
        reader = reader_of(self._form, source, self._begun.reader, self._at)
        stream = blocks(self._path, Compression(source.get("compression") or "none"), self._limits, member=source.get("member"), at=self._at)
        held: list[Read] = []
        for pieces in _pieces(cut, stream, torn=self._torn):
            held += reader.read(pieces)
            if pieces and reader.goes_on() == pieces[-1].start + len(pieces[-1].data):
                self._gatherer.add(held)  # with the place behind them, so that no row is read twice
                held.clear()
                self._at, self._state = reader.goes_on(), State(source, reader.state(), cut.state())
                yield True
        if not self._torn:
            self._gatherer.add([*held, *reader.finish()])


def _of_its_format(made: Portion, form: str, *, good: bool) -> Portion:
    """Return a portion, unless it ends a file of which not one row is good, since it is of another format; raises `Unreadable`."""
    other = made.read_as.get(LOOKS_LIKE)
    if other is not None and made.over and not good:
        raise wrong_format(form, other)
    return made


@contextmanager
def _of_another(settled: Mapping[str, Any], form: str) -> Iterator[None]:
    """Have it said what format a file is of, where that is known and nothing of it can be read as the format that its job names."""
    try:
        yield
    except Unreadable as error:
        if error.code in _NOT_BEGUN and LOOKS_LIKE in settled:
            raise wrong_format(form, settled[LOOKS_LIKE]) from None
        raise


def _pieces(cut: Cutter, stream: Iterator[bytes], *, torn: bool) -> Iterator[list[Piece]]:
    for block in stream:
        yield cut.feed(block)
        if cut.refused is not None:
            break
    else:
        yield [] if torn else cut.finish()
    if cut.refused is not None:
        raise Unreadable(cut.refused.code, cut.refused.detail)
