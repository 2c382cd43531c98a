"""What senders ask when an endpoint is set up, and what they are answered."""

import base64
import hmac

import orjson
import pytest

from flows.core import presets
from flows.core.verification import Verification
from ingress.verification import ChallengeAnswer, Rejected, Request, Scheme, Secret, Verified, compile_scheme
from tests.kit.vectors import PRESETS, URL, KeyPair, vector, with_header

NOW = 1_767_614_400_000
STAMP = b"1767614400"
SECRETS = (Secret("old", "old-secret"), Secret("new", "app-secret"))


def scheme_of(preset: str, **over: object) -> Scheme:
    return compile_scheme(Verification.model_validate({"preset": preset, **over}))


def asked(scheme: Scheme, request: Request, *secrets: Secret) -> ChallengeAnswer | None:
    """Do as the ingress does: verify what is posted, then ask the scheme."""
    live = secrets or SECRETS
    verdict = scheme.verify(request, live, NOW) if request.method == "POST" else None
    return scheme.challenge(request, live, verdict)


def mac(secret: str, content: bytes) -> bytes:
    return hmac.digest(secret.encode(), content, "sha256").hex().encode()


def slack(body: bytes, secret: str = "app-secret") -> Request:
    headers = [(b"x-slack-signature", b"v0=" + mac(secret, b"v0:" + STAMP + b":" + body)), (b"x-slack-request-timestamp", STAMP)]
    return Request("POST", URL, headers, body)


def zoom(body: bytes, secret: str = "app-secret") -> Request:
    headers = [(b"x-zm-signature", b"v0=" + mac(secret, b"v0:" + STAMP + b":" + body)), (b"x-zm-request-timestamp", STAMP)]
    return Request("POST", URL, headers, body)


def get(query: str, method: str = "GET") -> Request:
    return Request(method, f"{URL}?{query}", [], b"")


def test_slack_gets_its_challenge_back_when_it_is_signed() -> None:
    body = b'{"type":"url_verification","challenge":"3eZbrw1a"}'
    assert asked(scheme_of("slack"), slack(body)) == ChallengeAnswer(200, "text/plain; charset=utf-8", b"3eZbrw1a")
    assert asked(scheme_of("slack"), slack(body, "wrong")) is None
    assert asked(scheme_of("slack"), slack(b'{"type":"event_callback","challenge":"x"}')) is None


@pytest.mark.parametrize("challenge", ['"<script>\\n"', '"' + "a" * 513 + '"', '"é"', "null", '""', "[1]"])
def test_what_is_echoed_is_short_and_plain(challenge: str) -> None:
    assert asked(scheme_of("slack"), slack(f'{{"type":"url_verification","challenge":{challenge}}}'.encode())) is None


def test_zoom_gets_token_and_hmac_of_the_secret_that_signed() -> None:
    body = b'{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}'
    answer = asked(scheme_of("zoom"), zoom(body))
    assert answer is not None
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert orjson.loads(answer.body) == {"plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": mac("app-secret", b"qgg8vlvZRS6UYooatFL8Aw").decode()}


def test_zoom_is_not_told_what_an_unsigned_text_would_be_signed_as() -> None:
    """Else `plainToken` = `v0:<now>:<body>` would give anybody a valid signature."""
    body = orjson.dumps({"event": "endpoint.url_validation", "payload": {"plainToken": "v0:1767614400:{}"}})
    assert asked(scheme_of("zoom"), Request("POST", URL, [], body)) is None
    assert asked(scheme_of("zoom"), zoom(body, "wrong")) is None


def test_such_a_scheme_cannot_be_written_either() -> None:
    with pytest.raises(ValueError, match="needs signed = true"):
        Verification.model_validate({"challenges": [{"signed": False, "value": {"path": "/a"}, "text": "{value_hmac}"}]})


def test_meta_gets_its_challenge_back_when_it_knows_the_token() -> None:
    query = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=meaty%2Dturtle"
    scheme = scheme_of("meta", verify_token="meaty-turtle")
    assert asked(scheme, get(query)) == ChallengeAnswer(200, "text/plain; charset=utf-8", b"1158201444")
    assert asked(scheme, get(query, "HEAD")) == ChallengeAnswer(200, "text/plain; charset=utf-8", b"")
    for other in (query + "x", query.replace("subscribe", "unsubscribe"), query + "&hub.verify_token=meaty-turtle", "hub.mode=subscribe", ""):
        assert asked(scheme, get(other)) is None
    assert asked(scheme, Request("POST", f"{URL}?{query}", [], b"")) is None
    assert asked(scheme, get(query.replace("meaty%2Dturtle", "app-secret"))) is None


def test_without_a_verify_token_a_secret_is_taken_for_it() -> None:
    query = "hub.mode=subscribe&hub.challenge=1&hub.verify_token="
    assert asked(scheme_of("meta"), get(query + "app-secret")) is not None
    assert asked(scheme_of("meta"), get(query + "else")) is None


