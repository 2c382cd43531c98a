"""What is kept of a record between its attempts, and whose turn it is among those of one key.

facts/<offset>   when it was first sent, its ticket     only of one that failed, or that has an order to keep
order/...        see `flows.core.outbound.key_order`
"""

from typing import Final, NamedTuple

import orjson

from flows.core.outbound.key_order import KeyOrder
from flows.core.record import KEY, Record
from flows.engine import Batch

FACTS: Final = b"facts/"


class Facts(NamedTuple):
    """What is kept of a record between its attempts."""

    first_ms: int = 0
    """When it was first sent; 0: it has not been."""
    ticket: int = -1
    """Its number among those of its key; -1: it has no order to keep."""


def facts_of(batch: Batch, record: Record) -> Facts:
    """Return what was kept of a record."""
    found = batch.state(record.partition).get(_key(record))
    return Facts(*orjson.loads(found)) if found is not None else Facts()


def keep(batch: Batch, record: Record, facts: Facts) -> None:
    """Keep something of a record."""
    batch.state(record.partition).put(_key(record), orjson.dumps([*facts]))


def join(batch: Batch, record: Record) -> bool:
    """Line a record up behind those of its key, where it has one; whether it may go."""
    if record.header(KEY) is None:
        return True
    ticket = KeyOrder(batch.state(record.partition)).join(_order_key(record), b"%d" % record.offset)
    keep(batch, record, Facts(ticket=ticket.number))
    return ticket.first


def leave(batch: Batch, record: Record, facts: Facts) -> int | None:
    """Let go of a record that is done with; returns the offset of the one that has the turn now, if one has been waiting for it."""
    if facts != Facts():
        batch.state(record.partition).delete(_key(record))
    if facts.ticket < 0:
        return None
    turn = KeyOrder(batch.state(record.partition)).leave(_order_key(record), facts.ticket)
    return int(turn.item) if turn is not None else None


def _key(record: Record) -> bytes:
    return FACTS + record.offset.to_bytes(8, "big")


def _order_key(record: Record) -> bytes:
    return (record.key or b"") + b"\0" + (record.header(KEY) or b"")
