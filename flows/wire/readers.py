"""Reading processes, forked from one that has loaded all they need: so each is there in milliseconds, not in the half second that loading takes."""

import os
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from threading import Lock, Thread, Timer
from typing import Final

import orjson

from flows.core.errors import Unavailable
from flows.core.settings import Settings
from flows.wire.child import Child
from flows.wire.forked import BEGINS_S, Forked

MODULE: Final = "connectors.files"
"""What is run; nothing of it is loaded here, so that what a file does to a parser it does not do to us."""
KEPT_S: Final = 60.0
"""Nobody has asked for a process after this, so nobody will soon; what has loaded holds some fifty megabytes."""
_HEAP: Final = str(16 << 20)
"""Bytes that the allocator keeps of what was freed. By itself it gives them back after every table and asks for them anew: some 200 pages a megabyte read."""
ENVIRONMENT: Final = {
    "POLARS_MAX_THREADS": "2",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": _HEAP,
    "MALLOC_MMAP_THRESHOLD_": _HEAP,
    "LC_ALL": "C.UTF-8",
}


class Readers:
    """Starts reading processes, all with the same limits; any thread may ask. It costs nothing before it is first asked."""

    def __init__(self, settings: Settings, kept_s: float = KEPT_S, begins_s: float = BEGINS_S) -> None:
        """Take the limits. `kept_s`: so long what has loaded is kept behind the last process that was begun; `begins_s`: so long one may take to begin."""
        self._limits = (settings.import_child_memory_bytes, settings.import_child_cpu_seconds, settings.import_max_inflated_bytes)
        self._kept_s, self._begins_s = kept_s, begins_s
        self._lock = Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._later: Timer | None = None

    def warm(self) -> None:
        """Have loaded what a process needs, which is soon to be asked for; does not wait for it. Who asks is told what goes wrong."""
        with suppress(Unavailable), self._lock:
            self._live()

    def begin(self, directory: Path) -> Child:
        """Start a process in a directory, which must be there; does not wait until it has begun.

        Raises:
            Unavailable: no process can be started.

        """
        with self._lock:
            for _ in range(2):
                server, control = self._live()
                try:
                    return self._forked(server, control, directory)
                except (BrokenPipeError, ConnectionResetError):  # it was ended by somebody
                    self._end()
                except OSError as error:
                    raise _unavailable(error) from error
        raise Unavailable("The process that starts others to read files ends again and again. See what it says in this one's log.")

    def close(self) -> None:
        """Keep what has loaded no longer; processes that were begun go on."""
        with self._lock:
            self._end()

    def _live(self) -> tuple["subprocess.Popen[bytes]", socket.socket]:
        """Return what has loaded, or does, and where to ask it, and keep it for a while."""
        if self._control is None or self._server is None or self._server.poll() is not None:
            self._end()
            try:
                self._server, self._control = _started()
            except OSError as error:
                raise _unavailable(error) from error
        if self._later is not None:
            self._later.cancel()
        self._later = Timer(self._kept_s, self.close)
        self._later.daemon, self._later.name = True, "readers"
        self._later.start()
        return self._server, self._control

    def _forked(self, server: "subprocess.Popen[bytes]", control: socket.socket, directory: Path) -> Child:
        with ExitStack() as ours, ExitStack() as theirs:
            says = ours.enter_context(tempfile.TemporaryFile())
            channel, channel_there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.callback(channel.close)
            theirs.callback(channel_there.close)
            there, stdin = _pipe(theirs, ours)
            stdout, back = _pipe(ours, theirs)
            request = orjson.dumps({"directory": str(directory), "limits": self._limits})
            socket.send_fds(control, [request], [there, back, says.fileno(), channel_there.fileno()])
            ours.pop_all()  # they are the process's from here on
        return Child(Forked(stdin, stdout, channel, partial(self._late, server), self._begins_s), says)

    def _late(self, server: "subprocess.Popen[bytes]") -> None:
        """End what is to fork and does not: whoever waits for a process of it is let go, and who asks next finds another."""
        with self._lock:
            if server is self._server:
                self._end()
        server.kill()

    def _end(self) -> None:
        """Let what has loaded end: it does so when nobody can ask any more, and the last that it has begun is gone."""
        if self._later is not None:
            self._later.cancel()
        if self._control is not None:
            self._control.close()
        self._server = self._control = self._later = None


def _pipe(reads: ExitStack, writes: ExitStack) -> tuple[int, int]:
    """Make a pipe, each end of which is closed with its stack."""
    begin, end = os.pipe()
    reads.callback(os.close, begin)
    writes.callback(os.close, end)
    return begin, end


def _started() -> tuple["subprocess.Popen[bytes]", socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with theirs:
            command = [sys.executable, "-P", "-m", MODULE]
            server = subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, cwd="/", env=ENVIRONMENT, start_new_session=True)  # noqa: S603  ours
    except OSError:
        ours.close()
        raise
    Thread(target=server.wait, name="reader server", daemon=True).start()  # whenever it ends, no zombie stays
    return server, ours


def _unavailable(error: OSError) -> Unavailable:
    return Unavailable(f"No process can be started that reads files ({error.strerror}). See that the machine has memory and processes left.")
