"""Keeps the index of the uploads whose pieces come by."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from flows.core import topics
from flows.core.files.pieces import Piece
from flows.core.imports.shelf import NotAPiece, Shelf, read, upload_of
from flows.core.record import Record
from flows.core.verdict import Bury, Reason, Verdict
from flows.engine import Batch, Step
from flows.steps.guard import each

PREFIX: Final = b"shelf/"


def shelf_of(batch: Batch, partition: int, upload_id: str) -> Shelf:
    """Return what has come of an upload; an empty shelf when nothing has, or it is gone."""
    text = batch.state(partition).get(PREFIX + upload_id.encode())
    return Shelf.of(text) if text is not None else Shelf()


def _shelve(begun: Callable[[], None], record: Record, batch: Batch) -> Verdict | None:
    try:
        upload_id, piece = upload_of(record), read(record)
        after = shelf_of(batch, record.partition, upload_id).after(piece, record)
    except NotAPiece as error:
        return Bury((Reason("not_a_piece", f"The record is no piece of an upload: {error}. Send files to /integration/import/upload."),))
    if isinstance(piece, Piece) and piece.start == 0:
        begun()
    batch.state(record.partition).put(PREFIX + upload_id.encode(), after.text(), expires_at_ms=batch.now_ms + (topics.UPLOADS.retention_ms or 0))
    return None


def shelve(begun: Callable[[], None]) -> Step:
    """Return the step: notes each piece, and buries what is none. The bytes stay where they are, on the topic.

    `begun` is called with the first piece of each file, before it is committed; it must not wait.
    """
    return each(partial(_shelve, begun))


def arrived(batch: Batch) -> Iterable[tuple[int, str]]:
    """Return partition and id of every upload of which something has come in this batch."""
    return dict.fromkeys((record.partition, upload_of(record)) for record in batch.records)
