"""`python -P -m connectors.files`: loads what files are read with, once, and forks a process for each file, for whoever is at the socket that is its stdin.

| in | with it |
|---|---|
| JSON: `directory`, `limits` (memory, CPU seconds, bytes of a file) | what the new process has as stdin, stdout and stderr, and a socket of its own |

The socket of a process is told its number, with a handle of it (a pidfd), and at its end its exit code. This one never sees a file: what is read in a process
dies with it. It ends when nobody is at its stdin any more, and its last process is gone.
"""

import gc
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any, Final, NoReturn

import orjson

from connectors.files.limits import Limits, allow, bind
from flows.core.files.forks import CODE, NUMBER, PASSED, REQUEST_BYTES

MOST_OPEN: Final = 4096
"""No file of this process has a higher number: it has a socket for each process that lives."""


class Forks:
    """What was forked, and who is told its end."""

    def __init__(self, control: socket.socket, child: ModuleType) -> None:
        """Take where requests come from, and what a new process runs."""
        self._control, self._child = control, child
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
            self._run(asked, streams)
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

    def _run(self, asked: Mapping[str, Any], streams: Sequence[int]) -> NoReturn:
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
            read_file(self._child, Limits(*asked["limits"]))
            code = 0
        except BaseException:  # noqa: BLE001  this is where the process ends
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        """Tell the ends of those that have ended."""
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                with self._told.pop(found[0]) as channel, suppress(OSError):
                    channel.send(CODE.pack(os.waitstatus_to_exitcode(found[1])))


def read_file(child: ModuleType, limits: Limits) -> None:
    """Bind this process, keep stdout for frames alone, and serve."""
    bind(limits)
    allow(limits.cpu_seconds)
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints goes to stderr
    session = child.Session(child.Limits(inflated_bytes=limits.file_bytes))
    child.serve(questions, answers, session, lambda: allow(limits.cpu_seconds))


def main() -> None:
    """Load, and serve."""
    gc.disable()  # what is loaded stays
    from flows.core.fields import hasten  # noqa: PLC0415 - it comes before what it hastens

    hasten()
    from connectors.files import child  # noqa: PLC0415 - as above

    gc.freeze()  # no collection looks at it, so its pages stay those of all
    gc.enable()
    with socket.socket(fileno=os.dup(0)) as control:
        Forks(control, child).serve()


if __name__ == "__main__":
    main()
