"""Conformance vectors: requests that a receiver of a preset's webhooks must take, and requests it must refuse.

    preset = presets.load("stripe")
    for vector in vectors(preset, own_key(preset.verification, "whsec_..."), url="https://...", clock=SystemClock()):
        answer = send(vector.request)  # and compare it with vector.expected

They are made one by one, each at its own time: one that is asked for late is signed late. Their number is bounded by the names
in this file. Bytes only, no I/O.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import orjson

from flows.core.clock import Clock
from flows.core.errors import WrongSetting
from flows.core.verification import Location, Preset, Verification, template_parts
from ingress.verification.edits import flipped, removed, replaced, value_at
from ingress.verification.message import Request, Secret, Signed
from ingress.verification.reading import decode, encode
from ingress.verification.scheme import Scheme
from ingress.verification.sender import SenderKey, known_key

Expected = Literal["accepted", "refused", "either"]
"""`either`: both are right, as long as it is an answer."""

OVERSIZE: Final = 16 * 1024
"""Bytes of a signature that is none: more than any sender's, and less than what ends a connection at most servers."""
BEYOND_S: Final = 60
"""How far outside twice the window a stale time is, so that a receiver with a window somewhat wider than the preset's refuses it too."""


class Vector(NamedTuple):
    """One request, what a receiver should make of it, and why."""

    name: str
    expected: Expected
    why: str
    request: Request
    """`headers` are all that belong to the message; what HTTP itself needs is the caller's to add."""


def vectors(preset: Preset, key: SenderKey, *, url: str, clock: Clock, second: SenderKey | None = None) -> Iterator[Vector]:
    """Make every vector that fits a preset; `url` is the one the sender has on file, `second` another key that the receiver holds as well.

    The first is a message as the sender writes it, and so is the last: refusing the others should not have changed anything.

    Raises:
        WrongSetting: a key cannot sign for this preset.

    """
    sender = _Sender(preset, Scheme(preset.verification), key, url, clock)
    good = sender.signed()
    yield Vector("good", "accepted", "a message as the sender writes it", good)
    yield Vector("replayed", "either", "the same bytes again: a sender that missed the answer does that, and so does a thief", good)
    yield from _taken(sender, second)
    yield from _late(sender)
    yield from _forged(sender)
    yield from _malformed(sender)
    yield Vector("good_again", "accepted", "a new message, after all the bad ones", sender.signed())


@dataclass
class _Sender:
    """Signs samples of a preset, each with an id of its own."""

    preset: Preset
    scheme: Scheme
    key: SenderKey
    url: str
    clock: Clock
    made: int = 0

    @property
    def verification(self) -> Verification:
        return self.preset.verification

    @property
    def other(self) -> SenderKey:
        return known_key(self.verification, f"{self.preset.preset_id}, not this one")

    def signed(self, key: SenderKey | None = None, *, shift_ms: int = 0, event_id: str | None = None, url: str = "", body: bytes | None = None) -> Request:
        """Sign the sample, or `body` as it stands, `shift_ms` from now."""
        now_ms, sample, by = self.clock.now_ms() + shift_ms, self.preset.sample, key or self.key
        made = self.scheme.sign(
            sample.body.encode() if body is None else body,
            Secret("sender", by.receives),
            now_ms,
            event_id=(event_id or self.fresh_id()) if body is None or not self.id_in_body else None,
            event_type=sample.event_type if body is None else None,
            url=url or self.url,
            private=by.private,
        )
        if not isinstance(made, Signed):
            raise WrongSetting(f"The secret cannot sign for the preset {self.preset.preset_id}: {made.reason}.")
        headers = [(name.lower().encode(), value.encode("utf-8", "surrogateescape")) for name, value in made.headers]
        return Request("POST", made.url, (*headers, (b"content-type", sample.content_type.encode())), made.body)

    @property
    def id_in_body(self) -> bool:
        return bool(self.verification.id) and self.verification.id[0].header is None

    def fresh_id(self) -> str:
        """Digits, since some senders' ids are numbers; no two alike within a run, nor in two runs a millisecond apart."""
        self.made += 1
        return str(self.clock.now_ms() * 1000 + self.made)

    @property
    def signature(self) -> Location:
        """Where its (first) signature stands."""
        written = self.verification.signature
        return written.model_copy(update={"header": f"{written.header}1"}) if written.numbered else written

    def with_signature(self, change: Callable[[bytes], bytes], request: Request | None = None) -> Request:
        """Sign and change the signature: what follows its prefix."""
        request = request or self.signed()
        prefix = self.verification.signature.prefix.encode()
        old = value_at(request, self.signature)
        return replaced(request, self.signature, old, prefix + change(old.removeprefix(prefix)))


