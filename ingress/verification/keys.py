"""Keys and what is done with them: secrets read, signatures compared or checked."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from flows.core.errors import FieldError
from flows.core.verification import PUBLIC_KEY, SHARED, Algorithm, SecretFormat, Verification

RSA_BITS: Final = range(2048, 8193)
_ED25519_BYTES: Final = 32
_HASHES: Final[dict[str, tuple[str, int]]] = {"hmac-sha256": ("sha256", 32), "hmac-sha1": ("sha1", 20), "hmac-sha512": ("sha512", 64)}


class PublicKey(Protocol):
    """A sender's public key, made ready."""

    def holds(self, signature: bytes, content: bytes) -> bool:
        """Return whether the signature is that key's over the content; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Ed25519Key:
    """An ed25519 public key (RFC 8032)."""

    key: Ed25519PublicKey

    def holds(self, signature: bytes, content: bytes) -> bool:
        """Check one signature, about 0.1 ms."""
        return _verified(lambda: self.key.verify(signature, content))


@dataclass(frozen=True, slots=True)
class EcdsaKey:
    """A P-256 public key; signatures are DER, over SHA-256."""

    key: ec.EllipticCurvePublicKey

    def holds(self, signature: bytes, content: bytes) -> bool:
        """Check one signature, about 0.1 ms."""
        return _verified(lambda: self.key.verify(signature, content, ec.ECDSA(hashes.SHA256())))


@dataclass(frozen=True, slots=True)
class RsaKey:
    """An RSA public key of 2048 to 8192 bits, over SHA-256."""

    key: RSAPublicKey
    pad: padding.AsymmetricPadding

    def holds(self, signature: bytes, content: bytes) -> bool:
        """Check one signature, about 0.05 ms at 2048 bits."""
        return _verified(lambda: self.key.verify(signature, content, self.pad, hashes.SHA256()))


def _verified(check: Callable[[], None]) -> bool:
    try:
        check()
    except InvalidSignature:
        return False
    return True


class Judge(Protocol):
    """Compares what a request brought with what a key gives."""

    @property
    def size(self) -> int | None:
        """How long a signature of this kind is, in bytes; None when it varies."""
        ...

    def matches(self, key: bytes | PublicKey, contents: Sequence[bytes], signatures: Sequence[bytes]) -> bool:
        """Return whether any of the signatures is the key's over any of the contents; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Hmac:
    """HMAC over the content: every signature is compared, in time that depends on lengths only."""

    hash_name: str
    size: int | None

    def matches(self, key: bytes | PublicKey, contents: Sequence[bytes], signatures: Sequence[bytes]) -> bool:
        """Compute once per content, compare with all; what matched, and where, does not shorten it."""
        if not isinstance(key, bytes):
            return False
        found = False
        for content in contents:
            expected = hmac.digest(key, content, self.hash_name)
            for signature in signatures:
                found |= hmac.compare_digest(expected, signature)
        return found


@dataclass(frozen=True, slots=True)
class SameSecret:
    """The secret itself came along: hashes are compared, so that not even its length shows."""

    size: int | None = None

    def matches(self, key: bytes | PublicKey, contents: Sequence[bytes], signatures: Sequence[bytes]) -> bool:  # noqa: ARG002  tokens cover no content
        """Compare the hash of the secret with the hash of each token."""
        if not isinstance(key, bytes):
            return False
        expected = hashlib.sha256(key).digest()
        found = False
        for signature in signatures:
            found |= hmac.compare_digest(expected, hashlib.sha256(signature).digest())
        return found


@dataclass(frozen=True, slots=True)
class Asymmetric:
    """The sender's key is public, so there is nothing to learn from how long a check takes: the first match ends it."""

    size: int | None = None

    def matches(self, key: bytes | PublicKey, contents: Sequence[bytes], signatures: Sequence[bytes]) -> bool:
        """Check each distinct signature."""
        return not isinstance(key, bytes) and any(key.holds(signature, content) for content in contents for signature in dict.fromkeys(signatures))


def judge_of(algorithm: Algorithm) -> Judge:
    """Return what compares signatures of an algorithm."""
    if algorithm in _HASHES:
        return Hmac(*_HASHES[algorithm])
    if algorithm in SHARED:
        return SameSecret()
    return Asymmetric(size=64 if algorithm == "ed25519" else None)


def read_secret(algorithm: Algorithm, written: SecretFormat, value: str) -> bytes | PublicKey:
    """Make a secret ready; raises ValueError with a sentence that does not show it."""
    if algorithm in PUBLIC_KEY:
        return _public_key(algorithm, _pem_or_der(written, value))
    if algorithm == "basic" and ":" not in value:
        raise ValueError("the secret of basic authentication is user:password")
    return _decoded(written, value)


def check_secret(verification: Verification, secret: str) -> FieldError | None:
    """Say what is wrong with a secret under a scheme, at the time it is declared; None when it can be used."""
    try:
        read_secret(verification.algorithm, verification.secret, secret)
    except ValueError as error:
        return FieldError("/secret", "secret_malformed", str(error))
    return None


def _decoded(written: SecretFormat, value: str) -> bytes:
    text = value.removeprefix(written.prefix)
    try:
        if written.encoding == "text":
            raw = value.encode()
        elif written.encoding == "hex":
            raw = bytes.fromhex(text) if text.isalnum() else b""
        else:
            raw = binascii.a2b_base64(text.rstrip("=").encode("ascii") + b"=" * (-len(text.rstrip("=")) % 4), strict_mode=True)
    except ValueError:
        raw = b""
    if not raw:
        expected = {"text": "some UTF-8 text", "hex": "pairs of hex digits", "base64": "standard base64"}[written.encoding]
        raise ValueError(f"the secret should be {expected}" + (f" after {written.prefix}" if written.prefix else ""))
    return raw


def _pem_or_der(written: SecretFormat, value: str) -> bytes:
    if value.lstrip().startswith("-----BEGIN"):
        return value.strip().encode()
    if written.encoding == "text":
        raise ValueError("the secret should be the sender's public key in PEM: -----BEGIN PUBLIC KEY-----")
    return _decoded(written, "".join(value.split()))


def _public_key(algorithm: Algorithm, raw: bytes) -> PublicKey:
    key: PublicKeyTypes | CertificatePublicKeyTypes
    try:
        if raw.startswith(b"-----BEGIN CERTIFICATE"):
            key = load_pem_x509_certificate(raw).public_key()
        elif raw.startswith(b"-----BEGIN"):
            key = load_pem_public_key(raw)
        elif algorithm == "ed25519" and len(raw) == _ED25519_BYTES:
            key = Ed25519PublicKey.from_public_bytes(raw)
        else:
            key = load_der_public_key(raw)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("the secret should be the sender's public key (PEM, or its bytes as the scheme's secret encoding says)") from error
    if algorithm == "ed25519" and isinstance(key, Ed25519PublicKey):
        return Ed25519Key(key)
    if algorithm == "ecdsa-p256" and isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return EcdsaKey(key)
    if algorithm.startswith("rsa") and isinstance(key, RSAPublicKey) and key.key_size in RSA_BITS:
        return RsaKey(key, _rsa_padding(algorithm))
    raise ValueError(f"the public key is of another kind or size than {algorithm} takes (RSA: 2048 to 8192 bits)")


def _rsa_padding(algorithm: Algorithm) -> padding.AsymmetricPadding:
    if algorithm == "rsa-pkcs1-sha256":
        return padding.PKCS1v15()
    return padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.AUTO)


def basic_value(secret: bytes) -> bytes:
    """Write `user:password` as an Authorization header does."""
    return base64.b64encode(secret)
