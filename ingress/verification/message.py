"""What goes into the engine and what comes out of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

MAX_SIGNATURES: Final = 16
"""How many signatures of a request are looked at: senders that rotate keys send two, and each costs an attacker's victim a compare."""
MAX_HEADER_BYTES: Final = 8192
"""How much of a header is looked at, over all lines of that name."""
MAX_ELEMENTS: Final = 64
"""How many elements of a header's list are looked at."""
MAX_PAIRS: Final = 1000
"""How many fields a form or a query may have, where the scheme has to read it."""
MAX_FORM_BYTES: Final = 262_144
"""How long a form or a query may be, where the scheme has to read it: decoding escapes takes up to 0.2 µs a byte, before anybody is checked."""
MAX_TEXT: Final = 512
"""The longest id, event type or challenge that is believed, in bytes."""

Reason = Literal[
    "signature_missing",
    "signature_malformed",
    "signature_mismatch",
    "timestamp_missing",
    "timestamp_malformed",
    "timestamp_old",
    "timestamp_future",
    "id_missing",
    "id_malformed",
    "field_missing",
    "field_malformed",
    "body_hash_mismatch",
    "form_too_long",
    "secret_missing",
    "secret_malformed",
]
"""Why a request was refused: for metrics and logs, never for the caller."""


class Request(NamedTuple):
    """A request as it came in: nothing decoded, nothing normalised. A tuple, like its verdicts: the hot path makes one of each for every webhook."""

    method: str
    url: str
    """The public URL as the sender saw it, with its query."""
    headers: Sequence[tuple[bytes, bytes]]
    """Names in lower case, as ASGI has them; repeated lines stay apart."""
    body: bytes
    """What a signature or a hash of the body is held against."""
    unpacked: bytes | None = None
    """What values in the body are read from, where `body` was packed (Content-Encoding); None: from `body`."""

    @property
    def document(self) -> bytes:
        """The body that can be read."""
        return self.body if self.unpacked is None else self.unpacked


@dataclass(frozen=True, slots=True)
class Secret:
    """One live secret of an endpoint; for public-key schemes, the sender's public key."""

    secret_id: str
    value: str

    def __repr__(self) -> str:
        """Show which secret it is, never the secret."""
        return f"Secret(secret_id={self.secret_id!r})"


class Verified(NamedTuple):
    """The sender proved itself; what else the scheme knows how to find."""

    secret_id: str
    sender_id: str | None
    event_type: str | None
    timestamp_ms: int | None


class Rejected(NamedTuple):
    """The sender did not prove itself."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Signed:
    """A message signed as the sender would have: send this body, to this URL, with these headers."""

    headers: tuple[tuple[str, str], ...]
    body: bytes
    url: str


@dataclass(frozen=True, slots=True)
class Unsigned:
    """No signature could be made, and why: `public_key_only`, `secret_malformed` or `body_unfit`."""

    reason: Literal["public_key_only", "secret_malformed", "body_unfit"]


@dataclass(frozen=True, slots=True)
class ChallengeAnswer:
    """What to answer a sender that asks on set-up; send it with `X-Content-Type-Options: nosniff`."""

    status: int
    content_type: str
    body: bytes


class Refusal(Exception):
    """Inside the engine only: ends the reading of a request; `Scheme.verify` makes it a `Rejected`."""

    def __init__(self, reason: Reason) -> None:
        """Take the reason's code."""
        super().__init__(reason)
        self.reason: Reason = reason
