"""How a sender proves itself, as data: where the signature stands, what it is made of, what it covers.

One engine (`ingress.verification`) reads these tables; a preset is nothing but such a table in a file of `flows/core/presets`. A user writes
the same table as JSON under `verification`; with `preset` in it, the fields given are laid over that preset's.
"""

import functools
import hashlib
import string
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, JsonValue, StringConstraints, field_validator, model_validator

from flows.core.fields import HeaderName, Identifier, Model, Pointer

Algorithm = Literal[
    "hmac-sha256",
    "hmac-sha1",
    "hmac-sha512",
    "ed25519",
    "ecdsa-p256",
    "rsa-pkcs1-sha256",
    "rsa-pss-sha256",
    "token",
    "basic",
]
PUBLIC_KEY: Final = frozenset({"ed25519", "ecdsa-p256", "rsa-pkcs1-sha256", "rsa-pss-sha256"})
"""Algorithms of which the endpoint holds only the public key: it can check a signature, not make one."""
SHARED: Final = frozenset({"token", "basic"})
"""Algorithms in which the secret itself travels: nothing of the message is covered."""
BUILT_IN: Final = frozenset({"id", "timestamp", "body", "body_sha256", "method", "url", "form"})
"""Names a signed-content template may use; `Verification.fields` adds others."""
_HASH_MARK: Final = "sha256:"
_HASHED: Final = len(_HASH_MARK) + 64

Text = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Location(Model):
    """Where a value stands in a request: exactly one of `header`, `path`, `query` and `form`."""

    header: HeaderName | None = None
    """A header's name, in any case."""
    path: Pointer | None = None
    """A JSON pointer into the body; texts and whole numbers are read."""
    query: Text | None = None
    """A parameter of the URL's query."""
    form: Text | None = None
    """A field of a form-encoded body."""
    separator: Annotated[str, StringConstraints(min_length=1, max_length=8)] | None = None
    """The header holds a list, its elements parted by this text: `,` in `t=1,v1=ab`."""
    assign: Annotated[str, StringConstraints(min_length=1, max_length=8)] = "="
    """Parts an element's name from its value: `=` in `t=1,v1=ab`."""
    element: Text | None = None
    """The name of the elements to take: `v1` in `t=1,v1=ab`; all others are passed over."""

    @model_validator(mode="after")
    def _one_place(self) -> "Location":
        if sum(place is not None for place in (self.header, self.path, self.query, self.form)) != 1:
            raise ValueError("give one of header, path, query and form")
        if self.header is None and (self.separator is not None or self.element is not None):
            raise ValueError("separator and element are for headers")
        return self


def _listed(value: object) -> object:
    return [value] if isinstance(value, Mapping | Location) else value


Locations = Annotated[tuple[Location, ...], BeforeValidator(_listed), Field(max_length=8)]
"""Places to look at, in this order; the first that holds something wins. A single one may stand without a list."""


class Signature(Location):
    """Where the signature stands and how it is written."""

    prefix: Annotated[str, StringConstraints(max_length=64)] = ""
    """Stands before the signature and must be there: `sha256=`."""
    encoding: Literal["hex", "hex-upper", "base64", "base64url", "text"] = "hex"
    """How the bytes are written; only the one canonical spelling is accepted. `text` is for tokens."""
    numbered: bool = False
    """The sender counts its signatures in the header's name: `X-Signature-` stands for `X-Signature-1`, `X-Signature-2` and so on."""


class Timestamp(Location):
    """Where the time of signing stands, and how far it may be from ours."""

    unit: Literal["s", "ms", "rfc3339"] = "s"
    """Seconds or milliseconds since the Unix epoch, accepted as plain digits only; or a date and time as RFC 3339 has it, with its offset."""
    window_seconds: int = Field(default=300, ge=1, le=604_800)
    """How old, and how far ahead of our clock, it may be."""


class SecretFormat(Model):
    """How the secret is written down."""

    encoding: Literal["text", "base64", "hex"] = "text"
    """`text`: its UTF-8 bytes are the key. Public keys: PEM is always accepted, else their bytes (DER, or raw for ed25519) in base64 or hex."""
    prefix: Annotated[str, StringConstraints(max_length=16)] = ""
    """Taken off before decoding, where it is there: `whsec_`."""


