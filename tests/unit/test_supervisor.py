"""What the supervisor says of parts that run: nothing false, and why one has ended."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local.parts import Part
from deploy.local.place import decide
from deploy.local.supervisor import Supervisor
from flows.core.clock import SystemClock
from flows.core.errors import AWAY

RUNS = "import time; time.sleep(600)"
pytestmark = pytest.mark.asyncio


async def supervised(home: Path, program: str, ready: Callable[[Supervisor, list[str]], bool]) -> list[str]:
    """Run one part under a supervisor until that is stopped, and return what it says."""
    said: list[str] = []
    for name in ("logs", "run"):
        (home / name).mkdir()
    stack = Supervisor(decide(os.environ, str(home)), os.environ, SystemClock(), said.append)
    part = Part("part", "door", lambda: [sys.executable, "-c", program], lambda: ready(stack, said), (), "http://part", 10.0)

    async def nothing(_: object) -> None: ...

    await stack.run([part], lambda: None, nothing)
    return said


async def test_a_part_that_is_not_ready_while_it_stops_is_no_alarm(tmp_path: Path) -> None:
    loop, asked = asyncio.get_running_loop(), 0

    def ready(stack: Supervisor, _: list[str]) -> bool:
        nonlocal asked
        asked += 1
        if asked > 1:  # Ctrl-C comes while it is asked
            loop.call_soon_threadsafe(stack.stop)
        return asked == 1

    said = await supervised(tmp_path, RUNS, ready)
    assert said[0].startswith("part ready after")
    assert said[1:] == ["Stopping part"]


async def test_a_part_that_ended_since_kafka_was_not_ready_says_so(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()

    def ready(stack: Supervisor, said: list[str]) -> bool:
        if said:
            loop.call_soon_threadsafe(stack.stop)
        return False

    said = await supervised(tmp_path, f"import sys; sys.exit({AWAY})", ready)
    assert said[0].startswith("part died (exit code 8: Kafka, the disk or another part it needs was not ready); starting it again now.")
