"""Publishes what came of a portion of a file: its rows as events, its rejects as what they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from flows.core import topics
from flows.core.imports import rejects
from flows.core.imports.again import codes_of
from flows.core.imports.jobs import StoredJob, row_source
from flows.core.imports.portion import Portion
from flows.core.imports.progress import Gain
from flows.core.imports.run import Run
from flows.core.record import CE_ID, CE_SOURCE, CE_SPECVERSION, CE_TIME, CE_TYPE, CONTENT_TYPE, Header
from flows.engine import Batch

TYPE = b"import.row"
BLOCK_TYPE = b"import.rows"
TYPES = {"ndjson": b"application/x-ndjson", "arrow": b"application/vnd.apache.arrow.stream"}


def target_of(order: StoredJob) -> str:
    """Return the topic that a job's rows go to."""
    return order.definition.target_topic or topics.EVENTS.name


def gain_of(portion: Portion, bytes_read: int) -> Gain:
    """Return what a portion adds to its job's report."""
    return Gain(portion.good, portion.rejected, portion.skipped, bytes_read, codes_of(portion.rejects))


def publish_rows(batch: Batch, order: StoredJob, portion: Portion) -> None:
    """Write the rows, each under its own id."""
    shared = headers_of(order, batch.now_ms)
    batch.publish_all(target_of(order), portion.keys, portion.values, Headers(portion.ids, shared))


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers of rows, each made when it is asked for: tens of thousands of lists at once would cost more to hold than to make."""

    ids: Sequence[bytes]
    """What rows differ in."""
    shared: list[Header]

    def __iter__(self) -> Iterator[list[Header]]:
        """Give those of each row."""
        return ([(CE_ID, row), *self.shared] for row in self.ids)


def publish_rejects(batch: Batch, order: StoredJob, run: Run, portion: Portion) -> None:
    """Write the rows that were turned away."""
    of_run = rejects.OfRun(run.report.run, run.path) if run.report.run else None
    rows = rejects.by_row(portion.rejects)
    batch.publish_all(
        topics.REJECTS.name, [order.job_id.encode()] * len(rows), [row[0].raw for row in rows], rejects.Headers(order.job_id, order.turn, rows, of_run)
    )


def headers_of(order: StoredJob, now_ms: int) -> list[Header]:
    """Return what the rows of a portion have in common."""
    definition = order.definition
    block = definition.rows_per_record > 1
    return [
        (CE_SOURCE, row_source(order.job_id).encode()),
        (CE_TYPE, BLOCK_TYPE if block else TYPE),
        (CE_TIME, datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()),
        (CE_SPECVERSION, b"1.0"),
        (CONTENT_TYPE, TYPES[definition.block_format] if block else b"application/json"),
    ]
