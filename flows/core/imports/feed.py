"""The bytes of a file that is brought in, on their way into pieces."""

import hashlib
from collections.abc import Mapping
from typing import Any

from flows.core.files.guess import HINTS, SAMPLE, Cut, guess
from flows.core.files.pieces import Cutter, Piece
from flows.core.imports.staged import Staged


class Feed:
    """Takes a file block by block, from the byte that it stands at; knows the sha256 of all that went into pieces."""

    def __init__(self, name: str, source: Mapping[str, Any], data_format: str, staged: Staged, digest: "hashlib._Hash") -> None:
        """Go on from where a file stands.

        Args:
            name: the file's, whose extension may tell what it is.
            source: the job's `source_config`.
            data_format: the job's.
            staged: how far it was brought in.
            digest: of the bytes up to there; it is taken over.

        """
        self._name = name
        self._hints = {hint: source[hint] for hint in HINTS if source.get(hint) is not None} | {"data_format": data_format}
        self.at, self.fed = staged.at, staged.at
        """The bytes behind the last piece, and behind the last block."""
        self._digest = digest
        self._sample = b""
        self._cut = Cut.of(staged.cut) if staged.cut else None
        self._cutter: Cutter | None = self._cut.cutter(staged.state or None) if self._cut is not None else None

    @property
    def refused(self) -> str | None:
        """Why nothing of the file is read, in a sentence."""
        refused = self._cutter.refused if self._cutter is not None else None
        return refused.detail if refused is not None and not refused.torn else None

    @property
    def torn(self) -> str:
        """Why the file ends too early, in a sentence; what was cut of it is read."""
        refused = self._cutter.refused if self._cutter is not None else None
        return refused.torn if refused is not None else ""

    @property
    def digest(self) -> "hashlib._Hash":
        """The sha256 of the bytes up to `at`, as it is now."""
        return self._digest.copy()

    def feed(self, block: bytes) -> list[Piece]:
        """Take the next bytes, and return the pieces that are whole now."""
        self.fed += len(block)
        if self._cutter is not None:
            return self._gone(self._cutter.feed(block))
        self._sample += block
        return self._gone(self._begun().feed(self._taken())) if len(self._sample) >= SAMPLE else []

    def finish(self) -> list[Piece]:
        """Return what is left; the file is over."""
        cutter = self._cutter or self._begun()
        pieces = cutter.feed(self._taken()) if self._sample else []
        return self._gone(pieces + cutter.finish())

    def staged(self, before: Staged, *, over: bool) -> Staged:
        """Return how far the file is, behind the last piece."""
        state = self._cutter.state() if self._cutter is not None and not over else b""
        cut = self._cut.text().decode() if self._cut is not None else ""
        return before._replace(at=self.at, state=state, cut=cut, over=over, sha256=self._digest.hexdigest(), torn=self.torn)

    def _begun(self) -> Cutter:
        self._cut = guess(self._sample[:SAMPLE], self._name, "", self._hints)
        self._cutter = self._cut.cutter()
        return self._cutter

    def _taken(self) -> bytes:
        sample, self._sample = self._sample, b""
        return sample

    def _gone(self, pieces: list[Piece]) -> list[Piece]:
        for piece in pieces:
            self._digest.update(piece.data)
            self.at += len(piece.data)
        return pieces
