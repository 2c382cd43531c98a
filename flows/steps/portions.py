"""What becomes of the slow work that came back: its rows and rejects published, its run counted, and what follows decided.

A portion's rows, its rejects, the place where the next one begins and the report are one transaction with the batch they happen to
fall into. So a worker that dies in the middle repeats nothing and loses nothing: what was not committed is read again.
"""

from base64 import b64encode
from collections.abc import Sequence
from typing import Final

from flows.core.imports.again import Again
from flows.core.imports.fetching import WAITS
from flows.core.imports.jobs import StoredJob, home
from flows.core.imports.portion import BEGINNING, Portion
from flows.core.imports.progress import MOST_TEXT, Checkpoint, too_wrong, way_on
from flows.core.imports.recall import higher
from flows.core.imports.run import CHECK, READ, RUN, Run
from flows.core.imports.shelf import End, end_output, piece_output
from flows.core.imports.staged import Brought, Later, Staged
from flows.engine import Batch, Finished
from flows.steps import find
from flows.steps.ahead import OFFSET_BYTES
from flows.steps.asks import ANEW, BRINGING, FIND_WORK, advance, standing
from flows.steps.files import file_failed, file_over, files_found
from flows.steps.memory import CHANGED, MOST_ROUNDS, Memory
from flows.steps.publish import gain_of, publish_rejects, publish_rows, target_of
from flows.steps.runs import end, finish, keep, under_way, upload_of

DIED: Final = "ReaderDied"
"""What an error begins with when the process that read has died."""
MOST_DEATHS: Final = 3
AGAIN_MS: Final = 2_000
MOST_FAILURES: Final = 60
"""Attempts to read one portion: two minutes of a broker that does not answer, or a reader that dies."""


def came_back(batch: Batch, finished: Finished) -> None:
    """Take what slow work has come to, or have it done again after a while."""
    number = finished.partition
    found = under_way(batch, number, finished.id[len(RUN) :].decode())
    if found is None:
        return
    order, run = found
    if finished.result is None:
        _failed(batch, number, order, run, finished.error or "")
    elif finished.kind == FIND_WORK:
        files_found(batch, number, order, run, find.Found.unpack(finished.result))
    elif finished.kind in BRINGING:
        _brought(batch, number, order, run, Brought.unpack(finished.result))
    elif finished.kind == ANEW:
        again = Again.unpack(finished.result)
        _came(batch, number, order, run, again.portion, again)
    else:
        portion = Portion.unpack(finished.result, OFFSET_BYTES)
        _came(batch, number, order, run, portion, int.from_bytes(finished.result[:OFFSET_BYTES], "big"))


def _brought(batch: Batch, number: int, order: StoredJob, run: Run, brought: Brought) -> None:
    """Publish the pieces of a file that were brought in; they come back as those of an upload do."""
    staged, key, begun = brought.staged, home(order).encode(), Staged.of(run.staged or Staged().told())
    after = run.on(staged=staged.told())
    if staged.anew != begun.anew:  # what was brought in of the file as it was stays where it is, under another name
        after = after.on(upload=upload_of(order, run, run.file, staged.anew))
    for piece in brought.pieces:
        batch.publish(piece_output(key, run.upload, piece, staged.cut.encode()))
    if staged.over:
        batch.publish(end_output(key, run.upload, End(staged.at, staged.sha256, torn=staged.torn)))
    if brought.failed is not None:
        file_failed(batch, number, order, after, brought.failed)
    elif brought.same:
        file_over(batch, number, order, after)
    elif brought.later is not None:
        _later(batch, number, order, after.on(failures=0 if brought.pieces else run.failures), brought.later)
    else:
        advance(batch, number, order, after.on(failures=0))


def _later(batch: Batch, number: int, order: StoredJob, run: Run, later: Later) -> None:
    """Fetch the rest after a while, unless it was tried too often."""
    failures = run.failures + 1
    if failures >= later.attempts:
        file_failed(batch, number, order, run.on(failures=failures), f"{later.sentence} It was tried {failures} times; retry the job to go on.")
        return
    batch.timers(number).set(RUN + run.report.job_id.encode(), batch.now_ms + max(later.wait_ms, WAITS.delay_ms(failures)))
    keep(batch, number, run.on(failures=failures, report=run.report.now(batch.now_ms, trouble=f"{later.sentence} It is tried again."[:MOST_TEXT])))


