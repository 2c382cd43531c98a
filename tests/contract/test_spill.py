"""The broker is away, and webhooks are taken all the same: each that was answered with 202 comes to the topic once, in order.

Four ingresses go through one outage, and two of them through a storm behind it, in the order of the tests; each begins where the
one before it ended.
"""

import collections
import gzip
import itertools
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from deploy.local.broker import RunningBroker, running
from tests.chaos.spill import IMPATIENT, by_source, is_back, rage, spill, spills
from tests.kit.door import RunningDoor, head_of_unfinished, until
from tests.kit.settings import settings_for

MIB = 1 << 20
BEFORE, KEPT = 20, 120
"""The plain ingress takes webhooks up to the first number before the broker dies, and to the second while it is away."""
LARGE = 50_000


class Outage:
    """Four ingresses on one broker, and what they were sent."""

    def __init__(self, broker: RunningBroker, home: Path) -> None:
        self.broker = broker
        self.mount = home / "small-disk"
        self.mount.mkdir()
        self.mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(self.mount)], check=False, capture_output=True).returncode == 0
        self.plain = self.made(home / "plain")
        self.small = self.made(home / "small", spill_max_bytes=str(MIB))
        self.tiny = self.made(home / "tiny")
        self.brief = self.made(home / "brief", spill_max_age_seconds="1")
        self.tiny.settings.data_dir.mkdir(parents=True)
        (self.tiny.settings.data_dir / "spill").symlink_to(self.mount)
        self.doors = [self.plain, self.small, self.tiny, self.brief]
        self.names: dict[RunningDoor, str] = {}
        self.taken: dict[RunningDoor, list[bytes]] = {door: [] for door in self.doors}
        self.ids: dict[tuple[RunningDoor, bytes | None], str] = {}

    def made(self, home: Path, **env: str) -> RunningDoor:
        home.mkdir()
        return RunningDoor(settings_for(self.broker.bootstrap, home), home / "log", start=False, **IMPATIENT, **env)

    def begin(self) -> None:
        for door in self.doors:
            door.process = door.launch()
        for door in self.doors:
            until(door.is_ready, why=door.log.read_text)
            self.names[door] = door.register(ordering_key="/key")
        for number in range(BEFORE):
            assert self.send(self.plain, body(number)) == 202
        self.broker.kill()
        for door in self.doors:
            until(partial(spills, door), why=door.log.read_text)

    def send(self, door: RunningDoor, content: bytes) -> int:
        """Send a webhook, note it if it was taken, and return the status."""
        answer = door.send(self.names[door], content)
        if answer.status_code == 202:
            self.taken[door].append(content)
            self.ids[door, content] = answer.json()["event_id"]
        return answer.status_code

    def close(self) -> None:
        for door in self.doors:
            door.close()
        if self.mounted:
            subprocess.run(["umount", str(self.mount)], check=True)


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outage]:
    """The broker has been killed, and the ingresses have noticed. It is nobody else's: what the storm writes would be too much for a flow."""
    home = tmp_path_factory.mktemp("outage")
    with running(home / "kafka", os.environ) as broker:
        made = Outage(broker, home)
        try:
            made.begin()
            yield made
        finally:
            made.close()


def body(number: int, size: int = 0) -> bytes:
    return b'{"id": "%d", "key": "k%d", "pad": "%s"}' % (number, number % 3, b"x" * size)