def _taken(sender: _Sender, second: SenderKey | None) -> Iterator[Vector]:
    """Messages that are unusual and right."""
    verification, sample = sender.verification, sender.preset.sample
    stamp = verification.timestamp
    rewritten = verification.signature.path is not None or (stamp is not None and stamp.path is not None)
    if verification.covers_body and not rewritten and sample.content_type == "application/json":
        spaced = orjson.dumps(orjson.loads(sender.signed().body), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        yield Vector("spaced", "accepted", "JSON with other white space: the bytes are signed, not what they mean", sender.signed(body=spaced))
    if stamp is not None:
        edge_ms = stamp.window_seconds * 100
        yield Vector("within_window", "accepted", "signed a tenth of the window ago", sender.signed(shift_ms=-edge_ms))
        yield Vector("clock_ahead", "accepted", "signed a tenth of the window ahead: clocks differ", sender.signed(shift_ms=edge_ms))
    if sender.preset.several_signatures:
        yield Vector("rotated", "accepted", "a signature of another secret stands before the right one, as while a secret is rotated", _rotated(sender))
    if sender.preset.several_signatures and verification.signature.element is not None:
        unknown = _elements(verification, [("v00", b"unknown")])
        request = _before_signature(sender, sender.signed(), unknown)
        yield Vector("unknown_version", "accepted", "a signature of an unknown version stands before the right one", request)
    if second is not None:
        yield Vector("second_secret", "accepted", "signed with the second of the receiver's secrets", sender.signed(second))


def _late(sender: _Sender) -> Iterator[Vector]:
    """Messages out of their time."""
    stamp = sender.verification.timestamp
    if stamp is None:
        return
    outside_ms = (2 * stamp.window_seconds + BEYOND_S) * 1000
    yield Vector("stale", "refused", "signed long before the window", sender.signed(shift_ms=-outside_ms))
    yield Vector("future", "refused", "signed long after the window", sender.signed(shift_ms=outside_ms))
    old, now = sender.signed(shift_ms=-outside_ms), sender.signed()
    changed = replaced(old, stamp, value_at(old, stamp), value_at(now, stamp))
    yield Vector("time_changed", "refused", "an old message with the time of now", changed)
    yield Vector("time_missing", "refused", "the time was taken away", removed(now, stamp))
    if stamp.path is None:
        yield Vector("time_malformed", "refused", "the time is a word", replaced(now, stamp, value_at(now, stamp), b"yesterday"))


def _forged(sender: _Sender) -> Iterator[Vector]:
    """Messages that somebody else made, or changed."""
    verification = sender.verification
    names = {name for _, name in template_parts(verification.content)}
    yield Vector("wrong_secret", "refused", "signed with another secret", sender.signed(sender.other))
    if verification.covers_body:
        good = sender.signed()
        yield Vector("body_bit_flip", "refused", "one bit of the body was changed", good._replace(body=flipped(good.body)))
        yield Vector("body_truncated", "refused", "the second half of the body is missing", good._replace(body=good.body[: len(good.body) // 2]))
        yield Vector("body_empty", "refused", "the body is missing", good._replace(body=b""))
    if "id" in names:
        good = sender.signed()
        place = verification.id[0]
        yield Vector("id_changed", "refused", "the id was changed", replaced(good, place, value_at(good, place), flipped(value_at(good, place))))
    if "url" in names and verification.algorithm.startswith("hmac"):
        elsewhere = sender.signed(url=f"{sender.url}/elsewhere")
        yield Vector("other_url", "refused", "signed for another URL", elsewhere._replace(url=sender.url))


def _malformed(sender: _Sender) -> Iterator[Vector]:
    """Signatures that are none."""
    written = sender.verification.signature
    change = sender.with_signature
    yield Vector("signature_missing", "refused", "there is no signature", removed(sender.signed(), sender.signature))
    yield Vector("signature_empty", "refused", "the signature is empty", change(lambda _: b""))
    yield Vector("signature_truncated", "refused", "the second half of the signature is missing", change(lambda old: old[: len(old) // 2]))
    yield Vector("signature_bit_flip", "refused", "one bit of the signature was changed", change(lambda old: _flipped(old, sender.verification)))
    yield Vector("signature_wrong_encoding", "refused", "the signature in another encoding", change(lambda old: _recoded(old, written.encoding)))
    yield Vector("signature_not_text", "refused", "the signature is no text", change(lambda _: b"\xff\xfe\xe9" * 10))
    if written.prefix:
        prefixed, bare = sender.signed(), written.prefix.encode()
        old = value_at(prefixed, sender.signature)
        yield Vector("prefix_missing", "refused", f"`{written.prefix.strip()}` is missing", replaced(prefixed, sender.signature, old, old.removeprefix(bare)))
    if written.element is not None:
        good = sender.signed()
        other = f"{written.element}{written.assign}".encode(), f"v00{written.assign}".encode()
        yield Vector("version_unknown", "refused", "the right signature under an unknown version", replaced(good, written, *other))
    yield Vector("signature_oversize", "refused", f"a signature of {OVERSIZE // 1024} KiB", change(lambda _: b"a" * OVERSIZE))
    if sender.preset.several_signatures and written.element is not None:
        junk = _elements(sender.verification, [(written.element, b"%064x" % n) for n in range(OVERSIZE // 100)])
        wrong = sender.signed(sender.other)
        yield Vector("signatures_many", "refused", "very many signatures, none of them right", _before_signature(sender, wrong, junk))


def _rotated(sender: _Sender) -> Request:
    event_id = sender.fresh_id()
    good, wrong = sender.signed(event_id=event_id), sender.signed(sender.other, event_id=event_id)
    written = sender.verification.signature
    if written.numbered:
        first, rest = f"{written.header}1".lower().encode(), [pair for pair in good.headers if pair[0] != f"{written.header}1".lower().encode()]
        second = f"{written.header}2".lower().encode(), value_at(good, sender.signature)
        return good._replace(headers=(*rest, (first, value_at(wrong, sender.signature)), second))
    return _before_signature(sender, good, _elements(sender.verification, [(written.element or "", value_at(wrong, sender.signature))]))


def _elements(verification: Verification, pairs: list[tuple[str, bytes]]) -> bytes:
    """Write elements of the signature's header, each with the separator after it."""
    written = verification.signature
    return b"".join(f"{name}{written.assign}".encode() + value + (written.separator or "").encode() for name, value in pairs)


def _before_signature(sender: _Sender, request: Request, text: bytes) -> Request:
    written = sender.verification.signature
    own = f"{written.element}{written.assign}".encode() + value_at(request, written)
    return replaced(request, written, own, text + own)


def _flipped(old: bytes, verification: Verification) -> bytes:
    encoding = verification.signature.encoding
    raw = decode(old, encoding) or b""
    return encode(flipped(raw) if encoding == "text" or verification.algorithm == "basic" else raw[:-1] + bytes([raw[-1] ^ 1]), encoding)


def _recoded(old: bytes, encoding: str) -> bytes:
    raw = decode(old, encoding) or b""
    return encode(raw, "base64" if encoding in {"hex", "hex-upper", "text"} else "hex")
