"""A broker for a while: what tests and benchmarks start for themselves, on free ports, with its data thrown away."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from deploy.local import jars, kafka
from deploy.local.cache import user_cache
from deploy.local.java import Java, java
from deploy.local.ports import free_port
from deploy.local.training import await_kafka, ensure_aot_cache
from flows.core.errors import Unavailable

START_TIMEOUT_S: Final = 180.0
STOP_TIMEOUT_S: Final = 20.0


def runtime(environ: Mapping[str, str], say: Callable[[str], None]) -> Java:
    """Return the Java that Kafka runs on, with everything it needs fetched and made; blocks for half a minute the first time."""
    cache = user_cache(environ)
    ready = java(cache, jars.ensure(cache, jars.locked(), say))
    ensure_aot_cache(cache, ready, say)
    return ready


class RunningBroker:
    """A broker as a child process; it can be killed and started again on the same data and port."""

    def __init__(self, home: Path, java: Java) -> None:
        """Choose free ports; nothing runs before `start`."""
        self.broker = kafka.Broker(home, free_port(2), java)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """What clients are given."""
        return self.broker.bootstrap

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            Unavailable: it ended, or was not up within three minutes; the text carries the end of its log.

        """
        kafka.prepare(self.broker, lambda _: None)
        log = self.broker.home / "log"
        with log.open("ab") as out:
            process = self.process = subprocess.Popen(self.broker.command(), stdout=out, stderr=out, start_new_session=True)
        if not await_kafka(self.bootstrap, START_TIMEOUT_S, lambda: process.poll() is None):
            self.stop()
            msg = f"Kafka did not come up on {self.bootstrap}: {log.read_text(errors='replace')[-1000:]}"
            raise Unavailable(msg)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """End it in order; by force after 20 s."""
        if self.process:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_TIMEOUT_S)
        self.kill()


@contextlib.contextmanager
def running(home: Path, environ: Mapping[str, str]) -> Iterator[RunningBroker]:
    """Run a broker for the length of a block."""
    broker = RunningBroker(home, runtime(environ, lambda _: None))
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