class Condition(Model):
    """What a request must hold: a value equal to `equals`, or present, or absent."""

    at: Location
    equals: str | None = None
    """The value as text; numbers as their digits."""
    absent: bool = False


class Challenge(Model):
    """A question the sender asks when an endpoint is set up, and the answer it waits for."""

    method: Literal["GET", "POST"] = "POST"
    """HEAD is answered like GET, without the body."""
    when: tuple[Condition, ...] = Field(default=(), max_length=8)
    """All must hold, else the request is an ordinary message."""
    signed: bool = True
    """The request's signature must hold first. Never false where the answer is made with the secret: the endpoint would sign for anybody."""
    token: Location | None = None
    """Must equal `verify_token`, or one of the endpoint's secrets where no `verify_token` is set."""
    value: Location | None = None
    """What the answer is made of."""
    status: int = Field(default=200, ge=200, le=299)
    text: str | None = None
    """The answer, plain text: `{value}` is the value, `{value_hmac}` its HMAC SHA-256 in hex under the endpoint's secret."""
    json_body: Mapping[str, JsonValue] | None = Field(default=None, alias="json")
    """The answer, a JSON object; texts in it may hold `{value}` and `{value_hmac}`."""

    @model_validator(mode="after")
    def _no_oracle(self) -> "Challenge":
        if self.uses_secret and not self.signed:
            raise ValueError("an answer made with the secret needs signed = true, else anybody could have any text signed")
        if self.value is None and any("{value" in text for text in self._texts()):
            raise ValueError("the answer holds {value} but no value's place is given")
        return self

    def _texts(self) -> list[str]:
        return [self.text or "", *(value for value in (self.json_body or {}).values() if isinstance(value, str))]

    @property
    def uses_secret(self) -> bool:
        """Whether the answer is made with one of the endpoint's secrets."""
        return any("{value_hmac}" in text for text in self._texts())


