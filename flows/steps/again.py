"""The slow work of a retry of rejected rows: reads the next of them from `xyra.rejects`, and has them read as rows of their file once more."""

import shutil
from base64 import b64decode
from typing import Any, Final, NamedTuple

import orjson

from flows.core import topics
from flows.core.files.kept import can_run
from flows.core.files.pieces import Part
from flows.core.imports import rejects
from flows.core.imports.again import Again, codes_of, rejects_of
from flows.core.imports.opening import opening
from flows.core.imports.portion import Place, Portion
from flows.core.imports.rejects import Turned
from flows.core.murmur import partition_of
from flows.core.settings import Settings
from flows.engine import Task
from flows.wire.readers import Readers
from flows.wire.replay import extent_of
from flows.wire.scratch import scratch
from flows.wire.strand import Strand

ROWS: Final = 2_000
BYTES: Final = 4 << 20
LOOKED_AT: Final = 100_000
"""Records of other jobs that are passed over for one portion."""


class Found(NamedTuple):
    """Rejects of one portion, and where they stand."""

    rows: list[Turned]
    next: int
    end: int


class Anew:
    """The handler; several portions may be read at once, each of another job."""

    def __init__(self, settings: Settings, partitions: int, readers: Readers) -> None:
        """Take how many partitions the rejects have, and what starts reading processes."""
        self._settings, self._readers = settings, readers
        self._home = settings.batch_import_upload_dir
        self._partitions = partitions

    def __call__(self, task: Task) -> bytes:
        """Run a portion of rejects again: the request of `flows.steps.asks.ask_again` in, an `Again` out; blocks.

        Raises:
            ReaderDied: the process that read ended.
            Unavailable: the broker is away.

        """
        asked: dict[str, Any] = orjson.loads(task.payload)
        found = self._found(asked)
        form = asked["job"]["definition"]["data_format"]
        whole = sorted((row for row in found.rows if can_run(form, row.raw)), key=lambda row: row.ordinal)
        cut = [reject for row in found.rows if not can_run(form, row.raw) for reject in rejects_of(row)]
        portion = self._read(asked, whole) if whole else nothing(asked)
        over = found.next >= found.end
        ended = portion._replace(over=over, rows_read=portion.rows_read + len(found.rows) - len(whole), rejects=[*portion.rejects, *cut])
        before = codes_of([reject for row in found.rows for reject in rejects_of(row)])
        return Again(found.next, found.end, before, ended).pack()

    def _found(self, asked: dict[str, Any]) -> Found:
        """Read the next rejects of a job, up to where the topic ended when the turn began."""
        key: bytes = asked["job"]["job_id"].encode()
        partition = partition_of(key, self._partitions)
        extent = extent_of(self._settings, topics.REJECTS.name, partition)
        start, end = max(asked["from"], extent.start), asked["end"] if asked["end"] >= 0 else extent.end
        if start >= end:
            return Found([], end, end)
        strand = Strand(self._settings, topics.REJECTS.name, partition)
        try:
            return _taken(strand, start, end, key, asked["run"])
        finally:
            strand.close()

    def _read(self, asked: dict[str, Any], rows: list[Turned]) -> Portion:
        """Have rows read in a process of their own."""
        place = scratch(self._home)
        child = self._readers.begin(place)
        try:
            answer = child.ask(opening(asked, asked["job"]["definition"]["source_config"], None), (b64decode(asked["state"]), b""))
            if answer.head["kind"] != "failed":
                places = [[row.offset, row.line, row.ordinal, 1, Part.RECORDS] for row in rows]
                answer = child.ask({"kind": "again", "places": places, "known": asked["known"]}, [row.raw for row in rows])
        finally:
            child.close()
            shutil.rmtree(place, ignore_errors=True)
        if answer.head["kind"] == "failed":
            return nothing(asked)._replace(unreadable=(answer.head["code"], answer.head["detail"]))
        return Portion.unpack(answer.parts[0])


def _taken(strand: Strand, start: int, end: int, key: bytes, run: int) -> Found:
    """Take rejects of a run until there are enough of them for one portion."""
    rows: list[Turned] = []
    size = 0
    for looked_at, record in enumerate(strand.read(start, end - 1, lambda _: True), 1):
        turned = rejects.read(record) if record.key == key else None
        if turned is not None and turned.run == run:
            rows.append(turned)
            size += len(turned.raw)
        if len(rows) >= ROWS or size >= BYTES or looked_at >= LOOKED_AT:
            return Found(rows, record.offset + 1, end)
    return Found(rows, end, end)


def nothing(asked: dict[str, Any]) -> Portion:
    """Return a portion without a row."""
    place = Place(asked["at"], b64decode(asked["state"]), asked["line"], asked["ordinal"])
    return Portion(place, over=False, rows_read=0, skipped=0, good=0, values=[], keys=[], ids=[], rejects=[])
