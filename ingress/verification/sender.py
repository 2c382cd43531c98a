"""What a sender holds, and what its receivers are given for it: one shared secret, or the two halves of a key pair.

Test keys are made from a name, so that everybody knows them: they prove nothing, and stand for a sender in tests only.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from flows.core.errors import WrongSetting
from flows.core.verification import PUBLIC_KEY, SecretFormat, Verification
from ingress.verification.keys import check_secret
from ingress.verification.signing import Private

PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True, slots=True)
class SenderKey:
    """A key of a sender's."""

    receives: str = field(repr=False)
    """The secret that a receiver is given: the shared one, or the public key."""
    private: Private | None = field(default=None, repr=False)
    """What signs, where the receiver's is only the public half."""


def known_key(verification: Verification, name: str) -> SenderKey:
    """Make the test key of that name, always the same one; raises WrongSetting for RSA, with which no sender is stood for."""
    seed = hashlib.sha256(f"xyra test key {name}".encode()).digest()
    if verification.algorithm == "ed25519":
        return _pair(verification, Ed25519PrivateKey.from_private_bytes(seed))
    if verification.algorithm == "ecdsa-p256":
        return _pair(verification, ec.derive_private_key(int.from_bytes(seed) % (P256_ORDER - 1) + 1, ec.SECP256R1()))
    if verification.algorithm in PUBLIC_KEY:
        raise WrongSetting(f"No sender with {verification.algorithm} can be stood for: keys of ed25519 and ecdsa-p256 are read and made.")
    text = f"xyra:test-{seed.hex()[:24]}" if verification.algorithm == "basic" else f"xyra-test-{seed.hex()[:24]}"
    return SenderKey(text if verification.secret.encoding == "text" else _written(verification.secret, seed))


def own_key(verification: Verification, text: str) -> SenderKey:
    """Take a secret as a person has it: the shared one, or a private key in PEM; raises WrongSetting, without showing it."""
    if verification.algorithm not in PUBLIC_KEY:
        wrong = check_secret(verification, text)
        if wrong is not None:
            raise WrongSetting(f"The secret does not fit: {wrong.detail}.")
        return SenderKey(text)
    try:
        private = load_pem_private_key(text.strip().encode(), None)
    except (ValueError, TypeError) as error:  # TypeError: it is encrypted
        raise WrongSetting("The secret should be the sender's private key, in PEM, not encrypted: -----BEGIN PRIVATE KEY-----.") from error
    if verification.algorithm == "ed25519" and isinstance(private, Ed25519PrivateKey):
        return _pair(verification, private)
    if verification.algorithm == "ecdsa-p256" and isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
        return _pair(verification, private)
    raise WrongSetting(f"The private key is of another kind than {verification.algorithm} takes.")


def _pair(verification: Verification, private: PrivateKey) -> SenderKey:
    public, written = private.public_key(), verification.secret
    if written.encoding == "text":
        text = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    elif isinstance(private, Ed25519PrivateKey):
        text = _written(written, public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))
    else:
        text = _written(written, public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))

    def sign(content: bytes) -> bytes:
        return private.sign(content) if isinstance(private, Ed25519PrivateKey) else private.sign(content, ec.ECDSA(hashes.SHA256()))

    return SenderKey(text, sign)


def _written(written: SecretFormat, raw: bytes) -> str:
    return written.prefix + (raw.hex() if written.encoding == "hex" else base64.b64encode(raw).decode())
