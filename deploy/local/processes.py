"""Processes by identity rather than by number: a pid alone may be somebody else's by now."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from time import monotonic, sleep
from typing import Any, Final, NamedTuple

import psutil

CREATED_TOLERANCE_S: Final = 2.0
"""A process's start is told relative to the machine's boot, whose own time moves a little when the clock is set."""
PR_SET_PDEATHSIG: Final = 1
LOOK_S: Final = 0.05


class Identity(NamedTuple):
    """What makes a process this one: its pid, when it started (Unix seconds), its command line."""

    pid: int
    created: float
    command: tuple[str, ...]

    @classmethod
    def of(cls, data: Sequence[Any]) -> "Identity":
        """Read it back from JSON."""
        pid, created, command = data
        return cls(int(pid), float(created), tuple(str(word) for word in command))


def identify(pid: int) -> Identity | None:
    """Return the identity of a process that runs now; None when it has ended."""
    try:
        process = psutil.Process(pid)
        return Identity(pid, process.create_time(), tuple(process.cmdline()))
    except psutil.Error:
        return None


def find(identity: Identity) -> psutil.Process | None:
    """Return the process if it still runs and still is that one; a zombie has ended."""
    try:
        process = psutil.Process(identity.pid)
        same = abs(process.create_time() - identity.created) < CREATED_TOLERANCE_S and tuple(process.cmdline()) == identity.command
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def stop(identities: Iterable[Identity], patience_s: float) -> int:
    """End these processes: SIGTERM, `patience_s` to leave in order, SIGKILL. Returns how many there were; blocks until they have ended."""
    running = [identity for identity in identities if find(identity)]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in filter(None, map(find, running)):
            _signal(process, number)
        until = monotonic() + patience_s
        while any(map(find, running)) and monotonic() < until:  # a zombie has ended, whether its parent takes note or never does
            sleep(LOOK_S)
    return len(running)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return  # it left by itself meanwhile


def dying_with_parent() -> Callable[[], None]:
    """Return what a child runs before its program: ask the system to send it SIGTERM when the supervisor dies.

    SIGTERM, so that Kafka and the workers leave in order even then. Where the system has no such call, the next start finds
    them by their identities.
    """
    parent = os.getpid()
    prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None

    def ask() -> None:
        if prctl:
            prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
            if os.getppid() != parent:  # it died before we asked
                os._exit(1)

    return ask


def memory_bytes(process: psutil.Process) -> tuple[int, int]:
    """Return (resident, proportional) bytes; where the system does not tell shares, both are the resident ones; (0, 0) when it has ended."""
    resident = 0
    try:
        resident = process.memory_info().rss
        proportional = getattr(process.memory_full_info(), "pss", 0)
    except psutil.NoSuchProcess:
        return 0, 0
    except psutil.AccessDenied:
        return resident, resident
    return resident, proportional or resident
