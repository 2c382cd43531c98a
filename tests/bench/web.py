"""The door: how many signed webhooks a second it takes, and how long one takes from its appointed time to its event."""

import contextlib
import hashlib
import hmac
import json
import pickle
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from deploy.cli.positions import positions
from deploy.cli.topics import all_topics
from deploy.local.ports import free_port
from flows.core import topics as tables
from flows.core.settings import load
from flows.wire.kafka import ensure_topics
from ingress.serve import BACKLOG, KEEP_ALIVE_S
from tests.bench.http_load import Plan, request
from tests.bench.latency import RATE, Seen, one, results
from tests.bench.place import Place
from tests.bench.processes import await_ready, running, usage
from tests.bench.results import Figure, Result, Series, percentile
from tests.bench.topics import wait_until

HOST: Final = "127.0.0.1"
BODY_BYTES: Final = 1024
DISTINCT: Final = 8192
"""Signed requests made beforehand, used in turn."""
CONNECTIONS: Final = 128
SECONDS: Final = 10
WARM_S: Final = 2
ADMIN_KEY: Final = "bench-admin-key-that-nobody-else-has"
SECRET: Final = "bench-secret"
ENDPOINT: Final = "bench"
OWN_START_S: Final = 30.0
PREPARE_S: Final = 4.0
"""Signing 23,000 requests and opening the connections takes less."""

WEBHOOK: Final = Figure(
    "webhook",
    "signed webhook of 1 KB, verified, acknowledged with acks=all, 128 connections",
    "requests/s",
    1.5,
    "at least",
    "an empty FastAPI route on the same server",
)
PATH: Final = Figure("path-p99", f"signed webhook to its event on xyra.events, {RATE:,}/s, p99", "ms", 150, "at most")


class Server(NamedTuple):
    """A server that answers."""

    port: int
    process: subprocess.Popen[bytes]


def signed(path: str, port: int, body: bytes) -> bytes:
    """Return a webhook as its sender would sign it where a definition says nothing about signatures."""
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return request("POST", path, f"{HOST}:{port}", body, [("x-signature", f"sha256={signature}")])


def padded(fields: dict[str, Any]) -> bytes:
    """Return JSON of 1 KB."""
    bare = json.dumps(fields | {"pad": ""}, separators=(",", ":"))
    return json.dumps(fields | {"pad": "x" * (BODY_BYTES - len(bare))}, separators=(",", ":")).encode()


@contextlib.contextmanager
def ingress(place: Place, name: str, **more: str) -> Iterator[Server]:
    """Run the ingress with one endpoint registered; `more` is put into its environment."""
    port = free_port()
    env = place.env(name, INTEGRATION_HTTP_PORT=str(port), INTEGRATION_ADMIN_KEY=ADMIN_KEY, **more)
    ensure_topics(load(env), all_topics())  # as `xyra up` does before it starts anything
    log = place.data / f"{name}.log"
    with running([sys.executable, "-m", "ingress"], log, env) as process:
        await_ready(process, log, port, OWN_START_S)
        register(port, {"endpoint_id": ENDPOINT, "secret": SECRET})
        yield Server(port, process)


def register(port: int, definition: dict[str, Any], admin_key: str = ADMIN_KEY) -> None:
    """Register a webhook; one that is there already stays as it is."""
    call = urllib.request.Request(
        f"http://{HOST}:{port}/integration/webhooks/register",
        json.dumps(definition).encode(),
        {"content-type": "application/json", "x-api-key": admin_key},
    )
    try:
        urllib.request.urlopen(call, timeout=10).close()  # noqa: S310  our own address
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise


