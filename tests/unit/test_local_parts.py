"""The pure parts of the local stack: waiting, ports, locked jars, what the environment decides, exit codes, logs."""

import errno
import hashlib
import re
import socket
from importlib import import_module
from pathlib import Path

import pytest

from connectors.testing import ManualClock
from deploy.flows import FLOWS, SOURCES, group
from deploy.local import exits, jars, logs, place, ports
from deploy.local.backoff import LONGEST_S, STABLE_S, Backoff
from deploy.local.cache import replacing, user_cache
from deploy.local.parts import worker_ports
from flows.core.errors import Busy, Fatal, Unavailable, WrongSetting
from flows.core.settings import load


def test_a_part_that_dies_again_and_again_waits_longer_and_longer() -> None:
    backoff = Backoff(ManualClock())
    assert [backoff.died() for _ in range(6)] == [0.0, 0.2, 0.4, 0.8, 1.6, 3.2]
    assert [backoff.died() for _ in range(100)][-1] == LONGEST_S


def test_a_part_that_stayed_ready_for_a_while_begins_anew() -> None:
    clock = ManualClock()
    backoff = Backoff(clock)
    for _ in range(5):
        backoff.died()
    backoff.ready()
    clock.advance(int(STABLE_S * 1000))
    assert backoff.died() == 0.0


def test_a_part_that_was_ready_for_a_moment_only_does_not() -> None:
    clock = ManualClock()
    backoff = Backoff(clock)
    backoff.died()
    backoff.ready()
    clock.advance(int(STABLE_S * 1000) - 1)
    assert backoff.died() == 0.2
    clock.advance(1_000_000)  # dead all the time
    assert backoff.died() == 0.4


def test_a_busy_port_is_named_with_its_holder_and_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(Busy, match=rf"Port {port} for Kafka is held by .*process \d+.*set INTEGRATION_LOCAL_KAFKA_PORT"):
            ports.check([ports.Wanted("127.0.0.1", port, "Kafka", "INTEGRATION_LOCAL_KAFKA_PORT")])
    ports.check([ports.Wanted("127.0.0.1", port, "Kafka", "INTEGRATION_LOCAL_KAFKA_PORT")])


def test_two_parts_that_want_one_port_are_told_which_settings_meet() -> None:
    kafka, door = (
        ports.Wanted("127.0.0.1", 9093, "Kafka's controller", "INTEGRATION_LOCAL_KAFKA_PORT"),
        ports.Wanted("127.0.0.1", 9093, "it", "INTEGRATION_HTTP_PORT"),
    )
    with pytest.raises(
        WrongSetting, match=r"^INTEGRATION_LOCAL_KAFKA_PORT and INTEGRATION_HTTP_PORT both lead to port 9093, for Kafka's controller and for it"
    ):
        ports.check([kafka, door])


def test_a_port_that_only_root_may_have_is_not_called_held() -> None:
    sentence = ports.why_not(ports.Wanted("127.0.0.1", 80, "the ingress", "INTEGRATION_HTTP_PORT"), PermissionError(errno.EACCES, "Permission denied"))
    assert sentence == "Port 80 for the ingress is one that only root may listen on: set INTEGRATION_HTTP_PORT to one from 1024 up"


@pytest.mark.parametrize("host", ["203.0.113.7", "2001:db8::7", "[2001:db8::7]", "no-such-host.invalid", "two..dots"])
def test_a_host_that_is_not_this_machine_is_not_a_busy_port(host: str) -> None:
    with pytest.raises(WrongSetting, match=rf"^INTEGRATION_HTTP_HOST is '{re.escape(host)}', which is not an address of this machine: \S.*127\.0\.0\.1"):
        ports.check_host(host, "INTEGRATION_HTTP_HOST")
    assert not ports.is_free(host, 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])  # noqa: S104  for a moment, on any port
def test_a_host_that_is_this_machine_is_one(host: str) -> None:
    ports.check_host(host, "INTEGRATION_HTTP_HOST")


def test_free_ports_are_free_and_together() -> None:
    first = ports.free_port(4)
    assert all(ports.is_free("127.0.0.1", first + n) for n in range(4))


def test_the_lock_of_the_jars_is_whole() -> None:
    found = jars.locked()
    assert {jar.file for jar in found} >= {"kafka_2.13-4.2.2.jar", "kafka-clients-4.2.2.jar"}
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in found)
    assert len({jar.file for jar in found}) == len(found)


