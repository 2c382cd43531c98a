"""The broker is away, and webhooks are taken all the same: each that was answered with 202 comes to the topic once, in order."""

import collections
import gzip
import resource
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy.local.broker import RunningBroker
from flows.core import topics
from flows.wire.drain import Drain
from flows.wire.entry import Entry
from flows.wire.kafka import ensure_topics
from flows.wire.spool import Spool
from tests.kit.door import RunningDoor, head_of_unfinished, running_door, until
from tests.kit.settings import settings_for
from tests.kit.topics import Read, topic_reader

IMPATIENT = {"webhook_ack_timeout_ms": "1500"}
WEBHOOKS = topics.WEBHOOKS.name


@pytest.fixture(scope="module")
def door(own_broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoor]:
    """An ingress with room for a MiB, on a broker that may die."""
    home = tmp_path_factory.mktemp("spilling")
    with running_door(settings_for(own_broker.bootstrap, home), home / "log", spill_max_bytes=str(1 << 20), **IMPATIENT) as running:
        yield running


@pytest.fixture
def broker(own_broker: RunningBroker) -> Iterator[RunningBroker]:
    """A broker that runs again afterwards."""
    yield own_broker
    if own_broker.process is None or own_broker.process.poll() is not None:
        own_broker.start()


def spill(door: RunningDoor) -> dict[str, Any]:
    found: dict[str, Any] = door.stranger.get("/health").json()["parts"]["spill"]
    return found


def kill(broker: RunningBroker, door: RunningDoor) -> None:
    """Kill the broker, and wait until the ingress has noticed."""
    broker.kill()
    until(lambda: spill(door)["way"] == "spilling", why=door.log.read_text)


def start(broker: RunningBroker, door: RunningDoor) -> None:
    """Start the broker, and wait until nothing waits for it any more."""
    broker.start()
    until(lambda: spill(door)["way"] == "broker", why=door.log.read_text)
    until(door.is_ready)


def of(broker: RunningBroker, endpoint: str) -> list[Read]:
    return [read for read in topic_reader(broker.bootstrap, WEBHOOKS) if read.header("ce_source") == f"/webhooks/{endpoint}"]


def body(number: int, size: int = 0) -> bytes:
    return b'{"id": "%d", "key": "k%d", "pad": "%s"}' % (number, number % 3, b"x" * size)


def test_what_is_kept_comes_once_and_in_order(door: RunningDoor, broker: RunningBroker) -> None:
    name = door.register(ordering_key="/key")
    taken = [door.send(name, body(number)).json()["event_id"] for number in range(20)]
    kill(broker, door)
    for number in range(20, 120):
        answer = door.send(name, body(number))
        assert answer.status_code == 202, answer.text
        taken.append(answer.json()["event_id"])
    packed = gzip.compress(body(120))
    answer = door.send(name, packed, **{"content-encoding": "gzip"})
    assert answer.status_code == 202, "also what does not come the short way"
    assert door.send(name, secret="wrong").status_code == 401
    health = door.stranger.get("/health")
    assert (health.status_code, health.json()["status"], door.is_ready()) == (200, "degraded", True)
    assert health.json()["parts"]["spill"]["entries"] == 101
    assert health.json()["parts"]["spill"]["oldest_age_seconds"] > 0
    shown = door.stranger.get("/metrics").text
    assert 'xyra_spill_state{state="spilling"} 1.0' in shown
    assert "xyra_spill_entries 101.0" in shown
    start(broker, door)
    assert door.send(name, body(121)).status_code == 202
    found = of(broker, name)
    assert collections.Counter(read.value for read in found) == collections.Counter(body(number) for number in range(122))
    assert {read.value: read.header("ce_id") for read in found}.items() >= dict(zip(map(body, range(120)), taken, strict=True)).items()
    for key in range(3):
        mine = [read for read in found if read.key == b"k%d" % key]
        assert [read.value for read in mine] == [body(number) for number in range(122) if number % 3 == key]
        assert [read.timestamp_ms for read in mine] == sorted(read.timestamp_ms for read in mine), "the time of a record is when it was accepted"
        assert all(read.header("x-config-offset") for read in mine)
    assert spill(door)["bytes"] == 0
    assert "xyra_spill_drained_total 101.0" in door.stranger.get("/metrics").text


