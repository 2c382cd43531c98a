"""Reads the next portion of a file while the one before it is published: what will be asked for is known from the answer before."""

from base64 import b64encode
from threading import Lock, Thread
from typing import Any, Final, Protocol

from flows.core.imports.portion import place_in

OFFSET_BYTES: Final = 8
"""An answer begins with the offset of the piece that comes next; a `Portion` follows."""


class Source(Protocol):
    """What reads portion by portion, on one thread at a time."""

    def portion(self, asked: dict[str, Any]) -> bytes:
        """Read what is asked for; blocks."""
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
    """One portion, being read on a thread of its own. Taken or closed once."""

    def __init__(self, source: Source, asked: dict[str, Any]) -> None:
        """Begin."""
        self.asked = asked
        self._source = source
        self._lock = Lock()
        self._over = self._unwanted = False
        self._answer = b""
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="ahead", daemon=True)
        self._thread.start()

    def take(self) -> bytes:
        """Return what was read; blocks until it is, and raises what reading raised. The source is the caller's again."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._answer

    def close(self) -> None:
        """Let go of it and of its source; does not wait for what is being read, which is then of no use."""
        with self._lock:
            self._unwanted = True
            over = self._over
        if over:
            self._source.close()
        else:
            self._source.stop()

    def _run(self) -> None:
        try:
            self._answer = self._source.portion(self.asked)
        except BaseException as error:  # noqa: BLE001  whatever it is, `take` raises it where it is seen
            self._error = error
        with self._lock:
            self._over = True
            unwanted = self._unwanted
        if unwanted:
            self._source.close()