def test_a_verify_token_is_kept_as_its_hash() -> None:
    verification = Verification.model_validate({"preset": "meta", "verify_token": "meaty-turtle"})
    assert "meaty" not in verification.model_dump_json()
    assert Verification.model_validate_json(verification.model_dump_json()) == verification


def test_dropbox_gets_its_challenge_back() -> None:
    assert asked(scheme_of("dropbox"), get("challenge=abc123")) == ChallengeAnswer(200, "text/plain; charset=utf-8", b"abc123")
    for other in ("challenge=", "challenge=%3Cb%3E%0A", "challenge=%FF", "", "challenge=a&challenge=b", "a&" * 5000):
        assert asked(scheme_of("dropbox"), get(other)) is None


def test_xero_wants_200_for_good_signatures_and_401_for_bad_ones() -> None:
    body = b'{"events":[],"lastEventSequence":0,"firstEventSequence":0,"entropy":"S0m3r4Nd0mt3xt"}'
    signed = base64.b64encode(hmac.digest(b"app-secret", body, "sha256"))
    scheme = scheme_of("xero")
    assert asked(scheme, Request("POST", URL, [(b"x-xero-signature", signed)], body)) == ChallengeAnswer(200, "text/plain; charset=utf-8", b"")
    bad = Request("POST", URL, [(b"x-xero-signature", base64.b64encode(bytes(32)))], body)
    assert asked(scheme, bad) is None
    assert scheme.verify(bad, SECRETS, NOW) == Rejected("signature_mismatch")
    given = vector("xero")
    assert scheme.challenge(given.request, SECRETS, given.expected) is None


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b'{"version":1,"type":0}', ChallengeAnswer(204, "text/plain; charset=utf-8", b"")),
        (b'{"id":"1","type":1}', ChallengeAnswer(200, "application/json", b'{"type":1}')),
        (b'{"type":1,"event":{"type":"ENTITLEMENT_CREATE"}}', None),
        (b'{"id":"1","type":2}', None),
    ],
)
def test_discord_pings_are_answered_when_they_are_signed(body: bytes, answer: ChallengeAnswer | None) -> None:
    pair = KeyPair.new("ed25519")
    headers = [(b"x-signature-ed25519", pair.sign(STAMP + body).hex().encode()), (b"x-signature-timestamp", STAMP)]
    assert asked(scheme_of("discord"), Request("POST", URL, headers, body), Secret("s1", pair.pem)) == answer
    assert asked(scheme_of("discord"), Request("POST", URL, headers[1:], body), Secret("s1", pair.pem)) is None


def test_woocommerce_pings_without_a_signature_and_intercom_probes() -> None:
    empty = ChallengeAnswer(200, "text/plain; charset=utf-8", b"")
    assert asked(scheme_of("woocommerce"), Request("POST", URL, [], b"webhook_id=12")) == empty
    assert asked(scheme_of("woocommerce"), Request("POST", URL, [(b"x-wc-webhook-signature", b"AA==")], b"webhook_id=12")) is None
    assert asked(scheme_of("intercom"), Request("HEAD", URL, [], b"")) == empty


@pytest.mark.parametrize("preset", PRESETS)
def test_an_ordinary_message_is_no_challenge(preset: str) -> None:
    given = vector(preset)
    verdict = given.verdict()
    assert isinstance(verdict, Verified)
    assert given.scheme.challenge(given.request, [Secret("s1", given.secret)], verdict) is None


def test_twitch_asks_with_a_signed_challenge() -> None:
    given, body = vector("twitch"), b'{"challenge":"pogchamp-kappa-360noscope","subscription":{"type":"stream.online"}}'
    headers = dict(given.request.headers)
    content = headers[b"twitch-eventsub-message-id"] + headers[b"twitch-eventsub-message-timestamp"] + body
    asks = [(b"twitch-eventsub-message-type", b"webhook_callback_verification")]
    signed = with_header(given.request, "twitch-eventsub-message-signature", b"sha256=" + hmac.digest(given.secret.encode(), content, "sha256").hex().encode())
    request = signed._replace(headers=[*signed.headers, *asks], body=body)
    live = [Secret("s1", given.secret)]
    assert given.scheme.challenge(request, live, given.verdict(request)) == ChallengeAnswer(200, "text/plain; charset=utf-8", b"pogchamp-kappa-360noscope")
    unsigned = request._replace(body=body + b" ")
    assert given.scheme.challenge(unsigned, live, given.verdict(unsigned)) is None


def test_which_methods_a_sender_may_ask_with_is_known_beforehand() -> None:
    methods = {preset: scheme_of(preset).challenge_methods for preset in PRESETS if presets.load(preset).verification.challenges}
    assert {preset for preset, by in methods.items() if by == {"GET"}} == {"dropbox", "intercom", "meta", "nylas", "trello"}
    assert {preset for preset, by in methods.items() if by == {"POST"}} == {"discord", "slack", "twitch", "woocommerce", "xero", "zoom"}
    assert len(methods) == 11