class Verification(Model):
    """How a sender proves itself. Without any field: `X-Signature: sha256=<hex HMAC SHA-256 of the raw body>`."""

    preset: Identifier | None = None
    """The preset this was made from; fields given beside it take the place of the preset's."""
    algorithm: Algorithm = "hmac-sha256"
    """HMACs take a shared secret; `ed25519`, `ecdsa-p256` and `rsa-*` the sender's public key as the secret; `token` compares the secret
    itself, `basic` a secret `user:password` with the Authorization header."""
    accept_sha1: bool = False
    """Also accept `sha1=<HMAC SHA-1>` in the same header, for senders that cannot do better."""
    signature: Signature = Signature(header="X-Signature", prefix="sha256=")
    """Where the signature stands."""
    content: Annotated[str, StringConstraints(min_length=1, max_length=512)] = "{body}"
    """What is signed: text and `{id}`, `{timestamp}`, `{body}`, `{body_sha256}` (hex), `{method}`, `{url}`, `{form}` (the form's fields
    sorted by name, names and values run together), and the names under `fields`."""
    timestamp: Timestamp | None = None
    """Where the time of signing stands; absent: the sender signs none, and only deduplication stops a replay."""
    fields: Mapping[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")], Location] = Field(default_factory=dict, max_length=16)
    """Further values of the request that `content` uses by name."""
    body_hash: Location | None = None
    """Where the sender may put the body's SHA-256 in hex; where it does, it must be right, and `{form}` is empty."""
    url_unescape: Annotated[str, StringConstraints(max_length=64)] = ""
    """Characters whose percent escapes are decoded in `{url}`, as HubSpot does before signing."""
    url_port: Literal["as_sent", "either"] = "as_sent"
    """`either`: the URL with and without its scheme's own port is tried, as Twilio's senders differ."""
    secret: SecretFormat = SecretFormat()
    """How the endpoint's secrets are written."""
    id: Locations = ()
    """Where the sender's own id of the message stands: what deduplication compares."""
    event_type: Locations = (Location(path="/type"), Location(path="/event"))
    """Where the kind of event stands."""
    challenges: tuple[Challenge, ...] = Field(default=(), max_length=8)
    """Questions asked on set-up; the first whose conditions hold is answered."""
    verify_token: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """The token a challenge must bring (Meta); kept and shown as its SHA-256 only."""
    success_status: int = Field(default=202, ge=200, le=299)
    """What the sender is answered once its message is on the log; some take nothing but 200 for success."""

    @model_validator(mode="before")
    @classmethod
    def _over_preset(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or not isinstance(value.get("preset"), str):
            return value
        return overlay(preset_table(value["preset"])["verification"], value)

    @field_validator("verify_token")
    @classmethod
    def _hashed(cls, value: str | None) -> str | None:
        if value is None or (value.startswith(_HASH_MARK) and len(value) == _HASHED):
            return value
        return _HASH_MARK + hashlib.sha256(value.encode()).hexdigest()

    @field_validator("content")
    @classmethod
    def _readable(cls, value: str) -> str:
        template_parts(value)
        return value

    @model_validator(mode="after")
    def _whole(self) -> "Verification":
        used = {name for _, name in template_parts(self.content) if name is not None} - ({"body"} if self.algorithm in SHARED else set())
        problems = [
            (used - BUILT_IN - self.fields.keys(), f"content uses a name that fields does not have; names are {', '.join(sorted(BUILT_IN))}"),
            ("timestamp" in used and self.timestamp is None, "content uses {timestamp} but timestamp does not say where it stands"),
            ("id" in used and not self.id, "content uses {id} but id does not say where it stands"),
            (self.fields.keys() & BUILT_IN, "fields takes a name that is built in"),
            (self.algorithm in SHARED and bool(used), f"{self.algorithm} covers nothing of the message; leave content out"),
            (self.accept_sha1 and (self.algorithm, self.signature.prefix) != ("hmac-sha256", "sha256="), "accept_sha1 goes with hmac-sha256, sha256="),
            ((self.signature.encoding == "text") and self.algorithm not in SHARED, "encoding text is for token and basic"),
            (self.signature.header is None and self.signature.query is None and self.covers_body, "a signature inside the body cannot cover that body"),
            (self.signature.query is not None and "url" in used, "a signature inside the URL cannot cover that URL"),
            (any(c.uses_secret for c in self.challenges) and not self.algorithm.startswith("hmac"), "{value_hmac} needs an HMAC's secret"),
        ]
        for wrong, sentence in problems:
            if wrong:
                raise ValueError(sentence)
        return self

    @property
    def covers_body(self) -> bool:
        """Whether a changed body breaks the signature."""
        return self.algorithm not in SHARED and any(name in {"body", "body_sha256", "form"} for _, name in template_parts(self.content))


class Sample(Model):
    """A message as this sender writes it, for the test route."""

    event_type: str | None = None
    content_type: str = "application/json"
    body: str


class Preset(Model):
    """A well-known sender: its scheme, what it sends, where that is written down."""

    preset_id: Identifier
    title: str
    description: str
    documentation: Annotated[str, StringConstraints(pattern=r"^https://")]
    event_types: tuple[str, ...] = ()
    """Some of the kinds of event it sends."""
    several_signatures: bool = False
    """While a secret is rotated it sends a signature for each."""
    verification: Verification
    sample: Sample


def template_parts(template: str) -> list[tuple[str, str | None]]:
    """Split a template into pairs of text and the name that follows it (None: nothing does); raises ValueError when it cannot be read."""
    parts = []
    for text, name, spec, conversion in string.Formatter().parse(template):
        if spec or conversion or name == "":
            raise ValueError("names stand in braces, plain: {body}; a brace itself is written twice")
        parts.append((text, name))
    return parts


def overlay(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one table over another: tables are joined, everything else is replaced."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = overlay(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def preset_ids() -> tuple[str, ...]:
    """Return the ids of all presets, sorted; reads the package's folder."""
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in (files("flows.core") / "presets").iterdir() if entry.name.endswith(".toml")))


@functools.cache
def preset_table(preset_id: str) -> dict[str, Any]:
    """Read a preset's file as it stands, once; raises ValueError, with the ids there are, when there is none of that name."""
    if preset_id not in preset_ids():  # so that an id is never a path
        raise ValueError(f"there is no preset {preset_id!r}; there are {', '.join(preset_ids())}")
    return tomllib.loads((files("flows.core") / "presets" / f"{preset_id}.toml").read_text(encoding="utf-8"))