def limit_files(door: RunningDoor, most: int) -> None:
    assert door.process is not None
    psutil.Process(door.process.pid).rlimit(psutil.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


def test_what_comes_while_the_broker_is_away_is_kept(outage: Outage) -> None:
    door, name = outage.plain, outage.names[outage.plain]
    assert {outage.send(door, body(number)) for number in range(BEFORE, KEPT)} == {202}
    packed = door.send(name, gzip.compress(body(KEPT)), **{"content-encoding": "gzip"})
    assert packed.status_code == 202, "also what does not come the short way"
    outage.taken[door].append(body(KEPT))
    assert door.send(name, secret="wrong").status_code == 401
    health = door.stranger.get("/health")
    assert (health.status_code, health.json()["status"], door.is_ready()) == (200, "degraded", True)
    assert {part: health.json()["parts"][part]["needed"] for part in ("broker", "definitions", "spill")} == {
        "broker": False,
        "definitions": True,
        "spill": False,
    }
    found = spill(door)
    assert (found["entries"], found["oldest_age_seconds"] > 0) == (KEPT - BEFORE + 1, True)
    shown = door.stranger.get("/metrics").text
    assert 'xyra_spill_state{state="spilling"} 1.0' in shown
    assert f"xyra_spill_entries {KEPT - BEFORE + 1}.0" in shown
    assert [oct(file.stat().st_mode & 0o777) for file in (door.settings.data_dir / "spill").rglob("*.spill")] == ["0o600"]


def test_a_disk_that_fails_is_answered_with_503_until_it_does_not(outage: Outage) -> None:
    door = outage.plain
    limit_files(door, 0)  # every write fails, as on a disk without room
    failed = door.send(outage.names[door], body(0))
    assert (failed.status_code, failed.headers["retry-after"]) == (503, "10")
    assert (spill(door)["status"], door.is_ready()) == ("failing", False)
    assert "cannot be written" in spill(door)["trouble"]
    limit_files(door, resource.RLIM_INFINITY)
    assert outage.send(door, body(KEPT + 1)) == 202
    assert (spill(door)["status"], door.is_ready()) == ("spilling", True)


def test_a_log_that_is_full_is_answered_with_503(outage: Outage) -> None:
    door = outage.small
    statuses = [outage.send(door, body(number, LARGE)) for number in range(25)]
    assert statuses == [202] * statuses.count(202) + [503] * statuses.count(503)
    assert 15 < statuses.count(202) < 22
    assert door.send(outage.names[door], body(0, LARGE)).headers["retry-after"] == "30"
    assert (spill(door)["status"], door.is_ready()) == ("full", False)


def test_a_full_disk_is_answered_with_503(outage: Outage) -> None:
    """A file system of a MiB where one may be mounted; elsewhere no file may grow beyond a quarter of that."""
    door = outage.tiny
    if not outage.mounted:
        limit_files(door, MIB // 4)
    statuses = [outage.send(door, body(number, LARGE)) for number in range(30)]
    assert set(statuses) == {202, 503}
    if outage.mounted:
        assert door.send(outage.names[door], body(0, LARGE)).headers["retry-after"] == "10"
        assert outage.send(door, body(30)) == 202, "what fits is taken"


def test_what_is_too_old_lets_nothing_more_in(outage: Outage) -> None:
    door, numbers = outage.brief, itertools.count()
    assert outage.send(door, body(next(numbers))) == 202
    until(lambda: outage.send(door, body(next(numbers))) == 503)
    assert (spill(door)["status"], door.is_ready()) == ("full", False)


def test_killed_while_it_keeps_and_started_while_the_broker_is_away(outage: Outage) -> None:
    """The one comes back as it was, the other is told to keep nothing from now on; neither knows an endpoint before the broker is back."""
    door = outage.plain
    request, rest = head_of_unfinished(outage.names[door])
    with socket.create_connection(("127.0.0.1", door.port)) as line:
        line.sendall(request + rest)
        assert line.recv(1000).startswith(b"HTTP/1.1 202")
    door.stop(signal.SIGKILL)
    outage.taken[door].append(b'{"n": 1}')
    outage.brief.stop()
    door.process = door.launch()
    outage.brief.env |= {"INTEGRATION_SPILL": "off"}
    outage.brief.process = outage.brief.launch()
    until(lambda: not door.refuses() and not outage.brief.refuses())
    assert "may be on the topic already" in spill(door)["note"]
    assert door.send(outage.names[door]).status_code == 503
    assert (door.is_ready(), spill(door)["entries"]) == (False, KEPT - BEFORE + 3)


def test_once_the_broker_is_back_each_is_on_the_topic_once_and_in_order(outage: Outage) -> None:
    outage.broker.start()
    for door in outage.doors:
        until(partial(is_back, door), why=door.log.read_text)
        assert (spill(door)["bytes"], "note" in spill(door)) == (0, False)
        assert "Traceback" not in door.log.read_text()
    assert spill(outage.brief)["status"] == "off"
    assert f"xyra_spill_drained_total {KEPT - BEFORE + 3}.0" in outage.plain.stranger.get("/metrics").text
    assert {outage.send(door, body(KEPT + 2)) for door in outage.doors} == {202}
    found = by_source(outage.broker)
    for door in outage.doors:
        read = found[outage.names[door]]
        assert collections.Counter(one.value for one in read) == collections.Counter(outage.taken[door])
        assert [one.value for one in read if outage.ids.get((door, one.value), one.header("ce_id")) != one.header("ce_id")] == []
        for key in range(3):
            mine = [one for one in read if one.key == b"k%d" % key]
            assert [one.value for one in mine] == [content for content in outage.taken[door] if b'"key": "k%d"' % key in content]
            assert [one.timestamp_ms for one in mine] == sorted(one.timestamp_ms for one in mine), "the time of a record is when it was accepted"
        assert all(one.header("x-config-offset") for one in read)


def test_both_ends_die_again_and_again_while_it_drains(outage: Outage) -> None:
    """The long form is part of `make chaos`; see `tests/chaos/spill.py` for how and for what is proved."""
    assert rage(outage.broker, {door: f"storm-{outage.names[door]}" for door in (outage.plain, outage.small)}) == []
