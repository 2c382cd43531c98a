"""The conformance vectors: our own engine takes and refuses each as it should, and a careless one does not."""

from collections.abc import Iterator

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from flows.core import presets
from flows.core.clock import SystemClock
from flows.core.errors import WrongSetting
from flows.core.verification import Preset, Verification
from ingress.verification import Rejected, Secret, Verified, check_secret, compile_scheme
from ingress.verification.sender import known_key, own_key
from ingress.verification.vectors import Vector, vectors
from tests.kit.vectors import PRESETS, URL, KeyPair

ALWAYS = {
    *("good", "replayed", "second_secret", "wrong_secret", "good_again", "signature_missing", "signature_empty", "signature_truncated"),
    *("signature_bit_flip", "signature_wrong_encoding", "signature_not_text", "signature_oversize"),
}
STAMPED = {"within_window", "clock_ahead", "stale", "future", "time_changed", "time_missing"}
COVERING = {"body_bit_flip", "body_truncated", "body_empty"}
MOST = 40


def made(preset: Preset) -> Iterator[Vector]:
    key, second = known_key(preset.verification, preset.preset_id), known_key(preset.verification, "second")
    return vectors(preset, key, url=URL, clock=SystemClock(), second=second)


def verdict(preset: Preset, vector: Vector, scheme: Verification | None = None) -> Verified | Rejected:
    live = [Secret(name, known_key(preset.verification, name).receives) for name in (preset.preset_id, "second")]
    return compile_scheme(scheme or preset.verification).verify(vector.request, live, SystemClock().now_ms())


@pytest.mark.parametrize("preset_id", PRESETS)
def test_each_vector_is_what_it_says(preset_id: str) -> None:
    preset = presets.load(preset_id)
    names = []
    for vector in made(preset):
        names.append(vector.name)
        found = "accepted" if isinstance(verdict(preset, vector), Verified) else "refused"
        assert vector.expected in (found, "either"), vector
    assert len(names) == len(set(names)) <= MOST
    assert (names[0], names[-1]) == ("good", "good_again")
    expected = ALWAYS | (STAMPED if preset.verification.timestamp else set()) | (COVERING if preset.verification.covers_body else set())
    assert expected <= set(names)
    assert ("rotated" in names) == preset.several_signatures


@pytest.mark.parametrize(
    ("preset_id", "name", "reason"),
    [
        ("stripe", "stale", "timestamp_old"),
        ("stripe", "future", "timestamp_future"),
        ("stripe", "time_changed", "signature_mismatch"),
        ("stripe", "time_missing", "timestamp_missing"),
        ("stripe", "time_malformed", "timestamp_malformed"),
        ("stripe", "version_unknown", "signature_missing"),
        ("stripe", "signatures_many", "signature_mismatch"),
        ("svix", "id_changed", "signature_mismatch"),
        ("twilio", "other_url", "signature_mismatch"),
        ("github", "prefix_missing", "signature_malformed"),
        ("github", "signature_bit_flip", "signature_mismatch"),
        ("github", "body_bit_flip", "signature_mismatch"),
        ("github", "signature_wrong_encoding", "signature_malformed"),
        ("shopify", "signature_wrong_encoding", "signature_malformed"),
        ("pandadoc", "signature_missing", "signature_missing"),
        ("mailgun", "signature_missing", "signature_missing"),
        ("gitlab", "signature_missing", "signature_missing"),
        ("sendgrid", "wrong_secret", "signature_mismatch"),
        ("discord", "signature_bit_flip", "signature_mismatch"),
        ("linear", "stale", "timestamp_old"),
        ("zendesk", "time_malformed", "timestamp_malformed"),
        ("docusign", "signature_missing", "signature_missing"),
    ],
)
def test_a_bad_vector_is_bad_in_the_way_it_says(preset_id: str, name: str, reason: str) -> None:
    preset = presets.load(preset_id)
    (vector,) = [vector for vector in made(preset) if vector.name == name]
    assert verdict(preset, vector) == Rejected(reason)  # type: ignore[arg-type]  # the table's texts are reasons


