"""A process that another one has forked for us: we hold its pipes and a handle of it, and are told its exit code."""

import fcntl
import os
import select
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import IO, Final

from flows.core.files.forks import CODE, NUMBER

BEGINS_S: Final = 60.0
"""It begins at once, or when the process that forks it has loaded."""
TOLD_S: Final = 1.0
PIPE_BYTES: Final = 1 << 20
"""The most that anybody may have on Linux: a portion has megabytes, and each time a pipe is full or empty the two processes wait for each other."""


class Forked:
    """One process; like `subprocess.Popen`, for one that is nobody's child here. Any thread may kill it."""

    def __init__(self, stdin: int, stdout: int, channel: socket.socket, late: Callable[[], None], begins_s: float = BEGINS_S) -> None:
        """Take our ends of its pipes, and of the socket on which we hear of it; it may not have begun yet.

        `late` is called where somebody waits for it who hears nothing for `begins_s`: it has to end what forks, which holds the other ends and lets nobody go.
        """
        for pipe in (stdin, stdout):
            with suppress(OSError):  # who may have no more goes without
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.stdin: IO[bytes] = os.fdopen(stdin, "wb")
        self.stdout: IO[bytes] = os.fdopen(stdout, "rb")
        self._channel, self._late = channel, late
        self._channel.settimeout(begins_s)
        self._lock = Lock()
        self._begun = False
        self._pid = self._handle = -1

    @property
    def pid(self) -> int:
        """Its process id, -1 where it could not begin; waits until it has begun."""
        self._await()
        return self._pid

    def kill(self) -> None:
        """End it, if it has not ended; waits until it has begun."""
        handle = self._await()
        with self._lock, suppress(ProcessLookupError):
            if handle == self._handle >= 0:
                signal.pidfd_send_signal(handle, signal.SIGKILL)

    def wait(self) -> int | None:
        """Wait until it has ended, and return its exit code; None: nobody is left who knows."""
        handle = self._await()
        if handle >= 0:
            ended = select.poll()  # `select` takes no handle above 1023
            ended.register(handle, select.POLLIN)
            ended.poll()
        self._channel.settimeout(TOLD_S)
        try:
            told = self._channel.recv(CODE.size)
        except OSError:
            return None
        code: int | None = CODE.unpack(told)[0] if told else None
        return code

    def close(self) -> None:
        """Let go of its pipes; it has ended."""
        for pipe in (self.stdin, self.stdout):
            with suppress(OSError):  # what was not written any more
                pipe.close()
        self._channel.close()
        with self._lock:
            if self._handle >= 0:
                os.close(self._handle)
            self._handle = -1

    def _await(self) -> int:
        """Return the handle; -1 where it could not begin."""
        with self._lock:
            if not self._begun:
                try:
                    told, handles, *_ = socket.recv_fds(self._channel, NUMBER.size, 1)
                    if told:
                        self._pid, self._handle = NUMBER.unpack(told)[0], handles[0]
                except TimeoutError:
                    self._late()
                except OSError:  # who forks has gone
                    pass
                self._begun = True
            return self._handle
