"""Reads the next portions of a file while the ones before are published: what will be asked for is known from the answer before."""

from base64 import b64encode
from collections import deque
from threading import Condition, Thread
from typing import Any, Final, Protocol

from flows.core.imports.portion import place_in

OFFSET_BYTES: Final = 8
"""An answer begins with the offset of the piece that comes next; a `Portion` follows."""
DEPTH: Final = 2
"""Portions that wait to be taken, at most: with one, who reads waits for each commit that takes a little longer."""


class Source(Protocol):
    """What reads portion by portion, on one thread at a time."""

    def portion(self, asked: dict[str, Any]) -> bytes:
        """Read what is asked for; blocks."""
        ...

    def behind(self, asked: dict[str, Any], answer: bytes) -> dict[str, Any] | None:
        """Return what is asked for behind an answer, if it can be read before that one is taken; None: it cannot, or there is nothing."""
        ...

    def stop(self) -> None:
        """Make `portion` fail soon; from any thread."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


def following(asked: dict[str, Any], answer: bytes) -> dict[str, Any]:
    """Return what is asked for behind an answer, if nothing changes meanwhile."""
    place = place_in(answer, OFFSET_BYTES)
    behind = {"at": place.at, "line": place.line, "ordinal": place.ordinal, "state": b64encode(place.state).decode()}
    known = {"known": None} if "known" in asked else {}
    return {**asked, **behind, **known, "from": int.from_bytes(answer[:OFFSET_BYTES], "big")}


class Ahead:
    """Portions of one source that follow one another, being read on a thread of their own; to be taken until `asked` is None, or closed."""

    def __init__(self, source: Source, asked: dict[str, Any]) -> None:
        """Begin with what is asked for."""
        self.asked: dict[str, Any] | None = asked
        """What `take` is going to answer; None: nothing more is read, and the source is the caller's again."""
        self._source = source
        self._changed = Condition()
        self._read: deque[tuple[bytes, dict[str, Any] | None]] = deque()
        """Answers, and what is asked for behind each."""
        self._over = self._unwanted = False
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, args=(asked,), name="ahead", daemon=True)
        self._thread.start()

    def take(self) -> bytes:
        """Return the next portion; blocks until it is read, and raises what reading raised: the source is the caller's then."""
        with self._changed:
            self._changed.wait_for(lambda: self._read or self._over)
            if not self._read and self._error is not None:
                raise self._error
            answer, self.asked = self._read.popleft()
            self._changed.notify_all()
        return answer

    def close(self) -> None:
        """Let go of it and of its source; does not wait for what is being read, which is then of no use."""
        with self._changed:
            self._unwanted = True
            over = self._over
            self._changed.notify_all()
        if over:
            self._source.close()
        else:
            self._source.stop()

    def _run(self, asked: dict[str, Any] | None) -> None:
        try:
            while asked is not None and self._wanted():
                answer = self._source.portion(asked)
                asked = self._source.behind(asked, answer)
                with self._changed:
                    self._read.append((answer, asked))
                    self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001  whatever it is, `take` raises it where it is seen
            self._error = error
        with self._changed:
            self._over = True
            unwanted = self._unwanted
            self._changed.notify_all()
        if unwanted:
            self._source.close()

    def _wanted(self) -> bool:
        """Wait until there is room for another one; False: nobody wants it any more."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._read) < DEPTH or self._unwanted)
            return not self._unwanted
