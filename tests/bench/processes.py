"""Processes of a run: started with their output in a file, ended without exception, measured from outside."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from deploy.local.parts import answers_ready

END_S: Final = 10.0
LOG_TAIL: Final = 2000


class Usage(NamedTuple):
    """What a process and its children have used until now."""

    cpu_s: float
    rss: int


class EndedEarly(RuntimeError):
    """A process of the run ended by itself; the text has the end of what it printed."""


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a process group of its own while the block runs; SIGTERM at its end, SIGKILL if that does not help."""
    process = start(command, log, env)
    try:
        yield process
    finally:
        end(process)


def start(command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a command, its output appended to `log`; `env` comes on top of our own."""
    with log.open("ab") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}, start_new_session=True)


def end(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> float:
    """Send a signal, wait, kill what is left of its group; return how many seconds the process took to go."""
    begin = time.monotonic()
    if process.poll() is None:
        process.send_signal(how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
    took = time.monotonic() - begin
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return took


def usage(process: subprocess.Popen[bytes]) -> Usage:
    """Return CPU seconds and resident bytes of a process with its children."""
    cpu, rss = 0.0, 0
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        for p in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = p.cpu_times()
                cpu, rss = cpu + times.user + times.system, rss + p.memory_info().rss
    return Usage(cpu, rss)


def check(process: subprocess.Popen[bytes], log: Path) -> None:
    """Do nothing while the process runs.

    Raises:
        EndedEarly: it has ended.

    """
    if (code := process.poll()) is not None:
        raise EndedEarly(f"{' '.join(map(str, process.args))[:200]} ended with exit code {code}:\n{tail(log)}")  # type: ignore[arg-type]  # always a list here


def await_ready(process: subprocess.Popen[bytes], log: Path, port: int, timeout_s: float) -> None:
    """Wait until `GET /health/ready` on `port` says so.

    Raises:
        EndedEarly: the process has ended.
        TimeoutError: it is not ready in time; the text has the end of what it printed.

    """
    end_at = time.monotonic() + timeout_s
    while not answers_ready("127.0.0.1", port):
        check(process, log)
        if time.monotonic() > end_at:
            msg = f"{log.stem}: not ready within {timeout_s:.0f} s:\n{tail(log)}"
            raise TimeoutError(msg)
        time.sleep(0.05)


def tail(log: Path) -> str:
    """Return the end of what was printed."""
    return log.read_text(errors="replace")[-LOG_TAIL:] if log.exists() else ""