@pytest.mark.parametrize("preset_id", [preset for preset in PRESETS if presets.load(preset).verification.timestamp])
def test_a_receiver_with_a_window_of_a_week_is_found_out(preset_id: str) -> None:
    preset = presets.load(preset_id)
    stamp = preset.verification.timestamp
    assert stamp is not None
    wide = preset.verification.model_copy(update={"timestamp": stamp.model_copy(update={"window_seconds": 604_800})})
    assert {vector.name for vector in made(preset) if vector.expected == "refused" and isinstance(verdict(preset, vector, wide), Verified)} == {
        "stale",
        "future",
    }


def test_white_space_is_the_only_difference_of_the_spaced_one() -> None:
    found = {vector.name: vector.request for vector in made(presets.load("stripe"))}
    spaced, good = orjson.loads(found["spaced"].body), orjson.loads(found["good"].body)
    assert spaced | {"id": ""} == good | {"id": ""}
    assert found["spaced"].body.count(b"\n") > 5


def test_no_two_good_messages_have_one_id() -> None:
    for preset_id in ("stripe", "svix", "github", "telegram"):
        preset = presets.load(preset_id)
        good = [vector for vector in made(preset) if vector.expected == "accepted"]
        ids = [found.sender_id for vector in good if isinstance(found := verdict(preset, vector), Verified)]
        assert len(ids) == len(set(ids)) == len(good)


@pytest.mark.parametrize("preset_id", PRESETS)
def test_a_known_key_is_always_the_same_and_fits(preset_id: str) -> None:
    scheme = presets.load(preset_id).verification
    assert known_key(scheme, "a").receives == known_key(scheme, "a").receives != known_key(scheme, "b").receives
    assert check_secret(scheme, known_key(scheme, "a").receives) is None
    assert known_key(scheme, "a").receives not in repr(known_key(scheme, "a"))


def pem(private: Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes = b"") -> str:
    sealed: serialization.KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed).decode()


@pytest.mark.parametrize("preset_id", ["discord", "sendgrid", "standard_webhooks_ed25519"])
def test_a_private_key_of_ones_own_signs(preset_id: str) -> None:
    preset = presets.load(preset_id)
    key = own_key(preset.verification, pem(KeyPair.new(preset.verification.algorithm).private))
    vector = next(vectors(preset, key, url=URL, clock=SystemClock()))
    found = compile_scheme(preset.verification).verify(vector.request, [Secret("s1", key.receives)], SystemClock().now_ms())
    assert isinstance(found, Verified)


@pytest.mark.parametrize(
    ("preset_id", "secret", "sentence"),
    [
        ("svix", "whsec_!", "does not fit: the secret should be standard base64 after whsec_"),
        ("postmark", "no colon", "user:password"),
        ("discord", "586a5da8", "private key, in PEM"),
        ("discord", pem(Ed25519PrivateKey.generate(), b"sealed"), "not encrypted"),
        ("discord", pem(ec.generate_private_key(ec.SECP256R1())), "another kind than ed25519"),
        ("sendgrid", pem(Ed25519PrivateKey.generate()), "another kind than ecdsa-p256"),
        ("sendgrid", pem(ec.generate_private_key(ec.SECP384R1())), "another kind than ecdsa-p256"),
    ],
)
def test_a_secret_that_cannot_sign_is_told_and_not_shown(preset_id: str, secret: str, sentence: str) -> None:
    with pytest.raises(WrongSetting, match=sentence) as raised:
        own_key(presets.load(preset_id).verification, secret)
    assert secret not in raised.value.detail


def test_there_are_no_test_keys_of_rsa() -> None:
    with pytest.raises(WrongSetting, match="rsa-pss-sha256"):
        known_key(Verification(algorithm="rsa-pss-sha256"), "a")
