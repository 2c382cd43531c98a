"""The disk hangs while the broker is away: senders are told in time, and nothing piles up."""

import asyncio
import os
from pathlib import Path
from threading import Event

import pytest

from connectors.testing import ManualClock
from deploy.local.ports import free_port
from flows.core.errors import Unavailable
from flows.wire.produce import KEPT, LoopProducer
from flows.wire.spill import Spill
from tests.kit.settings import settings_for

PATIENCE_S = 10


def closed(spill: Spill) -> str | None:
    return spill.closed_because


async def test_a_disk_that_hangs_is_given_up_and_what_was_given_up_is_not_written_later(tmp_path: Path) -> None:
    settings, clock = settings_for(f"127.0.0.1:{free_port()}", tmp_path), ManualClock()
    producer, begun, moves = LoopProducer(settings, clock, lambda _: None), Event(), Event()

    def sync(file: int) -> None:
        begun.set()
        moves.wait(PATIENCE_S)
        os.fdatasync(file)

    spill = Spill(settings, clock, "one", producer, sync)
    spill.open()
    spill.enter()
    first = spill.send("topic", b"k", b"first")
    assert await asyncio.to_thread(begun.wait, PATIENCE_S), "the disk has it in hand"
    others = [spill.send("topic", b"k", b"%d" % n) for n in range(100)]
    clock.advance(settings.webhook_ack_timeout_ms)
    for asked in (first, *others):
        with pytest.raises(Unavailable, match="disk did not take it"):
            await asyncio.wait_for(asked, PATIENCE_S)
    assert closed(spill) == "disk"
    assert "took nothing" in (spill.trouble or "")
    moves.set()
    assert await asyncio.wait_for(spill.send("topic", b"k", b"last"), PATIENCE_S) == KEPT
    assert (closed(spill), spill.entries) == (None, 2), "the one that the disk had in hand, and the last"
    await spill.close(PATIENCE_S)
    producer.close()
