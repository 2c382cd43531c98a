"""A process that reads one file for a worker: a frame comes in, a frame goes out.

| in | out |
|---|---|
| `detect`: `name`, `stated`: the format that its sender says it is of; the first bytes | `detected`: what `detect` found |
| `open`: `format`, `source`, `rules`, `memory`, `output`, `at`, `line`, `ordinal`, `path` or none; state, the file's first bytes | `opened` |
| `open` with `watch`: besides, columns are looked at; with `torn`: the file at `path` breaks off, which is no damage | `opened` |
| `columns`: of all that was read since a `watch` began | `columns`: what `Watched.told` says |
| `pieces`: `places`, `last`, `torn`: why the file, with these its last pieces, ends too early; their bytes | `portion`; `Portion.pack` |
| `again`: `places`; the bytes of rows that were turned away, each a piece | `portion`; `Portion.pack` |
| `rows`: `most`, where `open` named a path | `portion`; `Portion.pack` |
| `spool`: `format`, `told` of each: what is wrong with it; rows that were turned away | `spooled` |
| `write`: asked until it is over | `written`: `over`: what was spooled is the file `written` in the directory of the process |
| `decide`: `known` | `portion`: the last one, as it is by these answers of the job's memory |

`pieces`, `again` and `rows` may have `known` as well, where the answers are there already.

What is wrong with a job or its file is answered with `failed`: `code`, `detail`. Anything else that is raised is a bug, and ends the process.
"""

from base64 import b64decode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from connectors.files.bounds import Limits
from connectors.files.detect import detect
from connectors.files.encode import Output, Shape
from connectors.files.formats import FORMATS, WHOLE, first_of, packed
from connectors.files.gather import Gatherer, Sieve
from connectors.files.lacking import Lacking
from connectors.files.marks import Marks
from connectors.files.plan import AsRead
from connectors.files.reader import Unreadable
from connectors.files.rules import compile_rules, cursor_of
from connectors.files.sources import File, Pieces, Reread, State
from connectors.files.spooled import Spooled
from connectors.files.watch import Watched
from flows.core.errors import BadRequest, InvalidFields
from flows.core.files.frames import Frame, read, write
from flows.core.files.pieces import Part, Piece
from flows.core.imports.named import named
from flows.core.imports.portion import Portion
from flows.core.imports.recall import level
from flows.core.imports.rules import TransformationRules
from flows.core.imports.source import FIXED


