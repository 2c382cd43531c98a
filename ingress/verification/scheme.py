"""The engine: one compiled scheme per definition, which verifies, signs and answers challenges.

Order of a verification: signatures are read, the time is checked, the signed content put together, every live secret tried. Whatever ends it
early is paid for with the hash an ordinary mismatch would have cost, so that time tells a caller no more than the answer does.
"""

import functools
import hashlib
import hmac
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from flows.core.verification import Verification, template_parts
from ingress.verification.challenges import Asked, Challenger
from ingress.verification.keys import Hmac, Judge, PublicKey, judge_of, read_secret
from ingress.verification.message import MAX_SIGNATURES, ChallengeAnswer, Refusal, Rejected, Request, Secret, Signed, Unsigned, Verified
from ingress.verification.reading import Incoming, Place, decode, first_text, instant_ms, url_bytes
from ingress.verification.signing import Message, Private, sign

_PORTS: Final = {"https": 443, "http": 80}
_BODY_ALONE: Final = frozenset({"body"})
_COMMON: Final = frozenset({"body", "timestamp", "id"})


@dataclass(frozen=True, slots=True)
class Kind:
    """One way a signature may be written: its prefix, its encoding, what judges it."""

    prefix: bytes
    encoding: str
    judge: Judge


class Scheme:
    """A verification scheme made ready for use; holds no secret but the cache of the keys it was given. Not tied to a thread."""

    def __init__(self, verification: Verification) -> None:
        """Make everything ready that does not depend on a request."""
        self.verification = verification
        self._signatures = _signature_places(verification)
        self._kinds = _kinds(verification)
        self._parts = tuple((text.encode(), name) for text, name in template_parts(verification.content))
        self._names = frozenset(name for _, name in self._parts if name is not None)
        self._timestamp = None if verification.timestamp is None else Place.of(verification.timestamp)
        self._fields = {name: Place.of(location) for name, location in verification.fields.items()}
        self._body_hash = None if verification.body_hash is None else Place.of(verification.body_hash)
        self._ids = tuple(Place.of(location) for location in verification.id)
        self._types = tuple(Place.of(location) for location in verification.event_type)
        self._key: Callable[[str], bytes | PublicKey] = functools.lru_cache(maxsize=32)(
            functools.partial(read_secret, verification.algorithm, verification.secret)
        )
        self._challenger = Challenger(tuple(Asked.of(c) for c in verification.challenges), verification.verify_token, self._key)

    @property
    def challenge_methods(self) -> frozenset[str]:
        """The methods with which this sender may ask a challenge: `GET` (stands for HEAD too), `POST`."""
        return frozenset(challenge.method for challenge in self.verification.challenges)

    def verify(self, request: Request, secrets: Sequence[Secret], now_ms: int) -> Verified | Rejected:
        """Say whether one of the secrets signed this request, `now_ms` being milliseconds since the epoch. Never raises, for any bytes; no I/O."""
        incoming = Incoming(request)
        try:
            secret, timestamp_ms = self._check(incoming, secrets, now_ms)
        except Refusal as refusal:
            if refusal.reason != "signature_mismatch":
                decoy_verify(request)
            return Rejected(refusal.reason)
        return Verified(secret.secret_id, first_text(self._ids, incoming), first_text(self._types, incoming), timestamp_ms)

    def sign(
        self,
        body: bytes,
        secret: Secret,
        now_ms: int,
        *,
        event_id: str | None = None,
        event_type: str | None = None,
        url: str,
        method: str = "POST",
        private: Private | None = None,
    ) -> Signed | Unsigned:
        """Sign a message as the sender would; body and URL may come back changed where the scheme puts id, time or signature there.

        Answers `Unsigned("public_key_only")` where the endpoint holds only a public key and no `private` one is handed in: such a message cannot
        be made here, and the test route passes its sample on without a signature. Without `event_id` or `event_type` what the body holds stays.
        """
        return sign(self, Message(body, url, method, event_id, event_type), secret, now_ms, private)

    def challenge(self, request: Request, secrets: Sequence[Secret], verdict: Verified | Rejected | None = None) -> ChallengeAnswer | None:
        """Answer a question asked on set-up; None: the request is an ordinary message (or one nobody may be answered).

        `verdict` is what `verify` said of this request; challenges that must be signed are answered on `Verified` only. GET and HEAD
        come without one. Never raises, for any bytes.
        """
        return self._challenger.answer(Incoming(request), secrets, verdict)

    def key(self, secret: Secret) -> bytes | PublicKey:
        """Make a secret ready, at most once; raises ValueError when it cannot be used."""
        return self._key(secret.value)

    def contents(self, incoming: Incoming, timestamp: bytes | None = None) -> list[bytes]:
        """Put together what was signed; more than one where senders differ. `timestamp` is the time as written, if it was read before. Raises Refusal."""
        names = self._names
        if names == _BODY_ALONE and self._body_hash is None:
            return [self._filled({"body": incoming.request.body})]
        facts = {"body": incoming.request.body}
        if "timestamp" in names and self._timestamp is not None:
            facts["timestamp"] = timestamp or self._timestamp.one(incoming, "timestamp_missing", "timestamp_malformed")
        if "id" in names:
            facts["id"] = self._signed_id(incoming)
        if not names <= _COMMON or self._body_hash is not None:
            self._add_uncommon(facts, incoming)
        if "url" not in names:
            return [self._filled(facts)]
        return [self._filled({**facts, "url": url}) for url in self._urls(incoming.request.url)]

    def _add_uncommon(self, facts: dict[str, bytes], incoming: Incoming) -> None:
        request, names = incoming.request, self._names
        hashed = self._hashed_body(incoming)
        if "method" in names:
            facts["method"] = request.method.upper().encode("utf-8", "surrogatepass")
        if "body_sha256" in names:
            facts["body_sha256"] = hashlib.sha256(request.body).hexdigest().encode()
        if "form" in names:
            facts["form"] = b"" if hashed else b"".join(name + value for name, value in sorted(set(incoming.form())))
        for name, place in self._fields.items():
            if name in names:
                facts[name] = place.one(incoming, "field_missing", "field_malformed")

    def _check(self, incoming: Incoming, secrets: Sequence[Secret], now_ms: int) -> tuple[Secret, int | None]:
        signatures = self._read_signatures(incoming)
        written, timestamp_ms = self._check_time(incoming, now_ms)
        contents = self.contents(incoming, written)
        keys = self._keys(secrets)
        found = None
        for secret, key in keys:  # all of them, so that time does not tell which one matched
            for judge, given in signatures:
                if judge.matches(key, contents, given) and found is None:
                    found = secret
        if found is None:
            raise Refusal("signature_mismatch")
        return found, timestamp_ms

    def _read_signatures(self, incoming: Incoming) -> list[tuple[Judge, list[bytes]]]:
        written = [value for place in self._signatures for value in place.values(incoming)][:MAX_SIGNATURES]
        if not written:
            raise Refusal("signature_missing")
        found = []
        for kind in self._kinds:
            given = [decode(value[len(kind.prefix) :], kind.encoding) for value in written if value.startswith(kind.prefix)]
            size = kind.judge.size
            fit = [raw for raw in given if raw and (size is None or size == len(raw))]
            if fit:
                found.append((kind.judge, fit))
        if not found:
            raise Refusal("signature_malformed")
        return found

    def _check_time(self, incoming: Incoming, now_ms: int) -> tuple[bytes | None, int | None]:
        """A window on both sides also settles where a time ends and a body of digits begins, in schemes that run them together."""
        stamp = self.verification.timestamp
        if self._timestamp is None or stamp is None:
            return None, None
        written = self._timestamp.one(incoming, "timestamp_missing", "timestamp_malformed")
        timestamp_ms = instant_ms(written, stamp.unit)
        if timestamp_ms is None:
            raise Refusal("timestamp_malformed")
        if timestamp_ms < now_ms - stamp.window_seconds * 1000:
            raise Refusal("timestamp_old")
        if timestamp_ms > now_ms + stamp.window_seconds * 1000:
            raise Refusal("timestamp_future")
        return written, timestamp_ms

    def _keys(self, secrets: Sequence[Secret]) -> list[tuple[Secret, bytes | PublicKey]]:
        keys = []
        for secret in secrets:
            try:
                keys.append((secret, self._key(secret.value)))
            except ValueError:  # was refused when it was declared; one bad secret does not hold up the others
                continue
        if not keys:
            raise Refusal("secret_malformed" if secrets else "secret_missing")
        return keys

    def _signed_id(self, incoming: Incoming) -> bytes:
        for place in self._ids:
            if place.values(incoming):
                return place.one(incoming, "id_missing", "id_malformed")
        raise Refusal("id_missing")

    def _hashed_body(self, incoming: Incoming) -> bool:
        """Return whether the sender gave the body's hash; raises Refusal when it is not this body's."""
        given = [] if self._body_hash is None else self._body_hash.values(incoming)
        actual = hashlib.sha256(incoming.request.body).hexdigest().encode() if given else b""
        if not all(hmac.compare_digest(actual, value) for value in given):
            raise Refusal("body_hash_mismatch")
        return bool(given)

    def _filled(self, facts: dict[str, bytes]) -> bytes:
        if len(self._parts) == 1 and not self._parts[0][0]:
            return facts[self._parts[0][1] or ""]  # the content is one thing, mostly the body: no copy of it
        return b"".join(text + facts[name] if name is not None else text for text, name in self._parts)

    def _urls(self, url: str) -> list[bytes]:
        variants = [url] if self.verification.url_port == "as_sent" else _with_and_without_port(url)
        encoded = [url_bytes(variant) for variant in variants]
        return [_unescaped(variant, self.verification.url_unescape) for variant in encoded] if self.verification.url_unescape else encoded


