"""Reads the rows that a job has turned away from `xyra.rejects`, some at a time."""

from collections.abc import Iterator
from time import monotonic
from typing import Final, NamedTuple

from flows.core import topics
from flows.core.files.pieces import Part, Piece
from flows.core.imports import rejects, shelf
from flows.core.imports.jobs import StoredJob, home
from flows.core.imports.rejects import Turned
from flows.core.imports.uploads import Upload
from flows.core.murmur import partition_of
from flows.core.record import Record
from flows.core.settings import Settings
from flows.wire.messages import Message, record_of
from flows.wire.pick import pick
from flows.wire.window import Bounds, Span, Window

AT_ONCE: Final = Bounds(seconds=3.0, records=5000, bytes=8 << 20)
"""What is read in one go; a partition has the rows of many jobs, so that few of them may be wanted."""
HEAD: Final = Bounds(seconds=2.0, records=2000, bytes=64 << 20)
HEAD_S: Final = 2.0
FAR_MS: Final = 253_402_300_799_000
"""The year 9999: no record stands behind it."""


class Wanted(NamedTuple):
    """Which rows."""

    job_id: str
    from_ms: int
    """When they began to be turned away."""
    first: int
    """Of this turn and later ones."""
    last: int | None = None
    """Up to this one; None: all."""
    run: int = 0
    """Of this run of the job's schedule."""

    def has(self, row: Turned) -> bool:
        """Tell whether a row is one of them."""
        return (row.job_id, row.run) == (self.job_id, self.run) and self.first <= row.turn <= (row.turn if self.last is None else self.last)


class Found(NamedTuple):
    """Rows, and where reading goes on."""

    rows: list[Turned]
    at: int
    """The offset that comes next."""
    end: int
    """Where what was committed ended; `at` is there: this was all."""

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return self.at >= self.end


def read(settings: Settings, wanted: Wanted, at: int | None, end: int | None, most: int) -> Found:
    """Return up to `most` rows from an offset on, in the order they were turned away; maybe none although there are more. Blocks for some seconds at most.

    Args:
        settings: where Kafka is.
        wanted: which ones.
        at: where to begin; None: where the job began.
        end: where to end; None: at what is committed now.
        most: rows.

    Raises:
        Unavailable: the broker is away.

    """
    window = Window(settings)
    try:
        starts, ends = window.extents(topics.REJECTS.name, wanted.from_ms, FAR_MS)
        if not starts:
            return Found([], 0, 0)  # there is no topic yet
        number = partition_of(wanted.job_id.encode(), len(starts))
        at, end = starts[number] if at is None else at, ends[number] if end is None else end
        found, until = Found([], at, end), monotonic() + AT_ONCE.seconds
        while not found.rows and not found.over and monotonic() < until:  # what stands before may be those of other jobs
            messages, left = window.read({number: found.at}, {number: end}, topics.REJECTS.name, AT_ONCE)
            found = _chosen(messages, wanted, found._replace(at=left[number]), most)
    finally:
        window.close()
    return found


def all_of(settings: Settings, wanted: Wanted, most: int) -> Iterator[list[Turned]]:
    """Yield all rows up to the one that is the last now, so many at a time at most; blocks, and raises as `read` does."""
    found = read(settings, wanted, None, None, most)
    while not found.over:
        yield found.rows
        found = read(settings, wanted, found.at, found.end, most)
    yield found.rows


def _chosen(messages: list[Message], wanted: Wanted, read_to: Found, most: int) -> Found:
    key = wanted.job_id.encode()
    rows: list[Turned] = []
    for message in messages:
        row = rejects.read(record_of(message)) if message.key() == key else None
        if row is None or not wanted.has(row):
            continue
        if len(rows) == most:
            return Found(rows, message.offset(), read_to.end)
        rows.append(row)
    return Found(rows, read_to.at, read_to.end)


def head_of(settings: Settings, order: StoredJob, upload: Upload | None, began_ms: int) -> bytes:
    """Return how the file of a job's run begins, as far as one piece goes; empty where that is not on the topic any more, or the file is packed.

    Blocks for seconds at most.

    Raises:
        Unavailable: the broker is away.

    """
    if upload is not None and upload.first >= 0:
        records = pick(settings, topics.UPLOADS.name, upload.partition, [upload.first], HEAD_S)
        return next((data for data in map(_beginning, records) if data), b"")
    found: list[bytes] = []

    def take(message: Message) -> bool:
        record = record_of(message)
        ours = message.key() == key and (order.definition.source_config.upload_id is not None or (record.text(shelf.UPLOAD) or "").startswith(order.job_id))
        data = _beginning(record) if ours else b""
        found.extend([data] if data else [])
        return bool(data)

    key = (order.definition.source_config.upload_id or home(order)).encode()
    since_ms = upload.created_at_ms if upload is not None else began_ms
    window = Window(settings)
    try:
        window.look([Span(topics.UPLOADS.name, since_ms, None, frozenset((key,)))], take, HEAD)
    finally:
        window.close()
    return found[0] if found else b""


def _beginning(record: Record) -> bytes:
    try:
        piece = shelf.read(record)
    except shelf.NotAPiece:
        return b""
    return piece.data if isinstance(piece, Piece) and piece.start == 0 and piece.part != Part.RAW else b""