@contextlib.contextmanager
def empty_route(place: Place) -> Iterator[Server]:
    """Run the peer on the server the ingress uses, set up as it is."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.bench.empty_route:app", "--host", HOST, "--port", str(port)]
    options = ["--loop", "uvloop", "--http", "httptools", "--ws", "none", "--lifespan", "on", "--no-access-log", "--log-level", "warning"]
    options += ["--no-server-header", "--no-proxy-headers", "--timeout-keep-alive", str(KEEP_ALIVE_S), "--backlog", str(BACKLOG)]
    with running([*command, *options], place.data / "empty_route.log") as process:
        wait_until(lambda: _listens(port), OWN_START_S, "the empty route")
        yield Server(port, process)


def _listens(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://{HOST}:{port}/openapi.json", timeout=1).close()
    except OSError:
        return False
    return True


def send(place: Place, plan: Plan) -> dict[str, Any]:
    """Run the load in a process of its own and return its report."""
    planned, out = place.data / "plan.pickle", place.data / "report.json"
    planned.write_bytes(pickle.dumps(plan))
    subprocess.run([sys.executable, "-m", "tests.bench.http_load", str(planned), str(out)], check=True, timeout=120)
    report: dict[str, Any] = json.loads(out.read_text())
    return report


def webhook(place: Place) -> Iterator[Result]:
    """As many as 128 connections can get answered, ours and the empty route by turns."""
    ours, peer = [], []
    for number in range(place.rounds()):
        place.say(f"webhook, round {number + 1}: ours")
        with ingress(place, "webhook") as server:
            ours.append(_closed(place, server, f"/integration/webhooks/{ENDPOINT}", 202))
        place.say(f"webhook, round {number + 1}: the empty route")
        with empty_route(place) as server:
            peer.append(_closed(place, server, "/hook", 200))
    yield Result(WEBHOOK, _rates(ours), _rates(peer), (("cost", {"ours": _cost(ours), "peer": _cost(peer)}),))


def _closed(place: Place, server: Server, path: str, status: int) -> dict[str, Any]:
    requests = [signed(path, server.port, padded({"id": n, "n": n, "due": 0, "type": "bench"})) for n in range(DISTINCT)]
    before = usage(server.process).cpu_s
    report = send(place, Plan(HOST, server.port, requests, CONNECTIONS, seconds=place.amount(SECONDS * 1000) / 1000, warm_s=WARM_S))
    report["cpu_us"] = 1e6 * (usage(server.process).cpu_s - before) / report["total"]
    if set(report["statuses"]) != {str(status)} or report["errors"]:
        msg = f"{path} answered {report['statuses']} with {report['errors']} errors, not {status} alone"
        raise RuntimeError(msg)
    return report


def _rates(reports: Sequence[dict[str, Any]]) -> Series:
    return Series(tuple(report["answered"] / report["seconds"] for report in reports))


def _cost(reports: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return what a request cost the server, and how long it took with all connections busy."""
    every = [latency for report in reports for latency in report["latencies"]]
    latencies = {f"p{share}_ms": round(1000 * percentile(every, share / 100), 2) for share in (50, 99)}
    return {"cpu_us_per_request": round(sum(report["cpu_us"] for report in reports) / len(reports), 1), **latencies}


def worker(slot: int, port: int) -> list[str]:
    """Return the command line of a webhook worker; `port` is that of its own `/health`."""
    return [sys.executable, "-m", "deploy.cli.main", "worker", "webhooks", "--slot", str(slot), "--port", str(port)]


def whole_path(place: Place) -> Iterator[Result]:
    """At a fixed rate through the door, the log and the flow, on to a reader of the events."""
    runs: list[Seen] = []
    log, health = place.data / "worker.log", free_port()
    with ingress(place, "path") as server, running(worker(0, health), log, place.env("path")) as process:
        await_ready(process, log, health, OWN_START_S)
        place.say("whole path: warming up")
        _closed(place, server, f"/integration/webhooks/{ENDPOINT}", 202)
        settings = load(place.env("path"))
        wait_until(lambda: all(at.lag == 0 for at in positions(settings, "webhooks")), OWN_START_S, "the worker's commits")
        for number in range(place.rounds()):
            place.say(f"whole path, round {number + 1}")
            runs.append(one(place, lambda due: _open(place, server.port, due), tables.EVENTS.name, ahead_s=PREPARE_S))
    yield from results(runs, None, PATH)


def _open(place: Place, port: int, due: list[float]) -> None:
    path = f"/integration/webhooks/{ENDPOINT}"
    requests = [signed(path, port, padded({"n": n, "due": round(at, 6), "id": f"{due[0]}-{n}"})) for n, at in enumerate(due)]
    report = send(place, Plan(HOST, port, requests, CONNECTIONS, due=due))
    if set(report["statuses"]) != {"202"} or report["errors"]:
        msg = f"the door answered {report['statuses']} with {report['errors']} errors, not 202 alone"
        raise RuntimeError(msg)