class Session:
    """One file, from `open` on."""

    def __init__(self, limits: Limits) -> None:
        """Take the bounds on files."""
        self._limits = limits
        self._source: Pieces | Reread | File | None = None
        self._watched: Watched | None = None
        self._gatherer: Gatherer | None = None
        self._spooled: Spooled | None = None
        self._portion: Portion | None = None
        """The last one, which may be asked for by other answers."""

    def answer(self, frame: Frame) -> Frame:
        """Answer one message."""
        try:
            return self._answered(frame)
        except (BadRequest, InvalidFields) as error:
            return Frame({"kind": "failed", "code": "bad_options", "detail": error.detail})
        except Unreadable as error:
            return Frame({"kind": "failed", "code": error.code, "detail": str(error)})

    def _answered(self, frame: Frame) -> Frame:
        head = frame.head
        known = [b64decode(answers) for answers in head.get("known") or ()]
        match head.get("kind"), self._source:
            case "detect", _:
                return Frame({"kind": "detected", "found": detect(frame.parts[0], head["name"], head.get("stated") or "")})
            case "open", _:
                self._source = self._opened(head, *frame.parts)
                return Frame({"kind": "opened"})
            case "columns", _ if self._watched is not None:
                return Frame({"kind": "columns", **self._watched.told()})
            case "spool", _:
                self._spooled = self._spooled or Spooled(head["format"], Path())
                self._spooled.add(head["told"], frame.parts)
                return Frame({"kind": "spooled"})
            case "write", _ if self._spooled is not None:
                return Frame({"kind": "written", "over": self._spooled.write()})
            case "pieces", Pieces() as source:
                portion = source.portion(_pieces(frame), known, last=head["last"], torn=head.get("torn", ""))
            case "again", (Pieces() | Reread()) as source:
                portion = source.again(_pieces(frame), known)
            case "rows", File() as source:
                portion = source.portion(head["most"], known)
            case "decide", _ if self._gatherer is not None and self._portion is not None:
                told = self._portion
                portion = self._gatherer.decided(known)._replace(read_as=told.read_as, unreadable=told.unreadable)
            case _:
                raise BadRequest(f"A message {head.get('kind')!r} was not expected here.")
        self._portion = portion
        return Frame({"kind": "portion"}, (portion.pack(),))

    def _opened(self, head: dict[str, Any], state: bytes, sample: bytes) -> Pieces | Reread | File:
        form, out = head["format"], head["output"]
        if form not in FORMATS:
            raise BadRequest(f"There is no reader of {form!r}; there are {', '.join(FORMATS)}.")
        output = Output(out["file"], Shape(out["shape"]), out["rows_per_record"], tuple(out["key_columns"]), fixed=form in FIXED)
        watched = bool(head.get("watch"))
        self._gatherer = gatherer = Gatherer(self._sieve(head), output, out["most_bytes"], head["ordinal"], fixed=form in FIXED, watched=watched)
        if head["path"] is None and form in WHOLE:
            return Reread(State.of(form, head["source"], state, sample), head["at"], head["line"], gatherer)
        if head["path"] is None:
            return Pieces(form, State.of(form, head["source"], state, sample), head["at"], head["line"], gatherer)
        path, torn = Path(head["path"]), bool(head.get("torn"))
        source = {**head["source"], "compression": head["source"].get("compression") or packed(form, path, sample, self._limits)}
        return File(
            form, State.of(form, source, state, first_of(form, source, path, sample, self._limits)), head["at"], path, self._limits, gatherer, torn=torn
        )

    def _sieve(self, head: dict[str, Any]) -> Sieve:
        """Return what is done with a job's rows; where its columns are looked at, by one plan for all that is opened."""
        sieve = sieve_of(head["rules"], head.get("memory"), head["output"]["key_columns"])
        if not head.get("watch"):
            return sieve
        if self._watched is None:
            self._watched = Watched(sieve.plan, Lacking(sieve.named, fixed=head["format"] in FIXED), sieve.named.needed)
        return sieve._replace(plan=self._watched)


def _pieces(frame: Frame) -> list[Piece]:
    places = zip(frame.head["places"], frame.parts, strict=True)
    return [Piece(start, data, line, first, records, Part(part)) for (start, line, first, records, part), data in places]


def sieve_of(rules: dict[str, Any], memory: dict[str, Any] | None = None, key_columns: Sequence[str] = ()) -> Sieve:
    """Return what is done with rows.

    Args:
        rules: a job's.
        memory: `key` or `cursor_column` of its `incremental`, and `since`, the watermark; None: no run was before, and no memory is asked.
        key_columns: what keys of records are made of.

    Raises:
        InvalidFields, BadRequest: the rules cannot be run, or not with this memory.

    """
    told = TransformationRules.model_validate(rules)
    asked = memory or {}
    column, key = asked.get("cursor_column"), asked.get("key") or ()
    cursor = cursor_of(column, level(asked.get("since")), told)
    plan = compile_rules(told, cursor) if rules or cursor is not None else AsRead()
    return Sieve(plan, Marks(told.unique, key), cursor, named(told, column, key, key_columns))


def serve(inward: BinaryIO, outward: BinaryIO, session: Session, before: Callable[[], None]) -> None:
    """Answer message by message until the other side ends; `before` each, what it may use is set. Blocks."""
    while (frame := read(inward)) is not None:
        before()
        write(outward, session.answer(frame))
