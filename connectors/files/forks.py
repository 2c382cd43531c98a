"""Processes forked from one that has loaded what they run: each is there in milliseconds, and what was loaded lies in memory once."""

import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NoReturn

import orjson

from flows.core.files.forks import CODE, NUMBER, PASSED, REQUEST_BYTES

MOST_OPEN: Final = 4096
"""No file of this process has a higher number: it has a socket for each process that lives."""

Run = Callable[[Mapping[str, Any]], int]
"""What a new process is: it takes what was asked, and returns the exit code."""


class Forks:
    """What was forked, and who is told its end.

    | in | with it |
    |---|---|
    | JSON: `directory`, and what the new process takes | what it has as stdin, stdout and stderr, and a socket of its own |

    That socket is told the process's number, with a handle of it (a pidfd), and at its end its exit code.
    """

    def __init__(self, control: socket.socket, run: Run) -> None:
        """Take where requests come from, and what a new process runs."""
        self._control, self._run = control, run
        self._told: dict[int, socket.socket] = {}

    def serve(self) -> None:
        """Fork a process for each request until nobody is there to ask, or to be told; blocks."""
        ended, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        asking: list[Any] = [self._control]
        while asking or self._told:
            ready = select.select([*asking, ended], [], [])[0]
            if ended in ready:
                os.read(ended, select.PIPE_BUF)
                self._reap()
            if self._control in ready:
                data, handles, *_ = socket.recv_fds(self._control, REQUEST_BYTES, PASSED)
                if data:
                    self._begin(orjson.loads(data), handles[:-1], socket.socket(fileno=handles[-1]))
                else:
                    asking = []  # those that live have ends to be told

    def _begin(self, asked: Mapping[str, Any], streams: Sequence[int], channel: socket.socket) -> None:
        try:
            pid = os.fork()
        except OSError:
            pid = -1  # the channel is closed, which says so
        if pid == 0:
            self._become(asked, streams)
        for stream in streams:
            os.close(stream)
        if pid < 0:
            channel.close()
            return
        self._told[pid] = channel
        handle = os.pidfd_open(pid)
        with suppress(OSError):  # who asked may be gone
            socket.send_fds(channel, [NUMBER.pack(pid)], [handle])
        os.close(handle)

    def _become(self, asked: Mapping[str, Any], streams: Sequence[int]) -> NoReturn:
        """Be the new process."""
        code = 1
        try:
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            os.closerange(len(streams), MOST_OPEN)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            os.chdir(asked["directory"])
            code = self._run(asked)
        except BaseException:  # noqa: BLE001  this is where the process ends
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        """Tell the ends of those that have ended."""
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                with self._told.pop(found[0]) as channel, suppress(OSError):
                    channel.send(CODE.pack(os.waitstatus_to_exitcode(found[1])))
