"""A process that reads one file for a worker: frames come in, frames go out, each is answered by one `done` or one `failed`.

In: `open` (`format`, `options`, `state`, `output`), then `pieces` (one part each, places in the head), at last `end`.
Out: for each table a `portion`: rows read, accepted and skipped, where to go on, rejects; parts: values, keys, ids and the raw bytes
of the rejects, each as `frames.pack` makes them (two parts), and the reader's state.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, Final

from connectors.files.csv_reader import CsvReader
from connectors.files.encode import Output, Shape, encode, expressible
from connectors.files.plan import AsRead, Plan
from connectors.files.reader import Read, Reader, Unreadable
from flows.core.errors import BadRequest
from flows.core.files.csv_rows import Dialect
from flows.core.files.frames import Frame, pack, read, write
from flows.core.files.pieces import Part, Piece

Opener = Callable[[dict[str, Any], bytes], Reader]
"""Makes a reader of a job's options and a state."""


def open_csv(options: dict[str, Any], state: bytes) -> Reader:
    """Return a reader of CSV; raise `BadRequest` for options that mean nothing."""
    return CsvReader(Dialect(**options.get("dialect", {})), options.get("columns", ()), fill=options.get("ragged") == "fill", state=state)


READERS: Final[Mapping[str, Opener]] = {"csv": open_csv}


class Session:
    """One file, from `open` to `end`."""

    def __init__(self, readers: Mapping[str, Opener], compiled: Callable[[dict[str, Any]], Plan]) -> None:
        """`compiled` makes a plan of a job's rules."""
        self._readers = readers
        self._compiled = compiled
        self._reader: Reader | None = None
        self._plan: Plan = AsRead()
        self._output = Output("")

    def answer(self, frame: Frame) -> Iterator[Frame]:
        """Yield the answers to one message. What is wrong with the job or its file is said in a `failed`; anything else that is raised is a bug."""
        try:
            yield from self._answers(frame)
        except BadRequest as exc:
            yield Frame({"kind": "failed", "code": "bad_options", "detail": str(exc)})
        except Unreadable as exc:
            yield Frame({"kind": "failed", "code": exc.code, "detail": str(exc)})
        else:
            yield Frame({"kind": "done"})

    def _answers(self, frame: Frame) -> Iterator[Frame]:
        """Yield the portions."""
        kind = frame.head.get("kind")
        if kind == "open":
            self._open(frame)
        elif self._reader is None or kind not in ("pieces", "end"):
            raise BadRequest(f"A message {kind!r} was not expected here.")
        elif kind == "end":
            yield from (self._portion(one) for one in self._reader.finish())
        else:
            places = zip(frame.head["places"], frame.parts, strict=True)
            pieces = [Piece(start, data, line, first, records, Part(part)) for (start, line, first, records, part), data in places]
            yield from (self._portion(one) for one in self._reader.read(pieces))

    def _open(self, frame: Frame) -> None:
        """Take a job."""
        head = frame.head
        opener = self._readers.get(head["format"])
        if opener is None:
            raise BadRequest(f"There is no reader of {head['format']!r}; there are {', '.join(sorted(self._readers))}.")
        self._reader = opener(head.get("options", {}), frame.parts[0] if frame.parts else b"")
        self._plan = self._compiled(head.get("rules", {}))
        out = head["output"]
        self._output = Output(out["file"], Shape(out.get("shape", "row")), out.get("rows_per_record", 1), tuple(out.get("key_columns", ())))

    def _portion(self, got: Read) -> Frame:
        """Return what was made of one table."""
        assert self._reader is not None  # noqa: S101 - `_answers` saw to it
        sifted = expressible(got.table, self._plan.apply(got.table))
        encoded = encode(sifted, got.table.ordinals, self._output)
        rejects = [*got.rejects, *sifted.rejects]
        head = {
            "kind": "portion",
            "rows_read": got.rows_read,
            "rows_accepted": sifted.frame.height,
            "rows_skipped": sifted.skipped,
            "goes_on": self._reader.goes_on(),
            "rejects": [reject[:-1] for reject in rejects],
        }
        ids = [one.encode() for one in encoded.ids]
        parts = (*pack(encoded.values), *pack(encoded.keys), *pack(ids), *pack([reject.raw for reject in rejects]), self._reader.state())
        return Frame(head, parts)


def as_read(rules: dict[str, Any]) -> Plan:
    """Return the plan of no rules; raise `BadRequest` for any."""
    if rules:
        raise BadRequest("Rules are not known to this reader.")
    return AsRead()


def serve(inward: BinaryIO, outward: BinaryIO, session: Session) -> None:
    """Answer message by message until the other side ends. Blocks."""
    while (frame := read(inward)) is not None:
        for answer in session.answer(frame):
            write(outward, answer)
