"""The processes of a storm under a small supervisor: what ends is started again, what is killed is counted."""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.ports import free_port
from tests.bench.place import environment
from tests.bench.processes import end, start, tail
from tests.chaos.plan import Report

ADMIN_KEY: Final = "storm-admin-key-that-nobody-else-has"
DRAIN_S: Final = 30.0
BACKOFF_S: Final = 0.3
"""Before a process that ended by itself is started again."""


@dataclass(slots=True)
class Member:
    """One process and how it is started."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    process: subprocess.Popen[bytes]
    again_at: float = 0.0
    """When it is to be started again, monotonic; 0 while it runs."""


Part = tuple[Sequence[str], Mapping[str, str]]
"""A command line, and its environment on top of our own."""


def webhook_parts(bootstrap: str, home: Path, workers: int, partitions: int, port: int) -> dict[str, Part]:
    """Return an ingress on `port`, and workers of the flow webhooks."""
    own = {"INTEGRATION_HTTP_PORT": str(port), "INTEGRATION_ADMIN_KEY": ADMIN_KEY, "INTEGRATION_KAFKA_PARTITIONS": str(partitions)}
    env = environment(bootstrap, home / "data", **own)
    parts: dict[str, Part] = {"ingress": ([sys.executable, "-m", "ingress"], env)}
    first = free_port(workers)
    # One worker takes the large batches of the default, the others small ones, so that a kill finds a transaction open more often.
    for slot in range(workers):
        command = [sys.executable, "-m", "deploy.cli.main", "worker", "webhooks", "--slot", str(slot), "--port", str(first + slot)]
        parts[f"worker-{slot}"] = command, {**env, **({"INTEGRATION_BATCH_RECORDS": "500"} if slot else {})}
    return parts


class Crew:
    """The processes of one storm; those that are to be killed at random are called workers."""

    def __init__(self, parts: Mapping[str, Part], home: Path, report: Report) -> None:
        """Start everything; `home` takes the logs."""
        self._home = home
        self._report = report
        self.members = {name: Member(name, command, env, start(command, self._log(name), env)) for name, (command, env) in parts.items()}

    def workers(self) -> list[str]:
        """Return the names of the workers."""
        return [name for name in self.members if name != "ingress"]

    def _log(self, name: str) -> Path:
        return self._home / f"{name}.log"

    def tick(self) -> None:
        """Start again what has ended by itself, after a moment."""
        for member in self.members.values():
            if member.process.poll() is None:
                continue
            if not member.again_at:
                self._report.exits[f"{_kind(member.name)} by itself -> {member.process.returncode}"] += 1
                member.again_at = time.monotonic() + BACKOFF_S
            elif time.monotonic() >= member.again_at:
                self._restart(member)

    def kill(self, name: str, how: signal.Signals) -> None:
        """Send a signal, wait for the end, start it again; blocks while it drains. One that does not leave within 30 s is a finding."""
        member = self.members[name]
        if member.process.poll() is not None:  # it has left by itself, as after the broker's end: the blow falls on its successor
            if not member.again_at:
                self._report.exits[f"{_kind(name)} by itself -> {member.process.returncode}"] += 1
            self._restart(member)
        begin = time.monotonic()
        member.process.send_signal(how)
        try:
            member.process.wait(DRAIN_S)
        except subprocess.TimeoutExpired:
            self._report.wrong.append(f"{name} had not left {DRAIN_S:.0f} s after {how.name}: {tail(self._log(name))}")
            end(member.process, signal.SIGKILL)
        self._report.kills[f"{_kind(name)} {how.name}"] += 1
        self._report.exits[f"{_kind(name)} {how.name} -> {member.process.returncode}"] += 1
        if how == signal.SIGTERM:
            self._report.drains.append(time.monotonic() - begin)
        self._restart(member)

    def _restart(self, member: Member) -> None:
        member.process, member.again_at = start(member.command, self._log(member.name), member.env), 0.0

    def stop(self) -> None:
        """Ask every process to leave, the ingress first; each must do so in order. Nothing is left to do the second time."""
        while self.members:
            member = self.members.pop(next(iter(self.members)))
            took = end(member.process)
            self._report.exits[f"{_kind(member.name)} at the end -> {member.process.returncode}"] += 1
            if member.process.returncode != 0:
                self._report.wrong.append(f"{member.name} left with exit code {member.process.returncode} after {took:.1f} s: {tail(self._log(member.name))}")

    def tails(self) -> str:
        """Return the end of everybody's log."""
        return "\n".join(f"--- {log.name}\n{tail(log)}" for log in sorted(self._home.glob("*.log")))


def _kind(name: str) -> str:
    return name.partition("-")[0]
