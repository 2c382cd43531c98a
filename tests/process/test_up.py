"""`xyra up` as a user meets it: the commands it shows work, what is killed comes back, Ctrl-C leaves nothing, the next start heals.

One stack goes through its life in the order of the tests; each begins where the one before it ended.
"""

import os
import re
import signal
import socket
from collections.abc import Iterator

import psutil
import pytest

from deploy.local import record
from deploy.local.kafka import MARK, whole
from deploy.local.ports import is_free
from deploy.local.processes import find
from tests.kit.stack import Stack

pytestmark = pytest.mark.timeout(240)
IDLE_LIMIT = 1024**3
WORKERS = ("worker-webhooks-0", "worker-deliveries-0", "worker-replay-0", "worker-imports-0")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("up"))
    try:
        yield made
    finally:
        made.close()


def shown(screen: str, title: str) -> str:
    """Return the command under a title of the screen."""
    found = re.search(rf"^{title}:\n  (.+)$", screen, re.MULTILINE)
    assert found, screen
    return found[1]


def try_out(stack: Stack, screen: str) -> None:
    """Do what the screen invites to, as it stands there."""
    registered = re.search(r'"endpoint_id": ?"(demo-[0-9a-f]+)"', stack.shell(shown(screen, "Register a webhook")))
    assert registered
    accepted = re.search(r'"event_id": ?"([^"]+)"', stack.shell(shown(screen, "Send a signed one")))
    assert accepted
    event = stack.shell(shown(screen, "Read the event off Kafka"))
    assert (accepted[1] in event, registered[1] in event, event.count("\n")) == (True, True, 1)
    assert event.rstrip().endswith('{"type":"payment.completed","amount":42}')


def nothing_is_left(stack: Stack) -> None:
    found = record.read(stack.data)
    assert found
    assert [identity for identity in [found.supervisor, *found.identities()] if find(identity)] == []
    assert all(is_free("127.0.0.1", port) for port in [*stack.ports.values(), stack.ports["LOCAL_KAFKA"] + 1])


def test_the_first_start_shows_a_key_once_and_commands_that_work(stack: Stack) -> None:
    screen = stack.start()
    key = (stack.data / "admin.key").read_text().strip()
    assert screen.count(key) == 1
    assert (stack.data / "admin.key").stat().st_mode & 0o777 == 0o600
    assert stack.data.stat().st_mode & 0o777 == 0o700
    try_out(stack, screen)


def test_status_tells_every_process_and_an_idle_stack_is_small(stack: Stack) -> None:
    found = stack.status()
    assert found["state"] == "ready"
    assert {process["name"] for process in found["processes"]} == {"supervisor", "kafka", "valkey", "ingress", "forkserver", *WORKERS}
    assert 0 < found["memory_bytes"] < IDLE_LIMIT
    stack.until(lambda: [flow["lag"] for flow in stack.status()["flows"]] == [0] * len(WORKERS))
    assert "payment" not in stack.xyra("status").stdout


def test_another_directory_does_not_mean_this_stack(stack: Stack) -> None:
    """Its ports are the ones that the environment names, so only the directory tells them apart."""
    for command in (["ledger"], ["topics", "list"]):
        asked = stack.xyra(*command, "--data-dir", "elsewhere")
        assert (asked.returncode, asked.stdout) == (1, "")
        assert f"Nothing runs on {stack.home / 'elsewhere'}" in asked.stderr
        assert stack.xyra(*command).returncode == 0


def test_a_data_directory_has_one_supervisor(stack: Stack) -> None:
    second = stack.xyra("up")
    assert second.returncode == 3
    assert "INTEGRATION_DATA_DIR" in second.stderr


@pytest.mark.parametrize("name", ["valkey", "worker-webhooks-0", "ingress", "kafka"])
def test_what_is_killed_comes_back(stack: Stack, name: str) -> None:
    os.kill(stack.processes()[name]["pid"], signal.SIGKILL)
    stack.until(lambda: stack.processes()[name]["restarts"] == 1 and stack.status()["state"] == "ready")
    assert stack.processes()[name]["last_exit"] == "killed by SIGKILL"
    assert f"{name} died (killed by SIGKILL); starting it again now" in stack.printed()


