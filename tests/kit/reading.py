"""Files put through the process that reads them, as an upload and a job do, without a broker between: cut, opened, read portion by portion."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from connectors.files.bounds import Limits
from connectors.files.child import Session
from flows.core.files.frames import Frame
from flows.core.files.guess import SAMPLE, Cut, guess
from flows.core.files.pieces import Piece, Refusal
from flows.core.files.rejects import Reject
from flows.core.imports.opening import opening
from flows.core.imports.portion import Portion

BLOCK: Final = 256 * 1024
PORTION_BYTES: Final = 4 << 20
ROWS: Final = 64_000
FILE: Final = "ab" * 32


class Asked(Protocol):
    """The process that reads files."""

    def ask(self, head: dict[str, Any], parts: Sequence[bytes] = ()) -> Frame:
        """Return its answer."""
        ...


class Here:
    """What answers in that process, in this one."""

    def __init__(self) -> None:
        """Begin with no file."""
        self._session = Session(Limits())

    def ask(self, head: dict[str, Any], parts: Sequence[bytes] = ()) -> Frame:
        """Return the answer to a message."""
        return self._session.answer(Frame(head, tuple(parts)))


class Outcome(NamedTuple):
    """What became of a file."""

    rows_read: int
    good: int
    skipped: int
    values: list[bytes]
    rejects: list[Reject]
    refused: tuple[str, str] | None
    """Code and sentence."""
    read_as: dict[str, Any]

    @property
    def rejected(self) -> int:
        """How many rows were turned away."""
        return len({reject.ordinal for reject in self.rejects})


def read_through(child: Asked, data: bytes, data_format: str, scratch: Path, *, name: str = "", kept: int = 1000, **source: Any) -> Outcome:
    """Read a file as a job does whose `source_config` has `source`; keeps the first values only."""
    cut = guess(data[:SAMPLE], name)
    pieces, refused = _cut(data, cut)
    if refused is not None and not refused.torn:
        return Outcome(0, 0, 0, [], [], (refused.code, refused.detail), {})
    torn = refused.torn if refused is not None else ""
    portions: list[Portion] = []
    if cut.serves(data_format, source):
        head = _opening(data_format, cut.source(source), None)
        asked = _portions(pieces, torn)
    else:
        path = scratch / "file"
        path.write_bytes(data)
        head = _opening(data_format, source, path)
        asked = _rows(portions)
    answer = child.ask(head, (b"", data[:BLOCK]))
    failed = _refused(answer.head)
    while failed is None and (message := next(asked, None)) is not None:
        answer = child.ask(*message)
        failed = _refused(answer.head)
        if failed is None:
            found = Portion.unpack(answer.parts[0])
            portions.append(found._replace(values=found.values[:kept]))
            failed = found.unreadable
    values = [value for portion in portions for value in portion.values][:kept]
    rejects = [reject for portion in portions for reject in portion.rejects]
    read_as = dict(portions[0].read_as) if portions else {}
    return Outcome(
        sum(one.rows_read for one in portions), sum(one.good for one in portions), sum(one.skipped for one in portions), values, rejects, failed, read_as
    )


def _cut(data: bytes, cut: Cut) -> tuple[list[Piece], Refusal | None]:
    cutter = cut.cutter()
    pieces = [piece for at in range(0, len(data), BLOCK) for piece in cutter.feed(data[at : at + BLOCK])]
    pieces += cutter.finish()
    return pieces, cutter.refused


def _opening(data_format: str, source: dict[str, Any], path: Path | None) -> dict[str, Any]:
    job = {"data_format": data_format, "transformation_rules": {}, "rows_per_record": 1, "key_columns": []}
    asked = {"job": {"definition": job}, "sha256": FILE, "most_bytes": 66 << 20, "at": 0, "line": 1, "ordinal": 0}
    return opening(asked, source, path)


def _portions(pieces: list[Piece], torn: str) -> Iterator[tuple[dict[str, Any], tuple[bytes, ...]]]:
    at = 0
    while True:
        size, begin = 0, at
        while at < len(pieces) and size < PORTION_BYTES:
            size, at = size + len(pieces[at].data), at + 1
        group, last = pieces[begin:at], at == len(pieces)
        places = [[piece.start, piece.line, piece.first, piece.records, piece.part] for piece in group]
        yield {"kind": "pieces", "places": places, "last": last, "torn": torn}, tuple(piece.data for piece in group)
        if last:
            return


def _rows(portions: list[Portion]) -> Iterator[tuple[dict[str, Any], tuple[bytes, ...]]]:
    while not portions or not portions[-1].over:
        yield {"kind": "rows", "most": ROWS}, ()


def _refused(head: dict[str, Any]) -> tuple[str, str] | None:
    return (head["code"], head["detail"]) if head["kind"] == "failed" else None
