"""Workers are forked from a process that has loaded what they run: each is one of its own, and what ends one ends no other."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from deploy.local.forkserver import Forked, ForkServer
from tests.kit.door import until

NOBODY = {"INTEGRATION_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
"""A worker waits for it for a minute."""
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ForkServer]:
    home = tmp_path_factory.mktemp("forks")
    made = ForkServer({**os.environ, **NOBODY, "INTEGRATION_DATA_DIR": str(home / "data")}, home / "log")
    yield made
    await made.close()


async def begun(server: ForkServer, log: Path, flow: str = "webhooks", slot: int = 0) -> Forked:
    with log.open("ab") as out:
        return await server.fork(["worker", flow, "--slot", str(slot)], out)


def parent(forked: Forked) -> psutil.Process:
    found = psutil.Process(forked.pid).parent()
    assert found
    return found


async def test_each_is_a_process_of_its_own_in_a_session_of_its_own(server: ForkServer, tmp_path: Path) -> None:
    one, other = [await begun(server, tmp_path / "log", slot=slot) for slot in range(2)]
    assert parent(one) == parent(other)
    assert parent(one).num_threads() == 1
    until(lambda: (os.getsid(one.pid), os.getsid(other.pid)) == (one.pid, other.pid))  # each takes its own as the first thing it does
    assert one.returncode is None
    one.send_signal(signal.SIGKILL)
    assert await one.wait() == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        one.send_signal(signal.SIGKILL)
    assert psutil.Process(other.pid).is_running()
    other.send_signal(signal.SIGTERM)
    assert (await other.wait(), other.returncode) == (-signal.SIGTERM, -signal.SIGTERM)


async def test_it_is_the_command_line_with_its_exit_code_and_its_words(server: ForkServer, tmp_path: Path) -> None:
    forked = await begun(server, tmp_path / "log", "webhook")
    assert await forked.wait() == 2
    assert "There is no flow 'webhook'." in (tmp_path / "log").read_text()


async def test_where_what_forks_is_killed_the_others_are_told_to_leave_and_the_next_finds_another(server: ForkServer, tmp_path: Path) -> None:
    forked = await begun(server, tmp_path / "log")
    before = server.identity
    parent(forked).kill()
    assert await forked.wait() == -signal.SIGTERM
    again = await begun(server, tmp_path / "log")
    assert server.identity != before
    again.send_signal(signal.SIGKILL)
    assert await again.wait() == -signal.SIGKILL