def compile_scheme(verification: Verification) -> Scheme:
    """Make a scheme ready, once for a definition; all that can be wrong with it the model has refused before."""
    return Scheme(verification)


def decoy_verify(request: Request) -> None:
    """Do for an unknown endpoint what a mismatch costs at a known one: an HMAC SHA-256 over the body under a random key, and a compare."""
    hmac.compare_digest(hmac.digest(os.urandom(32), request.body, "sha256"), bytes(32))


def _signature_places(verification: Verification) -> tuple[Place, ...]:
    signature = verification.signature
    if not signature.numbered or signature.header is None:
        return (Place.of(signature),)
    return tuple(Place.of(signature.model_copy(update={"header": f"{signature.header}{n}"})) for n in range(1, MAX_SIGNATURES + 1))


def _kinds(verification: Verification) -> tuple[Kind, ...]:
    signature = verification.signature
    usual = Kind(signature.prefix.encode(), signature.encoding, judge_of(verification.algorithm))
    return (usual, Kind(b"sha1=", signature.encoding, Hmac("sha1", 20))) if verification.accept_sha1 else (usual,)


def _with_and_without_port(url: str) -> list[str]:
    try:
        parts = urlsplit(url)
        port, default, start = parts.port, _PORTS.get(parts.scheme), url.index(parts.netloc)
    except ValueError:
        return [url]
    if default is None or not parts.hostname:
        return [url]
    bare = parts.netloc.rpartition(":")[0] if port is not None else parts.netloc
    before, after = url[:start], url[start + len(parts.netloc) :]
    return list(dict.fromkeys([url, f"{before}{bare}{after}", f"{before}{bare}:{port or default}{after}"]))


def _unescaped(url: bytes, characters: str) -> bytes:
    for character in characters.encode():
        for escape in (b"%%%02X" % character, b"%%%02x" % character):
            url = url.replace(escape, bytes((character,)))
    return url
