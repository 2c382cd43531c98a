"""The files of a run, one behind the other: which comes next, and what becomes of the run when one was read, or could not be.

A file that cannot be read, or of which too much is wrong, costs itself; the others of its run go on. `file_over` and `file_failed` are the two ways in which
one ends, whoever finds out.
"""

from typing import Final

import orjson

from flows.core.imports.history import Files
from flows.core.imports.jobs import StoredJob
from flows.core.imports.portion import BEGINNING
from flows.core.imports.progress import outcome
from flows.core.imports.run import CHECK, KEPT_MS, NEVER, Run
from flows.engine import Batch
from flows.steps.asks import advance
from flows.steps.find import Found
from flows.steps.memory import remember_file, remember_run
from flows.steps.runs import end, found_path, upload_of

FILES: Final = b"files/"
"""Behind it is a job's id: the paths of its run, where a pattern has found them."""
FORGOTTEN: Final = "It is not known any more which files the run had found, because it was over too long ago; its next run looks for them again."


def files_found(batch: Batch, number: int, order: StoredJob, run: Run, found: Found) -> None:
    """Begin with the first of the files that a pattern has found."""
    if found.failed is not None:
        end(batch, number, run, "fail", found.failed)
    elif not found.paths:
        report = run.report.now(batch.now_ms, files=Files(passed=tuple(found.passed)))
        end(batch, number, run.on(report=report), "complete", f"No file matches {order.definition.pattern}.")
    else:
        batch.state(number).put(FILES + order.job_id.encode(), orjson.dumps(found.paths), expires_at_ms=batch.now_ms + KEPT_MS)
        report = run.report.now(batch.now_ms, files=Files(found=len(found.paths), passed=tuple(found.passed)))
        advance(batch, number, order, at_file(order, run.on(report=report, failures=0), 0, found.paths[0]))


def at_file(order: StoredJob, run: Run, file: int, path: str) -> Run:
    """Return a run at the beginning of one of its files, which counts on from those before it."""
    upload = order.definition.source_config.upload_id or upload_of(order, run, file)
    return run.on(upload=upload, path=path, file=file, before=run.report.gained, next=-1, place=BEGINNING, asked=NEVER, failures=0, staged=None, read=False)


def file_over(batch: Batch, number: int, order: StoredJob, run: Run) -> None:
    """Go on behind a file that was read to its end."""
    remember_file(batch, number, order, run)
    _behind(batch, number, order, run, run.report.files.one_read())


def file_failed(batch: Batch, number: int, order: StoredJob, run: Run, sentence: str) -> None:
    """Go on behind a file that came to nothing, or not to its end; what of it was published stays."""
    if run.report.phase == CHECK:
        run = run.on(report=run.report.withheld(run.before))
    _behind(batch, number, order, run, run.report.files.one_failed(sentence, found_path(order, run)))


def _behind(batch: Batch, number: int, order: StoredJob, run: Run, files: Files) -> None:
    run = run.on(report=run.report.now(batch.now_ms, files=files))
    if run.file + 1 < files.found:
        paths = batch.state(number).get(FILES + order.job_id.encode())
        if paths is None:
            end(batch, number, run, "fail", FORGOTTEN)
        else:
            advance(batch, number, order, at_file(order, run, run.file + 1, orjson.loads(paths)[run.file + 1]))
        return
    batch.state(number).delete(FILES + order.job_id.encode())
    if files.failed >= files.found:
        end(batch, number, run, "fail", files.sentence())
    else:
        if not files.failed:
            remember_run(batch, number, order, run)
        end(batch, number, run, "complete_with_errors" if files.failed else outcome(run.report), files.sentence())
