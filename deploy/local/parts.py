"""What the stack consists of: each part's command line, how to ask whether it is ready, which ports it takes."""

import http.client
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from confluent_kafka import Producer

from deploy.local import kafka, valkey
from deploy.local.java import Java
from deploy.local.place import Place
from deploy.local.ports import Wanted
from deploy.local.training import await_answer, await_kafka, first_producer
from flows.core.settings import Settings

PROBE_TIMEOUT_S: Final = 1.0
Say = Callable[[str], None]
Stage = Literal["door", "workers", "stores"]
"""They stop in this order."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the stack.

    `command` prepares what the process needs and returns its command line; it is asked before every start and may block.
    `ready` really asks the process; it may block for a second.
    """

    name: str
    stage: Stage
    command: Callable[[], list[str]]
    ready: Callable[[], bool]
    wants: tuple[Wanted, ...]
    url: str
    patience_s: float
    """How long it may take to leave in order."""
    hangs: Callable[[], bool] = lambda: False
    """Tells whether the process itself says that it stands still; may block for a second."""
    forked: bool = False
    """Its command line is the arguments of `xyra`, which a process that is forked from one that has loaded everything (`forkserver`) runs."""


def worker_ports(settings: Settings, flows: list[str]) -> dict[tuple[str, int], int]:
    """Return the port of each worker's own `/health` and `/metrics`, by flow and slot: one after the other from INTEGRATION_WORKER_PORT."""
    slots = [(flow, slot) for flow in flows for slot in range(settings.workers)]
    return {slot: settings.worker_port + index for index, slot in enumerate(slots)}


def parts(place: Place, flows: list[str], java: Java | None, say: Say) -> list[Part]:
    """Return the parts for this place, in the order they start; `java` is needed where Kafka is local."""
    settings = place.settings
    made = []
    if java:
        made.append(kafka_part(kafka.Broker(settings.data_dir / "kafka", settings.local_kafka_port, java), say))
    if place.local_valkey:
        made.append(valkey_part(settings))
    made.append(ingress_part(settings))
    made.extend(worker_part(settings, flow, slot, port) for (flow, slot), port in worker_ports(settings, flows).items())
    return made


class LocalKafka:
    """The local broker, which mistrusts its AOT cache when a start with it came to nothing."""

    def __init__(self, here: kafka.Broker, say: Say) -> None:
        """Nothing runs and nothing is doubted."""
        self._here = here
        self._say = say
        self._unproven = False
        self._asker: Producer | None = None

    def command(self) -> list[str]:
        """Prepare the data directory and return the command line; may block for a second."""
        if self._unproven:
            self._here.java.aot.unlink(missing_ok=True)
        self._unproven = True
        kafka.prepare(self._here, self._say)
        return self._here.command()

    def ready(self) -> bool:
        """Tell whether it answers with metadata; blocks for a second at most."""
        if not self._unproven:
            self._asker = None
            return await_kafka(self._here.bootstrap, PROBE_TIMEOUT_S)
        self._asker = self._asker or first_producer(self._here.bootstrap)  # kept a while after the answer: it has more to ask
        answered = await_answer(self._asker, PROBE_TIMEOUT_S)
        self._unproven = not answered
        return answered


def kafka_part(here: kafka.Broker, say: Say) -> Part:
    """Return the local broker."""
    setting = "INTEGRATION_LOCAL_KAFKA_PORT"
    wants = (Wanted(kafka.HOST, here.port, "Kafka", setting), Wanted(kafka.HOST, here.port + 1, "Kafka's controller", setting))
    local = LocalKafka(here, say)
    return Part("kafka", "stores", local.command, local.ready, wants, here.bootstrap, 15.0)


def valkey_part(settings: Settings) -> Part:
    """Return the local Valkey."""
    home, port, password = settings.data_dir / "valkey", settings.redis_port, settings.redis_password
    wants = (Wanted(valkey.HOST, port, "Valkey", "INTEGRATION_REDIS_PORT"),)
    return Part(
        "valkey",
        "stores",
        lambda: valkey.command(home, port, password),
        lambda: valkey.answers(valkey.HOST, port, password),
        wants,
        f"{valkey.HOST}:{port}",
        5.0,
    )


def ingress_part(settings: Settings) -> Part:
    """Return the HTTP side."""
    host, port = reachable(settings.http_host), settings.http_port
    wants = (Wanted(settings.http_host, port, "the ingress", "INTEGRATION_HTTP_PORT"),)
    command = [sys.executable, "-P", "-m", "ingress"]
    return Part("ingress", "door", lambda: command, lambda: answers_ready(host, port), wants, f"http://{host}:{port}", 15.0, lambda: says_it_hangs(host, port))


def worker_part(settings: Settings, flow: str, slot: int, port: int) -> Part:
    """Return one worker."""
    command = ["worker", flow, "--slot", str(slot), "--port", str(port)]
    host = reachable(settings.http_host)
    wants = (Wanted(settings.http_host, port, f"worker {slot} of flow {flow}", "INTEGRATION_WORKER_PORT"),)
    return Part(
        f"worker-{flow}-{slot}",
        "workers",
        lambda: command,
        lambda: answers_ready(host, port),
        wants,
        f"http://{host}:{port}",
        10.0,
        lambda: says_it_hangs(host, port),
        forked=True,
    )


def reachable(host: str) -> str:
    """Return the address to call for a listening address: loopback where it listens on all."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104  compared, not listened on


def answers_ready(host: str, port: int) -> bool:
    """Tell whether `GET /health/ready` answers 200."""
    return _status(host, port, "/health/ready") == http.client.OK


def says_it_hangs(host: str, port: int) -> bool:
    """Tell whether `GET /health/live` answers that it does not; no answer says nothing, since a busy machine is slow."""
    return _status(host, port, "/health/live") == http.client.SERVICE_UNAVAILABLE


def _status(host: str, port: int, path: str) -> int:
    connection = http.client.HTTPConnection(host.strip("[]"), port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def log_path(settings: Settings, name: str) -> Path:
    """Return where a part's output goes."""
    return settings.data_dir / "logs" / f"{name}.log"