def test_a_log_that_is_full_is_answered_with_503(door: RunningDoor, broker: RunningBroker) -> None:
    name = door.register()
    kill(broker, door)
    answers = [door.send(name, body(number, 50_000)) for number in range(25)]
    statuses = [answer.status_code for answer in answers]
    assert statuses == [202] * statuses.count(202) + [503] * statuses.count(503)
    assert 15 < statuses.count(202) < 22
    assert answers[-1].headers["retry-after"] == "30"
    assert (spill(door)["status"], door.is_ready()) == ("full", False)
    start(broker, door)
    assert sorted(read.value or b"" for read in of(broker, name)) == sorted(body(number, 50_000) for number in range(statuses.count(202)))
    assert door.send(name).status_code == 202


def test_a_disk_that_fails_is_answered_with_503_until_it_does_not(door: RunningDoor, broker: RunningBroker) -> None:
    name = door.register()
    kill(broker, door)
    assert door.send(name, body(1)).status_code == 202
    assert door.process is not None
    process = psutil.Process(door.process.pid)
    process.rlimit(psutil.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))  # every write fails, as on a disk without room
    failed = door.send(name, body(2))
    assert (failed.status_code, failed.headers["retry-after"]) == (503, "10")
    assert (spill(door)["status"], door.is_ready()) == ("failing", False)
    assert "cannot be written" in spill(door)["trouble"]
    process.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert door.send(name, body(3)).status_code == 202
    assert (spill(door)["status"], door.is_ready()) == ("spilling", True)
    start(broker, door)
    assert [read.value for read in sorted(of(broker, name), key=lambda read: read.timestamp_ms)] == [body(1), body(3)]


def test_a_full_disk_is_answered_with_503_and_what_was_kept_is_there(broker: RunningBroker, tmp_path: Path) -> None:
    """A file system of a MiB where one may be mounted; elsewhere no file may grow beyond a quarter of that."""
    settings = settings_for(broker.bootstrap, tmp_path)
    folder = settings.data_dir / "spill"
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], check=False, capture_output=True).returncode == 0
    try:
        with running_door(settings, tmp_path / "log", **IMPATIENT) as door:
            name = door.register()
            kill(broker, door)
            if not mounted and door.process is not None:
                psutil.Process(door.process.pid).rlimit(psutil.RLIMIT_FSIZE, (1 << 18, resource.RLIM_INFINITY))
            answers = [door.send(name, body(number, 50_000)) for number in range(30)]
            kept = [number for number, answer in enumerate(answers) if answer.status_code == 202]
            refused = [answer for answer in answers if answer.status_code == 503]
            assert len(kept) + len(refused) == 30
            assert kept
            assert {answer.headers["retry-after"] for answer in refused} == {"10"}
            broker.start()
            until(lambda: spill(door)["way"] == "broker", why=door.log.read_text)
            assert door.send(name).status_code == 202
            assert sorted(read.value or b"" for read in of(broker, name)) == sorted([b"{}", *(body(number, 50_000) for number in kept)])
            assert "Traceback" not in door.log.read_text()
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def test_killed_while_it_keeps_and_started_again(door: RunningDoor, broker: RunningBroker) -> None:
    name = door.register()
    kill(broker, door)
    request, rest = head_of_unfinished(name)
    with socket.create_connection(("127.0.0.1", door.port)) as line:
        line.sendall(request + rest)
        assert line.recv(1000).startswith(b"HTTP/1.1 202")
    for number in range(50):
        assert door.send(name, body(number)).status_code == 202
    door.stop(signal.SIGKILL)
    broker.start()
    door.start()
    until(lambda: spill(door)["way"] == "broker", why=door.log.read_text)
    assert collections.Counter(read.value for read in of(broker, name)) == collections.Counter([b'{"n": 1}', *map(body, range(50))])


def prefilled(door: RunningDoor, name: str, many: int) -> None:
    """Stop the ingress and put many webhooks where it keeps them."""
    instance = next((door.settings.data_dir / "spill").iterdir()).name
    door.stop()
    kept = Spool(door.settings.data_dir / "spill" / instance, 1 << 30)
    source = [("ce_source", f"/webhooks/{name}")]
    for first in range(0, many, 1000):
        kept.append([Entry(1_700_000_000_000 + n, WEBHOOKS, b"k%d" % (n % 8), b"%d" % n, [*source]) for n in range(first, first + 1000)])
    kept.close()


def drains_on(door: RunningDoor, before: int) -> bool:
    now = spill(door)
    return bool(now["drained"] > before or now["way"] == "broker")


