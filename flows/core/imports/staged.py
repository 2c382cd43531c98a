"""How far a file that a job fetches itself was brought in, and what came of one portion of that work."""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from flows.core.files.pieces import Part, Piece


class Staged(NamedTuple):
    """How far a file was brought in; written into the run's state, and asked for again from there."""

    at: int = 0
    """The byte behind its last piece."""
    state: bytes = b""
    """What the cutter goes on from."""
    cut: str = ""
    version: Sequence[int | str] = ()
    """What tells that a file of a disk, or an object of a store, is the one it was."""
    over: bool = False
    sha256: str = ""
    """Of the bytes up to `at`; behind the last piece, of the file."""
    etag: str = ""
    """What its server says of the state it is in, with `modified`: a later run may ask whether it is in another."""
    modified: str = ""
    resumable: bool = False
    """Whether these two tell one state from another surely enough to go on in the middle."""
    total: int | None = None
    """Its bytes, where the server says."""
    spent_ms: int = 0
    """The time that fetching it has taken, waits left out."""
    calls: int = 0
    """Requests made for it."""
    anew: int = 0
    """How often it was begun anew, because it had changed."""
    torn: str = ""
    """Why the file, all of which was brought in, ends too early; empty: it does not."""

    def told(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return self._asdict() | {"state": b64encode(self.state).decode()}

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Staged":
        """Read what `told` returned."""
        return cls(**{**found, "state": b64decode(found["state"])})

    def afresh(self) -> "Staged":
        """Return how a file that has changed stands: at its beginning, its time and its requests counted on."""
        return Staged(spent_ms=self.spent_ms, calls=self.calls, anew=self.anew + 1)


class Later(NamedTuple):
    """The rest is to be tried again after a while."""

    sentence: str
    attempts: int
    """How often in a row that may happen, without a piece between, before the job fails."""
    wait_ms: int
    """What the server asks for; 0: nothing."""


class Brought(NamedTuple):
    """What came of one portion: how far it is, and pieces, or a sentence that ends the job."""

    staged: Staged
    pieces: Sequence[Piece] = ()
    failed: str | None = None
    later: Later | None = None
    same: bool = False
    """The file is as it was when an earlier run read it; nothing of it was brought in."""

    def pack(self) -> bytes:
        """Write it: a line of JSON, then the bytes of the pieces."""
        places = [[piece.start, piece.line, piece.first, piece.records, piece.part, len(piece.data)] for piece in self.pieces]
        told = {"staged": self.staged.told(), "places": places, "failed": self.failed, "later": self.later and [*self.later], "same": self.same}
        return b"".join((orjson.dumps(told), b"\n", *(piece.data for piece in self.pieces)))

    @classmethod
    def unpack(cls, data: bytes) -> "Brought":
        """Read what `pack` wrote."""
        at = data.index(b"\n") + 1
        head: Mapping[str, Any] = orjson.loads(data[:at])
        pieces = []
        for start, line, first, records, part, size in head["places"]:
            pieces.append(Piece(start, data[at : at + size], line, first, records, Part(part)))
            at += size
        later = Later(*head["later"]) if head["later"] is not None else None
        return cls(Staged.of(head["staged"]), pieces, head["failed"], later, head["same"])
