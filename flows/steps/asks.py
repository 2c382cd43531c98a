"""What a job asks for next: its files found, one brought in part by part, read portion by portion, or rejected rows run again, each as slow work."""

from base64 import b64encode
from typing import Any, Final

import orjson

from flows.core import topics
from flows.core.imports.jobs import StoredJob
from flows.core.imports.opening import memory_of
from flows.core.imports.progress import Checkpoint, Gain
from flows.core.imports.run import AGAIN, CHECK, FIND, READ, RUN, STAGE, TURN, UNCHANGED, WAIT, Run
from flows.core.imports.shelf import Shelf
from flows.core.imports.staged import Staged
from flows.engine import Batch
from flows.steps import memory
from flows.steps.publish import target_of
from flows.steps.runs import end, finish, keep
from flows.steps.shelve import shelf_of

FIND_WORK: Final = "find"
"""The slow work that looks for a pattern's files: a pattern in, `find.Found` out."""
STAGE_WORK: Final = "stage"
"""The slow work that brings a file of the worker's machine in: a request in (`ask_file`), a `Brought` out."""
FETCH: Final = "fetch"
"""The same for a file that is fetched over HTTP, as calls on a loop."""
STORE: Final = "store"
"""The same for an object of a store."""
BRINGING: Final = frozenset({STAGE_WORK, FETCH, STORE})
PARSE: Final = "parse"
"""The slow work that reads a portion: a request in (`ask`), the offset of the next piece and a `Portion` out."""
ANEW: Final = "anew"
"""The slow work that runs rejected rows again: a request in (`ask_again`), an `Again` out."""
LANE: Final = "parse"
FETCHERS: Final = 8
"""Files that a worker fetches at once, in a lane of their own: a slow server takes no reader's place."""
LOOK_MS: Final = 10_000
"""How long a job waits for its turn before it looks itself; whoever is over wakes it, unless its order has been taken away."""
READERS: Final = 2
"""Portions that a worker reads at once, each of another job: as many as there are cores to a broker on a small machine."""
NEVER_CAME: Final = "The upload did not come whole in the time that its pieces are kept; begin another one."
WAKE: Final = b"wake/"
"""Behind it are an upload's id, a zero and the id of a job that waits for more of the upload."""


def advance(batch: Batch, number: int, order: StoredJob, run: Run) -> None:
    """Have done what comes next, or wait until it can be."""
    if not memory.has_turn(batch, number, order):
        batch.timers(number).set(RUN + order.job_id.encode(), batch.now_ms + LOOK_MS)
        if run.report.phase not in {CHECK, READ}:
            run = run.on(report=run.report.now(batch.now_ms, phase=TURN))
        keep(batch, number, run)
    elif run.mending:
        _ask(batch, number, run, ANEW, ask_again(order, run, batch.limit(target_of(order))), phase=AGAIN)
    elif run.read:
        finish(batch, number, order, run.on(report=run.report.after("start", batch.now_ms)))
    elif order.definition.pattern is not None and not run.path:
        _ask(batch, number, run, FIND_WORK, order.definition.pattern.encode(), phase=FIND)
    elif not _fetch(batch, number, order, run):
        _read(batch, number, order, run)


def _fetch(batch: Batch, number: int, order: StoredJob, run: Run) -> bool:
    """Have more of the file brought in, where the job fetches it itself; whether there was any left to bring."""
    source = order.definition.source_config
    staged = Staged.of(run.staged) if run.staged is not None else Staged()
    if source.upload_id is not None or staged.over:
        return False
    if run.report.status == "queued":  # a turn begins: it has time of its own
        staged = staged._replace(spent_ms=0, calls=0, anew=0)
    after, asked = run.on(staged=staged.told()), ask_file(order, run, staged, number, shelf_of(batch, number, run.upload).first)
    kind = STAGE_WORK if source.url is None else FETCH if source.scheme in {"http", "https"} else STORE
    lane, slots = (LANE, READERS) if kind == STAGE_WORK else (FETCH, FETCHERS)
    total = run.before.bytes_read + staged.total if staged.total is not None else None
    _ask(batch, number, after, kind, asked, lane, slots, phase=STAGE, bytes_total=total, trouble="")
    return True


def _read(batch: Batch, number: int, order: StoredJob, run: Run) -> None:
    """Have the next portion read, or wait until there is one."""
    job = order.job_id.encode()
    wake = WAKE + run.upload.encode() + b"\0" + job
    shelf = standing(batch, number, order, run)
    sent = order.definition.source_config.upload_id is not None  # what the job fetches itself is there a moment later
    given_up_ms = (order.updated_at_ms if sent else batch.now_ms) + topics.UPLOADS.retention_ms
    if shelf.broken or (not shelf.whole and batch.now_ms >= given_up_ms):
        end(batch, number, run, "fail", f"{shelf.broken or NEVER_CAME} What was published of the file before that stays.")
    elif not shelf.whole and not _early(order, run, shelf):
        batch.state(number).put(wake, b"", expires_at_ms=given_up_ms)
        batch.timers(number).set(RUN + job, given_up_ms)
        keep(batch, number, run.on(report=run.report.now(batch.now_ms, phase=WAIT)))
    else:
        batch.state(number).delete(wake)
        batch.timers(number).cancel(RUN + job)
        _parse(batch, number, order, run, shelf)


