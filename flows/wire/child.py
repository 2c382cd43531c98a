"""A process that reads a file for us: disposable, bound by limits of its own, asked by frames over its pipes."""

from collections.abc import Callable, Mapping, Sequence
from threading import Timer
from typing import IO, Any, Final

from flows.core.files.frames import Broken, Frame, read, write
from flows.wire.forked import Forked

ANSWER_S: Final = 120.0
TAIL: Final = 500


class ReaderDied(Exception):
    """The process ended or hung in the middle of a question; the text says how, and what it said last."""


class Child:
    """One reading process. One thread at a time; close it."""

    def __init__(self, process: Forked, says: IO[bytes]) -> None:
        """Take a process, and the file it writes its last words to; it may not have begun yet."""
        self._process, self._says = process, says

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, head: Mapping[str, Any], parts: Sequence[bytes] = (), patience_s: float = ANSWER_S, *, meanwhile: Callable[[], None] | None = None) -> Frame:
        """Ask, and return the answer; blocks for `patience_s` at most. `meanwhile` is called between the two, and must not raise.

        Raises:
            ReaderDied: it ended, was ended by its limits, or did not answer.

        """
        watch = Timer(patience_s, self._process.kill)
        watch.daemon = True
        watch.start()
        try:
            write(self._process.stdin, Frame(dict(head), tuple(parts)))
            if meanwhile is not None:
                meanwhile()
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
        self._process.close()
        self._says.close()

    def _end(self) -> str:
        """Say how it ended."""
        self._process.kill()
        code = self._process.wait()
        size = self._says.seek(0, 2)
        self._says.seek(max(0, size - TAIL))
        last = self._says.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
        how = "ended" if code is None else f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"The process that read the file {how}. It said last: {last or 'nothing'}"