def _came(batch: Batch, number: int, order: StoredJob, run: Run, portion: Portion, behind: Again | int) -> None:
    """Publish a portion; `behind` says what was run again, or the offset of the piece that comes next."""
    limit = batch.limit(target_of(order))
    if not limit:
        end(batch, number, run, "fail", f"The topic {target_of(order)} cannot be made; choose another target_topic, or have it made.")
        return
    again = isinstance(behind, Again)
    if max(map(len, portion.values), default=0) > limit:
        end(batch, number, run, "fail", f"{target_of(order)} takes records of {limit:,} bytes only since its settings were changed; retry the job.")
        return
    if portion.unreadable is not None and again:
        end(batch, number, run, "fail", portion.unreadable[1])
        return
    if portion.lots and not _remembered(batch, number, order, run, portion):
        return
    checking = run.report.phase == CHECK
    if not checking:
        publish_rows(batch, order, portion)
    if checking or again or not order.definition.all_or_nothing:
        publish_rejects(batch, order, run, portion)
    if isinstance(behind, Again):
        _mended(batch, number, order, run, behind)
    else:
        _after(batch, number, order, _counted(batch, number, order, run, portion, behind), portion)


def _remembered(batch: Batch, number: int, order: StoredJob, run: Run, portion: Portion) -> bool:
    """Remember what a portion lets through; False where it has to be asked for once more with other answers, or the job ends."""
    memory = Memory(batch, number, order, run)
    known = memory.known(portion.lots)
    if known != [lot.known for lot in portion.lots]:
        _once_more(batch, number, order, run, known)
        return False
    if trouble := memory.remember(portion.lots):
        end(batch, number, run, "fail", trouble)
        return False
    return True


def _once_more(batch: Batch, number: int, order: StoredJob, run: Run, known: Sequence[bytes]) -> None:
    if run.rounds >= MOST_ROUNDS:
        end(batch, number, run.on(known=None, rounds=0), "fail", CHANGED)
    else:
        advance(batch, number, order, run.on(known=[b64encode(answers).decode() for answers in known], rounds=run.rounds + 1))


def _mended(batch: Batch, number: int, order: StoredJob, run: Run, again: Again) -> None:
    """Count rows that were run again, and go on with the next of them."""
    report = run.report.plus(again.gain(run.report.rows_rejected), run.report.checkpoint, batch.now_ms)
    after = _settled(run, again.portion).on(report=report, mended=again.next, until=again.end)
    if not again.portion.over:
        advance(batch, number, order, after)
    else:
        finish(batch, number, order, after)


def _settled(run: Run, portion: Portion) -> Run:
    """Return a run that nothing more is asked of about a portion."""
    high = run.high if run.report.phase == CHECK else higher(run.high, portion.high)
    return run.on(failures=0, known=None, rounds=0, high=high)


def _counted(batch: Batch, number: int, order: StoredJob, run: Run, portion: Portion, offset: int) -> Run:
    """Return a run behind a portion."""
    place, sha256 = portion.place, standing(batch, number, order, run).file
    at = Checkpoint(sha256, place.at, place.line, place.ordinal, run.path)
    gain = gain_of(portion, max(0, run.before.bytes_read + place.at - run.report.bytes_read))
    report = run.report.plus(gain, at, batch.now_ms).now(batch.now_ms, read_as=portion.told or run.report.read_as)
    return _settled(run, portion).on(report=report, place=place, next=offset, read=portion.over and report.phase != CHECK)


def _after(batch: Batch, number: int, order: StoredJob, run: Run, portion: Portion) -> None:
    """Decide what follows a portion."""
    if portion.unreadable is not None:
        file_failed(batch, number, order, run, portion.unreadable[1])
    elif (trouble := too_wrong(order.definition, run.counted, over=portion.over)) is not None:
        file_failed(batch, number, order, run, f"{trouble} {way_on(order.definition, run.report)}")
    elif not portion.over:
        advance(batch, number, order, run)
    elif run.report.phase == CHECK:
        advance(batch, number, order, run.on(report=run.report.anew(batch.now_ms, READ, run.before), place=BEGINNING, next=-1))
    else:
        file_over(batch, number, order, run)


def _failed(batch: Batch, number: int, order: StoredJob, run: Run, error: str) -> None:
    """Try a portion again after a while, unless it was tried too often."""
    failures = run.failures + 1
    if failures >= (MOST_DEATHS if error.startswith(DIED) else MOST_FAILURES):
        gone = f"A portion could not be read {failures} times: {error}"
        if run.mending:
            end(batch, number, run.on(failures=failures), "fail", gone)
        else:
            file_failed(batch, number, order, run.on(failures=failures), gone)
        return
    batch.timers(number).set(RUN + run.report.job_id.encode(), batch.now_ms + AGAIN_MS)
    told = f"A portion could not be read, and is tried again: {error}"[:MOST_TEXT]
    keep(batch, number, run.on(failures=failures, report=run.report.now(batch.now_ms, trouble=told)))
