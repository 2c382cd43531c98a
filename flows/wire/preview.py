"""Has samples of an upload read by a job's rules, in a process of its own: a dry run, of which nothing is kept and nothing published."""

import shutil
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple

from flows.core.errors import FieldError, InvalidFields
from flows.core.files.pieces import TRUNCATED, Piece
from flows.core.imports.opening import memory_of, opening
from flows.core.imports.portion import Portion
from flows.core.imports.recall import Recalled
from flows.core.imports.uploads import Upload
from flows.core.settings import Settings
from flows.core.topics import RECORD_BYTES
from flows.wire.child import Child, ReaderDied
from flows.wire.readers import Readers
from flows.wire.sample import Sample, Sampler
from flows.wire.scratch import room

FETCH_S: Final = 2.0
ALL_S: Final = 4.8
"""The process has what reading the pieces has left; the first takes some 0.5 s to load."""
ROWS: Final = 5_000
"""Rows of a file that are read together."""
FILE_S: Final = 1.0
"""So long they are read on."""
LEFT_S: Final = 1.5
"""Nothing further is begun when less time than this is left."""
DETECTED_BY: Final = 256 * 1024


class Look(NamedTuple):
    """What a dry run has seen."""

    sample: Sample
    portions: list[Portion]
    """By place, in order; of a file one."""
    columns: Mapping[str, Any]
    refused: tuple[str, str] | None
    """Code and sentence: nothing of the file could be read, or nothing further."""
    seconds: float
    """That reading, rules and writing took."""


def look(settings: Settings, readers: Readers, upload: Upload, job: Mapping[str, Any]) -> Look:
    """Run a job's rules over samples of an upload; blocks for 5 s at most, and writes to no topic.

    Args:
        settings: where Kafka is.
        readers: starts the process.
        upload: the file, as far as it has come.
        job: the job's definition as JSON.

    Raises:
        Conflict, InvalidFields, Unavailable: as `Sampler.take`; InvalidFields also where time runs out.

    """
    until = monotonic() + ALL_S
    place = room(settings)
    sampler = Sampler(settings, upload, monotonic() + FETCH_S)
    child = readers.begin(place)
    try:
        sample = sampler.take(job["data_format"], dict(job["source_config"]), place / "file")
        return _Asking(child, upload, job, sample, until).look()
    finally:
        sampler.close()
        child.close()
        shutil.rmtree(place, ignore_errors=True)


class _Asking:
    """Asks a reading process for one preview."""

    def __init__(self, child: Child, upload: Upload, job: Mapping[str, Any], sample: Sample, until: float) -> None:
        self._child, self._upload, self._sample, self._until = child, upload, sample, until
        self._job = {**job, "rows_per_record": 1}  # rows are shown one by one, however they go out
        self._portions: list[Portion] = []
        self._refused: tuple[str, str] | None = None
        self._seconds = 0.0
        self._recalled = Recalled()

    def look(self) -> Look:
        sample = self._sample
        columns: Mapping[str, Any] = {}
        try:
            if sample.path is not None:
                with sample.path.open("rb") as file:
                    beginning = file.read(DETECTED_BY)
                self._file(sample.path, beginning)
            for pieces in sample.places.values():
                self._group(pieces)
            if self._refused is None or self._portions:
                columns = self._ask({"kind": "columns"}, ())[0]
            if self._refused is None and sample.path is None and self._upload.torn:
                self._refused = (TRUNCATED, self._upload.torn)
        except ReaderDied as error:
            if monotonic() < self._until - 0.1:
                self._refused = ("reader_died", str(error))
            elif not self._portions:
                raise _too_slow() from error
        return Look(sample, self._portions, columns, self._refused, self._seconds)

    def _file(self, path: Path, beginning: bytes) -> None:
        self._read(path, beginning, {"kind": "rows", "most": ROWS}, ())
        while self._refused is None and not self._portions[-1].over and self._seconds < FILE_S and monotonic() < self._until - LEFT_S:
            self._take({"kind": "rows", "most": ROWS}, ())
            self._portions[1:] = [portion._replace(values=[], keys=[], ids=[]) for portion in self._portions[1:]]  # the first are shown

    def _group(self, pieces: list[Piece]) -> None:
        places = [[piece.start, piece.line, piece.first, piece.records, piece.part] for piece in pieces]
        data = tuple(piece.data for piece in pieces)
        self._read(None, b"".join(data)[:DETECTED_BY], {"kind": "pieces", "places": places, "last": self._sample.whole}, data, pieces[0] if pieces else None)

    def _read(self, path: Path | None, beginning: bytes, wanted: Mapping[str, Any], data: tuple[bytes, ...], first: Piece | None = None) -> None:
        if self._refused is not None:
            return
        state = self._portions[0].place.state if self._portions else b""
        asked = {
            "job": {"definition": self._job},
            "sha256": self._upload.sha256 or "0" * 64,
            "memory": memory_of(self._job.get("incremental")),  # the job's own, as if no run had been before
            "most_bytes": RECORD_BYTES,
            "at": first.start if first else 0,
            "line": first.line if first else 1,
            "ordinal": first.first if first else 0,
        }
        head = opening(asked, self._sample.source, path) | {"watch": True, "torn": path is not None and not self._sample.whole}
        if self._ask(head, (state, beginning))[0]["kind"] == "failed":
            return
        self._take(wanted, data)

    def _take(self, wanted: Mapping[str, Any], data: tuple[bytes, ...]) -> None:
        begun = monotonic()
        answer, parts = self._ask(wanted, data)
        self._seconds += monotonic() - begun
        if answer["kind"] == "portion":
            self._portions.append(self._remembered(Portion.unpack(parts[0])))
            self._refused = self._portions[-1].unreadable

    def _remembered(self, portion: Portion) -> Portion:
        """Return a portion as it is behind those before it: rows may repeat one of theirs."""
        known = self._recalled.answers(portion.lots)
        if known != [lot.known for lot in portion.lots]:
            answer, parts = self._ask({"kind": "decide", "known": [b64encode(answers).decode() for answers in known]}, ())
            portion = Portion.unpack(parts[0]) if answer["kind"] == "portion" else portion
        self._recalled.keep(portion.lots)
        return portion

    def _ask(self, head: Mapping[str, Any], parts: tuple[bytes, ...]) -> tuple[Mapping[str, Any], tuple[bytes, ...]]:
        answer = self._child.ask(head, parts, max(0.1, self._until - monotonic()))
        if answer.head["kind"] == "failed":
            self._refused = (answer.head["code"], answer.head["detail"])
        return answer.head, tuple(answer.parts)


def _too_slow() -> InvalidFields:
    detail = f"a sample of the file was not read within {ALL_S:g} s; order the job itself, which takes its time"
    return InvalidFields("The file takes too long to be looked at.", errors=(FieldError("/source_config/upload_id", "too_slow_to_preview", detail),))