def _parse(batch: Batch, number: int, order: StoredJob, run: Run, shelf: Shelf) -> None:
    """Have the next portion read of what is there, unless the file was imported before."""
    begun = run.report.phase in {CHECK, READ}
    rows = memory.imported(batch, number, order, shelf.sha256) if not begun else None
    if rows is not None:
        _pass_over(batch, number, run, shelf, rows)
        return
    phase = run.report.phase if begun else CHECK if order.definition.all_or_nothing else READ
    run = memory.prepared(batch, number, order, run).on(asked=(run.next, shelf.last))
    place = order.pieces.partition if order.pieces is not None else number
    asked = ask(order, run, shelf, place, batch.limit(target_of(order)))
    total = run.before.bytes_read + shelf.length if shelf.length is not None else None
    _ask(batch, number, run, PARSE, asked, phase=phase, bytes_total=total)


def _early(order: StoredJob, run: Run, shelf: Shelf) -> bool:
    """Tell whether a file can be read on that has not come whole: its rows have their ids, and more of it is here than was asked for last."""
    definition = order.definition
    fresh = run.failures > 0 or run.known is not None or run.asked != (run.next, shelf.last)
    return fresh and run.next <= shelf.last and shelf.serves(definition.data_format, definition.source_config.model_dump(mode="json"))


def _pass_over(batch: Batch, number: int, run: Run, shelf: Shelf, rows: int) -> None:
    """Count the rows that a file had when it was imported before, and go on behind it with the next batch."""
    length = run.before.bytes_read + (shelf.length or 0)
    report = run.report.after("start", batch.now_ms) if run.report.status == "queued" else run.report
    skipped = report.plus(Gain(0, 0, rows, shelf.length or 0, {}), Checkpoint(shelf.sha256, shelf.length or 0, 0, rows, run.path), batch.now_ms)
    batch.timers(number).set(RUN + report.job_id.encode(), batch.now_ms)
    keep(batch, number, run.on(report=skipped.now(batch.now_ms, phase=UNCHANGED, bytes_total=length), read=True))


def standing(batch: Batch, number: int, order: StoredJob, run: Run) -> Shelf:
    """Return what has come of a run's file: as the order says, or as it came by on this partition."""
    told = order.pieces
    if told is not None:
        return Shelf(told.first, told.last, told.length, length=told.length, sha256=told.sha256, torn=told.torn)
    if order.definition.remembers and order.definition.source_config.upload_id is not None:
        return Shelf(broken=memory.UNTOLD)
    return shelf_of(batch, number, run.upload)


def waiting(batch: Batch, number: int, upload_id: str) -> list[str]:
    """Return the jobs that wait for more of an upload."""
    return [key.rpartition(b"\0")[2].decode() for key, _ in batch.state(number).scan(WAKE + upload_id.encode() + b"\0")]


def _ask(batch: Batch, number: int, run: Run, kind: str, asked: bytes, lane: str = LANE, slots: int = READERS, **told: Any) -> None:
    """Have slow work done for a run that begins with it, or goes on."""
    report = run.report.after("start", batch.now_ms) if run.report.status == "queued" else run.report
    batch.work(number).submit(RUN + report.job_id.encode(), kind, asked, lane=lane, slots=slots)
    keep(batch, number, run.on(report=report.now(batch.now_ms, **told)))


def ask_file(order: StoredJob, run: Run, staged: Staged, partition: int, first: int) -> bytes:
    """Return the request for the next portion of a file that a job fetches itself.

    Args:
        order: the job.
        run: which file is meant, what its pieces belong to, and the `known` state in which nothing of it need be brought in.
        staged: how far it was brought in.
        partition: of `xyra.uploads`, on which its pieces stand.
        first: the offset of the first one; -1: not known.

    """
    return orjson.dumps(
        {
            "job_id": order.job_id,
            "upload": run.upload,
            "source": order.definition.source_config.model_dump(mode="json") | ({"file_path": run.path} if run.path else {}),
            "data_format": order.definition.data_format,
            "sealed": order.sealed,
            "staged": staged.told(),
            "partition": partition,
            "first": first,
            "known": dict(run.former),
        }
    )


def ask(order: StoredJob, run: Run, shelf: Shelf, partition: int, most_bytes: int) -> bytes:
    """Return the request for a run's next portion."""
    return orjson.dumps(
        basis(order, run, shelf.file, most_bytes)
        | {
            "upload": run.upload,
            "partition": partition,
            "first": shelf.first,
            "from": run.next if run.next >= 0 else shelf.first,
            "last": shelf.last,
            "length": shelf.length,
            "whole": shelf.whole,
            "torn": shelf.torn,
        }
    )


def ask_again(order: StoredJob, run: Run, most_bytes: int) -> bytes:
    """Return the request to run the next of a job's rejected rows again."""
    return orjson.dumps(basis(order, run, run.report.checkpoint.file, most_bytes) | {"from": run.mended, "end": run.until, "run": run.report.run})


def basis(order: StoredJob, run: Run, sha256: str, most_bytes: int) -> dict[str, Any]:
    """Return what both requests have: how the job's rows are read, and where that stands."""
    return {
        "job": order.model_dump(mode="json", by_alias=True),
        "most_bytes": most_bytes,
        "sha256": sha256,
        "at": run.place.at,
        "line": run.place.line,
        "ordinal": run.place.ordinal,
        "state": b64encode(run.place.state).decode(),
        "memory": _memory(order, run),
        "known": run.known,
    }


def _memory(order: StoredJob, run: Run) -> dict[str, Any]:
    """Return what tells rows that came before from others."""
    wanted = order.definition.incremental
    return memory_of(wanted.model_dump() if wanted is not None else None, run.since[0] if run.since else None)