def test_workers_leave_in_order_with_what_forked_them_and_come_back(stack: Stack) -> None:
    before = {name: stack.processes()[name] for name in (*WORKERS, "forkserver")}
    os.kill(before["forkserver"]["pid"], signal.SIGKILL)
    stack.until(lambda: all(stack.processes()[name]["restarts"] == before[name]["restarts"] + 1 for name in WORKERS) and stack.status()["state"] == "ready")
    assert stack.processes()["forkserver"]["pid"] != before["forkserver"]["pid"]
    assert "Drained." in (stack.data / "logs" / "worker-imports-0.log").read_text()


def test_after_all_that_a_webhook_still_becomes_one_event(stack: Stack) -> None:
    answer = stack.shell(shown(stack.printed(), "Send a signed one").replace('"amount":42', '"amount":43'))
    assert '"status":"accepted"' in answer
    read = stack.shell(shown(stack.printed(), "Read the event off Kafka").replace("-n 1", "-n 2"))
    assert [line[-40:] for line in sorted(read.splitlines(), key=lambda line: line[-4:])] == [f'{{"type":"payment.completed","amount":{n}}}' for n in (42, 43)]
    stack.until(lambda: "2 records in; every one is accounted for" in stack.xyra("ledger", "--scan").stdout)  # the endpoint has no `url`: nothing is delivered


def test_ctrl_c_leaves_nothing(stack: Stack) -> None:
    assert stack.interrupt() == 0
    order = [line.split("Stopping ")[1] for line in stack.printed().splitlines() if "Stopping " in line]
    assert order == ["ingress", ", ".join(WORKERS), "kafka, valkey"]
    nothing_is_left(stack)
    assert stack.xyra("status").returncode == 1


def test_a_busy_port_is_a_sentence(stack: Stack) -> None:
    with socket.create_server(("127.0.0.1", stack.ports["HTTP"])):
        done = stack.xyra("up")
    assert done.returncode == 3
    assert "INTEGRATION_HTTP_PORT" in done.stderr
    assert f"process {os.getpid()}" in done.stderr
    nothing_is_left(stack)


def test_a_wrong_setting_is_a_sentence(stack: Stack) -> None:
    stack.environment["INTEGRATION_WORKERS"] = "many"
    done = stack.xyra("up")
    del stack.environment["INTEGRATION_WORKERS"]
    assert done.returncode == 2
    assert "INTEGRATION_WORKERS is 'many'; allowed is" in done.stderr


def test_after_everything_was_killed_the_next_start_heals(stack: Stack) -> None:
    detached = stack.xyra("up", "--detach")
    assert detached.returncode == 0, detached.stderr
    assert (stack.data / "admin.key").read_text().strip() not in detached.stdout
    try_out(stack, detached.stdout)
    log = (stack.data / "logs" / "up.log").read_bytes()
    assert stack.xyra("up", "--detach").returncode == 3
    assert (stack.data / "logs" / "up.log").read_bytes().startswith(log)
    pids = [process["pid"] for process in stack.processes().values()]
    for pid in pids:
        psutil.Process(pid).kill()
    stack.until(lambda: not any(map(psutil.pid_exists, pids)))
    (stack.data / "kafka" / "data" / MARK).write_text("#torn")
    again = stack.xyra("up", "--detach")
    assert again.returncode == 0, again.stderr
    assert "put back from the copy" in again.stdout
    assert whole(stack.data / "kafka" / "data" / MARK)
    assert stack.xyra("ledger").returncode == 0


def test_what_outlives_its_supervisor_is_stopped(stack: Stack) -> None:
    supervisor = stack.processes()["supervisor"]["pid"]
    found = record.read(stack.data)
    assert found
    psutil.Process(supervisor).kill()
    stack.xyra("down")
    assert [identity for identity in found.identities() if find(identity)] == []
    nothing_is_left(stack)
