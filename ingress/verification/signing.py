"""Messages as a sender would sign them, for the test route: the verifier's scheme read the other way."""

import hmac
import secrets as random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote_plus, urlencode

import orjson

from flows.core.verification import PUBLIC_KEY, SHARED, Location, Signature, Verification
from ingress.verification.keys import Hmac, PublicKey, basic_value, judge_of
from ingress.verification.message import Refusal, Request, Secret, Signed, Unsigned
from ingress.verification.reading import ABSENT, Incoming, Place, encode, pairs, pointer_steps, written_instant

Private = Callable[[bytes], bytes]
"""A sender's private key: gives the signature over a content."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be signed."""

    body: bytes
    url: str
    method: str
    event_id: str | None
    event_type: str | None


class Signer(Protocol):
    """What of a compiled scheme signing needs."""

    verification: Verification

    def key(self, secret: Secret) -> bytes | PublicKey:
        """Make a secret ready; raises ValueError."""
        ...

    def contents(self, incoming: Incoming) -> list[bytes]:
        """Put together what is signed; raises Refusal."""
        ...


class _Unfit(Exception):
    """The body has no room for what the scheme puts into it."""


class _Draft:
    """A message being written: what a `Location` reads, this puts there."""

    def __init__(self, body: bytes, url: str) -> None:
        self.body = body
        self.url = url
        self._headers: dict[str, list[str]] = {}
        self._separators: dict[str, str] = {}

    def put(self, location: Location, text: str) -> None:
        """Write a value where the location reads it; raises _Unfit."""
        if location.header is not None:
            plain = location.element is None
            written = text if plain else f"{location.element}{location.assign}{text}"
            self._headers.setdefault(location.header, []).append(written)
            self._separators[location.header] = location.separator or ", "
        elif location.path is not None:
            self._put_json(pointer_steps(location.path), text)
        elif location.query is not None:
            joint = "&" if "?" in self.url else "?"
            self.url += f"{joint}{quote_plus(location.query)}={quote_plus(text)}"
        else:
            name = (location.form or "").encode()
            self.body = urlencode([pair for pair in pairs(self.body) if pair[0] != name] + [(name, text.encode())]).encode()

    def headers(self) -> tuple[tuple[str, str], ...]:
        return tuple((name, self._separators[name].join(values)) for name, values in self._headers.items())

    def incoming(self, method: str) -> Incoming:
        headers = [(name.lower().encode(), value.encode()) for name, value in self.headers()]
        return Incoming(Request(method, self.url, headers, self.body))

    def _put_json(self, steps: tuple[str, ...], text: str) -> None:
        document = self.incoming("POST").json()
        holder = document
        for step in steps[:-1]:
            inner = _child(holder, step)
            if inner is ABSENT and isinstance(holder, dict):
                inner = holder[step] = {}
            holder = inner
        old = _child(holder, steps[-1])
        value: str | int = int(text) if isinstance(old, int) and not isinstance(old, bool) and text.isdecimal() else text
        if isinstance(holder, dict):
            holder[steps[-1]] = value
        elif isinstance(holder, list) and old is not ABSENT:
            holder[int(steps[-1])] = value
        else:
            raise _Unfit
        self.body = orjson.dumps(document)


def _child(holder: Any, step: str) -> Any:
    if isinstance(holder, dict):
        return holder.get(step, ABSENT)
    return holder[int(step)] if isinstance(holder, list) and step.isdecimal() and int(step) < len(holder) else ABSENT


def sign(scheme: Signer, message: Message, secret: Secret, now_ms: int, private: Private | None) -> Signed | Unsigned:
    """Do what `Scheme.sign` says."""
    verification = scheme.verification
    if verification.algorithm in PUBLIC_KEY and private is None:
        return Unsigned("public_key_only")
    try:
        key = private or scheme.key(secret)
    except ValueError:
        return Unsigned("secret_malformed")
    draft = _Draft(message.body, message.url)
    _describe(draft, verification.id, message.event_id)
    _describe(draft, verification.event_type, message.event_type)
    try:
        _date(draft, verification, now_ms)
        draft.put(_place_of_first(verification.signature), _signature(scheme, key, draft, message.method))
    except (_Unfit, Refusal):
        return Unsigned("body_unfit")
    return Signed(draft.headers(), draft.body, draft.url)


def _describe(draft: _Draft, places: tuple[Location, ...], text: str | None) -> None:
    """Write an id or a type where one stands already, else at the first place; a body without room for it goes without."""
    if text is None or not places:
        return
    incoming = draft.incoming("POST")
    try:
        draft.put(next((place for place in places if Place.of(place).values(incoming)), places[0]), text)
    except (_Unfit, Refusal):
        return


def _date(draft: _Draft, verification: Verification, now_ms: int) -> None:
    if verification.timestamp is not None:
        draft.put(verification.timestamp, written_instant(now_ms, verification.timestamp.unit))
    for location in verification.fields.values():
        draft.put(location, random.token_hex(25))


def _signature(scheme: Signer, key: bytes | PublicKey | Private, draft: _Draft, method: str) -> str:
    verification = scheme.verification
    signature, judge = verification.signature, judge_of(verification.algorithm)
    if verification.algorithm in SHARED and isinstance(key, bytes):
        written = basic_value(key) if verification.algorithm == "basic" else encode(key, signature.encoding)
    else:
        content = scheme.contents(draft.incoming(method))[0]
        if isinstance(key, bytes):
            raw = hmac.digest(key, content, judge.hash_name if isinstance(judge, Hmac) else "sha256")
        elif callable(key):
            raw = key(content)
        else:
            raise _Unfit
        written = encode(raw, signature.encoding)
    return signature.prefix + written.decode("utf-8", "surrogateescape")


def _place_of_first(signature: Signature) -> Location:
    return signature.model_copy(update={"header": f"{signature.header}1"}) if signature.numbered else signature
