"""A process that reads a file for us: disposable, bound by limits of its own, asked by frames over its pipes."""

import fcntl
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import Any, Final

from flows.core.errors import Unavailable
from flows.core.files.frames import Broken, Frame, read, write
from flows.core.settings import Settings

MODULE: Final = "connectors.files"
"""What is run; nothing of it is loaded here, so that what a file does to a parser it does not do to us."""
ANSWER_S: Final = 120.0
TAIL: Final = 500
PIPE_BYTES: Final = 1 << 20
"""The most that anybody may have on Linux: a portion has megabytes, and each time a pipe is full or empty the two processes wait for each other."""
ENVIRONMENT: Final = {"POLARS_MAX_THREADS": "2", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "LC_ALL": "C.UTF-8"}


class ReaderDied(Exception):
    """The process ended or hung in the middle of a question; the text says how, and what it said last."""


class Child:
    """One reading process. One thread at a time; close it."""

    def __init__(self, settings: Settings, scratch: Path) -> None:
        """Start it in the directory `scratch`, which must be there; does not wait until it has loaded.

        Raises:
            Unavailable: no process can be started.

        """
        bounds = (settings.import_child_memory_bytes, settings.import_child_cpu_seconds, settings.import_max_inflated_bytes)
        try:
            self._says = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
            try:
                self._process = self._started([sys.executable, "-P", "-m", MODULE, *map(str, bounds)], scratch)
            except OSError:
                self._says.close()
                raise
        except OSError as error:
            raise Unavailable(f"No process can be started that reads files ({error.strerror}). See that the machine has memory and processes left.") from error

    def _started(self, command: Sequence[str], scratch: Path) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(  # noqa: S603  our own module, with numbers
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._says, cwd=scratch, env=ENVIRONMENT, start_new_session=True
        )
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # who may have no more goes without
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)  # type: ignore[arg-type]  # a pipe, since one was asked for
        return process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def ask(self, head: Mapping[str, Any], parts: Sequence[bytes] = (), patience_s: float = ANSWER_S) -> Frame:
        """Ask, and return the answer; blocks for `patience_s` at most.

        Raises:
            ReaderDied: it ended, was ended by its limits, or did not answer.

        """
        watch = Timer(patience_s, self._process.kill)
        watch.daemon = True
        watch.start()
        try:
            assert self._process.stdin is not None  # noqa: S101  a pipe, since one was asked for
            assert self._process.stdout is not None  # noqa: S101  as above
            write(self._process.stdin, Frame(dict(head), tuple(parts)))
            answer = read(self._process.stdout)
        except (OSError, Broken, ValueError) as error:
            raise ReaderDied(self._end()) from error
        finally:
            watch.cancel()
        if answer is None:
            raise ReaderDied(self._end())
        return answer

    def stop(self) -> None:
        """End it while another thread may be asking, which is told that it died; it has to be closed all the same."""
        self._process.kill()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._says.close()

    def _end(self) -> str:
        """Say how it ended."""
        self._process.kill()
        code = self._process.wait()
        size = self._says.seek(0, 2)
        self._says.seek(max(0, size - TAIL))
        last = self._says.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"The process that read the file {how}. It said last: {last or 'nothing'}"
