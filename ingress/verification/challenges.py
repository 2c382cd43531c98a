"""Questions that senders ask when an endpoint is set up, and their answers."""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson
from pydantic import JsonValue

from flows.core.verification import Challenge
from ingress.verification.keys import PublicKey
from ingress.verification.message import MAX_TEXT, ChallengeAnswer, Refusal, Rejected, Secret, Verified
from ingress.verification.reading import Incoming, Place


@dataclass(frozen=True, slots=True)
class Asked:
    """A `Challenge`, made ready."""

    challenge: Challenge
    when: tuple[tuple[Place, bytes | None, bool], ...]
    token: Place | None
    value: Place | None

    @classmethod
    def of(cls, challenge: Challenge) -> "Asked":
        """Make a challenge ready."""
        return cls(
            challenge=challenge,
            when=tuple((Place.of(c.at), None if c.equals is None else c.equals.encode(), c.absent) for c in challenge.when),
            token=None if challenge.token is None else Place.of(challenge.token),
            value=None if challenge.value is None else Place.of(challenge.value),
        )

    def holds(self, incoming: Incoming) -> bool:
        """Return whether the request asks this."""
        method = "GET" if incoming.request.method == "HEAD" else incoming.request.method
        return method == self.challenge.method and all(_condition(incoming, *condition) for condition in self.when)


def _condition(incoming: Incoming, place: Place, equals: bytes | None, absent: bool) -> bool:  # noqa: FBT001  the third field of a row
    values = place.values(incoming)
    if absent:
        return not values
    return bool(values) if equals is None else values == [equals]


@dataclass(frozen=True, slots=True)
class Challenger:
    """Answers what one scheme's sender may ask."""

    asked: tuple[Asked, ...]
    verify_token: str | None
    key: Callable[[str], bytes | PublicKey]

    def answer(self, incoming: Incoming, secrets: Sequence[Secret], verdict: Verified | Rejected | None) -> ChallengeAnswer | None:
        """Answer the first challenge that the request asks; None when it asks none, or may not ask. Never raises, for any bytes."""
        try:
            found = next((candidate for candidate in self.asked if candidate.holds(incoming)), None)
            if found is None or (found.challenge.signed and not isinstance(verdict, Verified)):
                return None
            if found.token is not None and not _knows(found.token.values(incoming), self.verify_token, secrets):
                return None
            value = "" if found.value is None else _echoed(found.value.values(incoming))
        except Refusal:  # a form or query too long to be read asks nothing
            return None
        if value is None:
            return None
        made = self._hmac(value, secrets, verdict) if found.challenge.uses_secret else ""
        return _filled(found.challenge, value, made, empty=incoming.request.method == "HEAD")

    def _hmac(self, value: str, secrets: Sequence[Secret], verdict: Verified | Rejected | None) -> str:
        """Sign with the secret that the request was signed with."""
        matched = verdict.secret_id if isinstance(verdict, Verified) else None
        for secret in secrets:
            if secret.secret_id == matched:
                made = self.key(secret.value)
                return hmac.digest(made, value.encode(), "sha256").hex() if isinstance(made, bytes) else ""
        return ""


def _knows(given: list[bytes], verify_token: str | None, secrets: Sequence[Secret]) -> bool:
    wanted = [verify_token.partition(":")[2]] if verify_token else [_sha256(secret.value.encode("utf-8", "surrogatepass")) for secret in secrets]
    if len(given) != 1:
        return False
    digest, found = _sha256(given[0]), False
    for want in wanted:
        found |= hmac.compare_digest(digest, want)
    return found


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _echoed(given: list[bytes]) -> str | None:
    """Whoever asks chooses these bytes, so what is sent back is short and plain: printable ASCII."""
    if len(given) != 1 or not 0 < len(given[0]) <= MAX_TEXT or not given[0].isascii():
        return None
    text = given[0].decode("ascii")
    return text if text.isprintable() else None


def _filled(challenge: Challenge, value: str, made: str, *, empty: bool) -> ChallengeAnswer:
    def fill(text: JsonValue) -> JsonValue:
        return text.replace("{value_hmac}", made).replace("{value}", value) if isinstance(text, str) else text

    if challenge.json_body is not None:
        filled: Mapping[str, JsonValue] = {name: fill(text) for name, text in challenge.json_body.items()}
        return ChallengeAnswer(challenge.status, "application/json", b"" if empty else orjson.dumps(filled))
    text = str(fill(challenge.text or ""))
    return ChallengeAnswer(challenge.status, "text/plain; charset=utf-8", b"" if empty else text.encode())
