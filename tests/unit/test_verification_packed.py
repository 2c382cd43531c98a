"""A body that came packed: signatures may be over the packed bytes, and what the body says is read unpacked all the same."""

import gzip
import hmac

import orjson
import pytest

from flows.core import presets
from ingress.verification import ChallengeAnswer, Rejected, Request, Secret, Verified, compile_scheme

NOW_MS = 1_767_614_400_000
SECRET = Secret("key_1", "a secret of theirs")


@pytest.mark.parametrize("over_packed", [True, False])
def test_a_time_in_a_packed_body_is_found(over_packed: bool) -> None:
    body = orjson.dumps({"webhookTimestamp": NOW_MS, "type": "Issue"})
    wire = gzip.compress(body)
    signed = wire if over_packed else body
    request = Request("POST", "https://x/", [(b"linear-signature", hmac.digest(SECRET.value.encode(), signed, "sha256").hex().encode())], signed, body)
    assert compile_scheme(presets.resolve("linear", None)).verify(request, [SECRET], NOW_MS) == Verified("key_1", None, "Issue", NOW_MS)


def test_what_is_signed_is_not_what_is_read() -> None:
    body = b'{"event_id": "1", "event_type": "t"}'
    headers = [(b"typeform-signature", b"sha256=" + b"A" * 43 + b"=")]
    assert compile_scheme(presets.resolve("typeform", None)).verify(Request("POST", "https://x/", headers, b"packed", body), [SECRET], NOW_MS) == Rejected(
        "signature_mismatch"
    )


def test_a_question_in_a_packed_body_is_answered() -> None:
    scheme = compile_scheme(presets.resolve("slack", None))
    request = Request("POST", "https://x/", [], b"packed", b'{"type": "url_verification", "challenge": "c"}')
    answer = scheme.challenge(request, [SECRET], Verified("key_1", None, None, None))
    assert answer == ChallengeAnswer(200, "text/plain; charset=utf-8", b"c")