def test_a_jar_with_another_sum_is_not_put_in_place(tmp_path: Path) -> None:
    (tmp_path / "got").write_bytes(b"something else")
    jar = jars.Jar("g", "a", "1", hashlib.sha256(b"the jar").hexdigest())
    with pytest.raises(Unavailable, match=r"a-1\.jar has the sha256 sum"):
        jars.place(tmp_path / "got", tmp_path, jar)
    assert not (tmp_path / jar.file).exists()
    (tmp_path / "got").write_bytes(b"the jar")
    jars.place(tmp_path / "got", tmp_path, jar)
    assert (tmp_path / jar.file).read_bytes() == b"the jar"


def test_jars_that_are_there_are_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "a-1.jar").write_bytes(b"")
    assert jars.ensure(tmp_path, (jars.Jar("g", "a", "1", ""),), pytest.fail) == [tmp_path / "jars" / "a-1.jar"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("before")
    with pytest.raises(FileNotFoundError), replacing(target):
        pass  # nothing was written to the part
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_the_cache_is_where_the_user_has_caches(tmp_path: Path) -> None:
    assert user_cache({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "xyra"
    assert user_cache({"XDG_CACHE_HOME": "relative"}).is_absolute()


def test_where_nothing_is_set_the_local_stack_is_meant() -> None:
    here = place.decide({"INTEGRATION_LOCAL_KAFKA_PORT": "9392"})
    assert (here.local_kafka, here.local_valkey) == (True, True)
    assert (here.settings.kafka_bootstrap_servers, here.settings.redis_host) == ("127.0.0.1:9392", "127.0.0.1")
    assert here.settings.data_dir == Path.cwd() / ".xyra"


def test_a_cluster_that_is_set_is_used_even_if_it_is_the_default() -> None:
    here = place.decide({"INTEGRATION_KAFKA_BOOTSTRAP_SERVERS": "localhost:9092", "INTEGRATION_REDIS_HOST": "cache.example"})
    assert (here.local_kafka, here.local_valkey) == (False, False)
    assert (here.settings.kafka_bootstrap_servers, here.settings.redis_host) == ("localhost:9092", "cache.example")


def test_children_are_told_what_was_decided(tmp_path: Path) -> None:
    environment = place.decide({}, str(tmp_path)).child_environment({"HOME": "h"})
    assert environment["HOME"] == "h"
    again = load(environment)
    assert (again.kafka_bootstrap_servers, again.redis_host, again.data_dir) == ("127.0.0.1:9092", "127.0.0.1", tmp_path)


def test_each_worker_has_a_port_of_its_own() -> None:
    assert worker_ports(load({"INTEGRATION_WORKERS": "2"}), ["a", "b"]) == {("a", 0): 9100, ("a", 1): 9101, ("b", 0): 9102, ("b", 1): 9103}


@pytest.mark.parametrize("name", FLOWS)
def test_the_table_of_flows_says_what_the_flows_say(name: str) -> None:
    flow = import_module(FLOWS[name]).FLOW
    assert (flow.name, flow.topic, flow.group) == (name, SOURCES[name], group(name))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-9, "killed by SIGKILL"),
        (143, "killed by SIGTERM"),
        (0, "exit code 0: it ended by itself"),
        (2, "exit code 2: a setting has a wrong value"),
        (3, "exit code 3: held by another process"),
        (4, "exit code 4: the process cannot go on"),
        (8, "exit code 8: Kafka, the disk or another part it needs was not ready"),
        (77, "exit code 77: it failed"),
    ],
)
def test_an_exit_code_has_words(code: int, words: str) -> None:
    assert exits.meaning(code) == words


def test_a_start_that_fails_ends_with_the_part_s_own_code() -> None:
    assert [type(exits.error_for(code, "")) for code in (2, 3, 1)] == [WrongSetting, Busy, Fatal]


def test_a_log_stays_bounded_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * (logs.LARGEST + 1))
        logs.trim(log)
        writer.write(b"one\ntwo\n")
        logs.trim(log)
    assert log.read_bytes() == b"one\ntwo\n"
    assert (tmp_path / "a.log.1").stat().st_size == logs.LARGEST + 1
    assert logs.tail(log, 1) == "two"
    assert logs.tail(tmp_path / "none", 3) == ""