def each_once_in_order(broker: RunningBroker, name: str, many: int) -> None:
    found = of(broker, name)
    assert len(found) == many
    for key in range(8):
        assert [int(read.value or b"") for read in found if read.key == b"k%d" % key] == list(range(key, many, 8))


def test_killed_again_and_again_while_it_drains(door: RunningDoor, broker: RunningBroker) -> None:
    name, many, kills = door.register(), 60_000, 0
    prefilled(door, name, many)
    for _ in range(5):
        door.process = door.launch()
        until(lambda: not door.refuses(), why=door.log.read_text)
        until(lambda: spill(door)["drained"] > 0 or spill(door)["way"] == "broker", why=door.log.read_text)
        kills += spill(door)["way"] != "broker"
        door.stop(signal.SIGKILL)
    door.start()
    until(lambda: spill(door)["way"] == "broker", why=door.log.read_text)
    assert kills
    each_once_in_order(broker, name, many)


def test_a_broker_that_dies_again_and_again_while_it_drains(door: RunningDoor, broker: RunningBroker) -> None:
    name, many = door.register(), 150_000
    prefilled(door, name, many)
    door.process = door.launch()
    until(lambda: not door.refuses(), why=door.log.read_text)
    for _ in range(3):
        until(partial(drains_on, door, spill(door)["drained"]), why=door.log.read_text)
        broker.kill()
        broker.start()
    until(lambda: spill(door)["way"] == "broker", why=door.log.read_text)
    until(door.is_ready)
    each_once_in_order(broker, name, many)


def test_killed_between_the_commit_and_the_deletion(broker: RunningBroker, tmp_path: Path) -> None:
    settings = settings_for(broker.bootstrap, tmp_path)
    ensure_topics(settings, (topics.WEBHOOKS, topics.STATUS))
    spool = Spool(tmp_path / "one", 1 << 20)
    source = f"/webhooks/{tmp_path.name}"
    spool.append([Entry(1_700_000_000_000, WEBHOOKS, b"k", b"%d" % n, [("ce_source", source)]) for n in range(10)])
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    drain = Drain(settings, tmp_path.name, spool)
    drain.take_over(30)
    drain.move(*spool.read(4, 1000))
    drain.close()
    again = Spool(tmp_path / "other", 1 << 20)
    drain = Drain(settings, tmp_path.name, again)
    drain.take_over(30)
    assert again.entries == 6
    drain.move(*again.read(100, 10_000))
    drain.close()
    found = [read.value for read in topic_reader(broker.bootstrap, WEBHOOKS) if read.header("ce_source") == source]
    assert found == [b"%d" % n for n in range(10)]
    spool.close()
    again.close()


def test_what_is_too_old_or_turned_off_takes_nothing_more(broker: RunningBroker, tmp_path: Path) -> None:
    settings = settings_for(broker.bootstrap, tmp_path)
    with running_door(settings, tmp_path / "log", spill_max_age_seconds="1", **IMPATIENT) as door:
        name = door.register()
        kill(broker, door)
        assert door.send(name, body(1)).status_code == 202
        until(lambda: door.send(name, body(2)).status_code == 503)
        assert (spill(door)["status"], door.is_ready()) == ("full", False)
        door.stop()
    with running_door_without_waiting(RunningDoor(settings, tmp_path / "log", start=False, spill="off", **IMPATIENT)) as door:
        broker.start()
        until(door.is_ready, why=door.log.read_text)
        until(lambda: spill(door)["status"] == "off", why=door.log.read_text)
        broker.kill()
        assert door.send(name, body(3)).status_code == 503
        until(lambda: not door.is_ready())
    broker.start()
    assert body(1) in {read.value for read in of(broker, name)}


class running_door_without_waiting:  # noqa: N801  a context manager, used as one
    """An ingress that is launched while the broker is away, and is therefore not ready."""

    def __init__(self, door: RunningDoor) -> None:
        self.door = door

    def __enter__(self) -> RunningDoor:
        self.door.process = self.door.launch()
        until(lambda: not self.door.refuses())
        return self.door

    def __exit__(self, *_: object) -> None:
        self.door.close()


def test_the_folder_belongs_to_who_may_read_it(door: RunningDoor, broker: RunningBroker) -> None:
    name = door.register()
    kill(broker, door)
    assert door.send(name, body(1)).status_code == 202
    files = list((door.settings.data_dir / "spill").rglob("*.spill"))
    assert [oct(file.stat().st_mode & 0o777) for file in files] == ["0o600"]
    start(broker, door)
