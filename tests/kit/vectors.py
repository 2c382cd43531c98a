"""Requests that senders signed, one file for each preset: `tests/vectors/presets/<preset>.toml`.

`source` says who made the signature: a sender's own documentation or library where it publishes one, else OpenSSL; never this project.
"""

import functools
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flows.core import presets
from flows.core.verification import PUBLIC_KEY, preset_ids
from ingress.verification import Rejected, Request, Scheme, Secret, Signed, Verified, compile_scheme
from ingress.verification.reading import Incoming

FOLDER = Path(__file__).parents[1] / "vectors" / "presets"
PRESETS = preset_ids()
URL = "https://hooks.example.com/integration/webhooks/sender"


@dataclass(frozen=True)
class Vector:
    """One request, the secret and the time it holds for, and what is to be found in it."""

    preset: str
    secret: str
    now_ms: int
    request: Request
    expected: Verified
    scheme: Scheme

    def verdict(self, request: Request | None = None, *, secrets: Iterable[str] | None = None, now_ms: int | None = None) -> Verified | Rejected:
        live = [Secret(f"s{n}", value) for n, value in enumerate([self.secret] if secrets is None else secrets, start=1)]
        return self.scheme.verify(self.request if request is None else request, live, self.now_ms if now_ms is None else now_ms)


@functools.cache
def vector(preset: str) -> Vector:
    """Read the vector of a preset."""
    table = tomllib.loads((FOLDER / f"{preset}.toml").read_text(encoding="utf-8"))
    request = table["request"]
    headers = [(name.lower().encode(), value.encode()) for name, value in request["headers"].items()]
    expected = {"sender_id": None, "event_type": None, "timestamp_ms": None} | table["expect"]
    return Vector(
        preset=preset,
        secret=table["secret"],
        now_ms=table["now_ms"],
        request=Request(request["method"], request["url"], headers, request["body"].encode()),
        expected=Verified("s1", **expected),
        scheme=compile_scheme(presets.load(preset).verification),
    )


def with_header(request: Request, name: str, *values: bytes) -> Request:
    """Return the request with a header's lines replaced by these."""
    raw = name.lower().encode()
    return request._replace(headers=[pair for pair in request.headers if pair[0] != raw] + [(raw, value) for value in values])


def with_body(request: Request, body: bytes) -> Request:
    """Return the request with another body."""
    return request._replace(body=body)


def request_of(signed: Signed, method: str = "POST") -> Request:
    """Return what arrives when a signed message is sent."""
    return Request(method, signed.url, [(name.lower().encode(), value.encode()) for name, value in signed.headers], signed.body)


@dataclass(frozen=True)
class KeyPair:
    """A sender's key pair: signs, and gives the public half as an endpoint's secret."""

    algorithm: str
    private: Ed25519PrivateKey | ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls, algorithm: str) -> "KeyPair":
        return cls(algorithm, Ed25519PrivateKey.generate() if algorithm == "ed25519" else ec.generate_private_key(ec.SECP256R1()))

    @property
    def pem(self) -> str:
        return public_pem(self.private)

    def sign(self, content: bytes) -> bytes:
        return self.private.sign(content) if isinstance(self.private, Ed25519PrivateKey) else self.private.sign(content, ec.ECDSA(hashes.SHA256()))


def public_pem(private: Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    """Write the public half of a key pair as PEM."""
    return private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def uses_public_key(preset: str) -> bool:
    """Return whether only the sender can sign for this preset."""
    return presets.load(preset).verification.algorithm in PUBLIC_KEY


def content_of(vector: Vector) -> bytes:
    """Return what the vector's signature covers."""
    return vector.scheme.contents(Incoming(vector.request))[0]
