"""The hot path over a real broker: what is accepted stands on the log as it came, what is not is told no more than it must be."""

import base64
import gzip
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
import zstandard

from flows.core import ids, record
from flows.core.topics import WEBHOOKS
from tests.kit.door import SECRET, RunningDoor, sign
from tests.kit.topics import Read, Tail

ROUTE = "/integration/webhooks"
BODY = b'{"type": "order.paid", "id": "o-1", "user": {"id": "u-1"}}'


@pytest.fixture
def landed(door: RunningDoor) -> Iterator[Callable[[str], Read]]:
    """Give the record of an event id."""
    tail = Tail(door.settings.kafka_bootstrap_servers, WEBHOOKS.name)
    yield lambda event_id: tail.find(lambda read: read.header(record.CE_ID) == event_id)
    tail.close()


def test_a_webhook_stands_on_the_log_as_it_came(door: RunningDoor, landed: Callable[[str], Read]) -> None:
    name = door.register()
    secret_id = door.http.get(f"{ROUTE}/{name}/secrets").json()["items"][0]["secret_id"]
    answer = door.stranger.post(
        f"/v1{ROUTE}/{name}?q=1",
        content=BODY,
        headers={"x-signature": sign(BODY), "content-type": "application/json", "authorization": "s", "x-own": "own"},
    )
    assert answer.status_code == 202
    event_id = answer.json()["event_id"]
    assert answer.json() == {"event_id": event_id, "status": "accepted"}
    assert uuid.UUID(event_id).version == 7
    read = landed(event_id)
    assert read.value == BODY
    assert read.key == ids.content_id(BODY).encode()
    assert read.header(record.CE_SOURCE) == f"/webhooks/{name}"
    assert read.header(record.CE_TYPE) == "order.paid"
    assert read.header(record.CE_SPECVERSION) == "1.0"
    assert read.header(record.CONTENT_TYPE) == "application/json"
    assert read.header(record.KEY_ID) == secret_id
    assert int(read.header(record.CONFIG_OFFSET) or 0) > 0
    assert read.header(record.TRACE) is None
    http = json.loads(read.header(record.HTTP) or "")
    assert (http["method"], http["path"], http["query"]) == ("POST", f"/v1{ROUTE}/{name}", "q=1")
    assert http["headers"]["x-own"] == "own"
    assert "authorization" not in http["headers"]


def test_the_key_is_what_the_definition_says(door: RunningDoor, landed: Callable[[str], Read]) -> None:
    name = door.register(ordering_key="/user/id", dedupe={"path": "/id"})
    read = landed(door.send(name, BODY).json()["event_id"])
    assert (read.key, read.header(record.SENDER_ID)) == (b"u-1", "o-1")


def test_unknown_and_badly_signed_look_the_same(door: RunningDoor) -> None:
    name = door.register()
    known = [door.send(name, BODY, secret="wrong"), door.send(name, BODY, **{"x-signature": "sha256=00"}), door.send(name, BODY, **{"x-signature": ""})]
    unknown = [door.send(f"nobody-{uuid4().hex}", BODY), door.send("%00", BODY), door.send("%ff%fe", BODY), door.send("x" * 5000, BODY)]
    shown = {(a.status_code, a.content, tuple(sorted((k, v) for k, v in a.headers.items() if k != "date"))) for a in known + unknown}
    assert len(shown) == 1
    assert known[0].status_code == 401


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstandard.compress), ("identity", bytes)])
@pytest.mark.parametrize("signed_packed", [True, False])
def test_packed_bodies_may_be_signed_before_or_after(door: RunningDoor, landed: Callable[[str], Read], encoding: str, pack: Any, signed_packed: bool) -> None:
    name = door.register()
    wire = pack(BODY)
    answer = door.send(name, wire, **{"content-encoding": encoding, "x-signature": sign(wire if signed_packed else BODY)})
    assert answer.status_code == 202
    read = landed(answer.json()["event_id"])
    assert (read.value, read.header(record.CE_TYPE)) == (BODY, "order.paid")


@pytest.mark.parametrize("signed_packed", [True, False])
def test_what_a_packed_body_says_is_read_unpacked(door: RunningDoor, landed: Callable[[str], Read], signed_packed: bool) -> None:
    name = door.register(preset="typeform", events=["form_response"])
    body = b'{"event_id": "tf-1", "event_type": "form_response"}'
    for level in (1, 9):  # packed another way it is the same event
        wire = gzip.compress(body, level)
        signature = "sha256=" + base64.b64encode(hmac.digest(SECRET.encode(), wire if signed_packed else body, "sha256")).decode()
        answer = door.stranger.post(f"{ROUTE}/{name}", content=wire, headers={"typeform-signature": signature, "content-encoding": "gzip"})
        assert answer.is_success, answer.text
        read = landed(answer.json()["event_id"])
        assert (read.value, read.key, read.header(record.SENDER_ID), read.header(record.CE_TYPE)) == (body, b"tf-1", "tf-1", "form_response")


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (gzip.compress(b"\0" * 2_000_000, mtime=0), "gzip", 413),
        (zstandard.compress(b"\0" * 2_000_000), "zstd", 413),
        (b"x", "gzip", 400),
        (b"x", "zstd", 400),
        (b"x", "br", 415),
        (b"x", "gzip, zstd", 415),
        (b"\0" * 1_048_577, "identity", 413),
    ],
)
def test_what_cannot_be_taken_is_the_senders_fault(door: RunningDoor, body: bytes, encoding: str, status: int) -> None:
    name = door.register()
    for endpoint in (name, "nobody"):
        answer = door.send(endpoint, body, **{"content-encoding": encoding})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
    assert sum(door.http.get(f"{ROUTE}/{name}/status").json()["counters"]["rejected"].values()) == 1


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe\x00", b"[" * 100_000, b'{"id":NaN}', b'{"id":"\\ud800"}', b'{"id":' + b"9" * 5000 + b"}", b'{"id":1,"id":2}', b"a=1&b=%ff"]
)
def test_any_signed_bytes_are_taken(door: RunningDoor, landed: Callable[[str], Read], body: bytes) -> None:
    name = door.register(dedupe={"path": "/id"}, ordering_key="/id")
    answer = door.send(name, body)
    assert answer.status_code == 202, answer.text
    assert landed(answer.json()["event_id"]).value == body


def test_a_preset_finds_id_and_type_and_hides_its_token(door: RunningDoor, landed: Callable[[str], Read]) -> None:
    name = door.register(preset="gitlab")
    headers = {"x-gitlab-token": SECRET, "x-gitlab-event": "Push Hook", "x-gitlab-event-uuid": "u-1", "content-type": "application/json"}
    answer = door.stranger.post(f"{ROUTE}/{name}", content=BODY, headers=headers)
    assert answer.is_success, answer.text
    read = landed(answer.json()["event_id"])
    assert (read.key, read.header(record.SENDER_ID), read.header(record.CE_TYPE)) == (b"u-1", "u-1", "Push Hook")
    assert SECRET not in (read.header(record.HTTP) or "")


@pytest.mark.parametrize(("pack", "encoding"), [(bytes, "identity"), (gzip.compress, "gzip"), (zstandard.compress, "zstd")])
def test_slacks_question_is_answered(door: RunningDoor, pack: Callable[[bytes], bytes], encoding: str) -> None:
    name = door.register(preset="slack")
    body = pack(json.dumps({"type": "url_verification", "challenge": "c-1"}).encode())
    stamp = str(int(time.time()))
    signature = "v0=" + hmac.new(SECRET.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {"x-slack-request-timestamp": stamp, "x-slack-signature": signature, "content-type": "application/json", "content-encoding": encoding}
    answer = door.stranger.post(f"{ROUTE}/{name}", content=body, headers=headers)
    assert (answer.status_code, "c-1" in answer.text, answer.headers["x-content-type-options"]) == (200, True, "nosniff")
    refused = door.stranger.post(f"{ROUTE}/{name}", content=body, headers=headers | {"x-slack-signature": "v0=00"})
    assert refused.status_code == 401


def test_metas_question_is_answered_on_get(door: RunningDoor) -> None:
    name = door.register(verification={"preset": "meta", "verify_token": "t-1"})
    asked = {"hub.mode": "subscribe", "hub.challenge": "42", "hub.verify_token": "t-1"}
    answer = door.stranger.get(f"{ROUTE}/{name}?{urlencode(asked)}")
    assert (answer.status_code, answer.text) == (200, "42")
    wrong = door.stranger.get(f"{ROUTE}/{name}?{urlencode(asked | {'hub.verify_token': 'x'})}")
    assert wrong.status_code == 401
    assert "`hub.verify_token`" in wrong.json()["detail"]
    unknown, unasked = door.stranger.get(f"{ROUTE}/nobody?{urlencode(asked)}"), door.stranger.get(f"{ROUTE}/{door.register()}")
    assert unknown.content == unasked.content == wrong.content, "what there is does not show"
    door.http.delete(f"{ROUTE}/{name}")
    assert door.stranger.get(f"{ROUTE}/{name}?{urlencode(asked)}").status_code == 401


def test_other_methods_are_not_taken(door: RunningDoor) -> None:
    name = door.register()
    head = door.stranger.head(f"{ROUTE}/{name}")
    assert (head.status_code, head.headers["allow"]) == (405, "DELETE, GET, POST, PUT")
    assert door.stranger.get(f"{ROUTE}/{name}").status_code == 401


def test_basic_authentication_needs_no_signature(door: RunningDoor) -> None:
    name = door.register(
        secret="user:pass word", verification={"algorithm": "basic", "signature": {"header": "Authorization", "prefix": "Basic ", "encoding": "base64"}}
    )
    shown = "Basic " + base64.b64encode(b"user:pass word").decode()
    assert door.stranger.post(f"{ROUTE}/{name}", content=BODY, headers={"authorization": shown}).status_code == 202
    assert door.stranger.post(f"{ROUTE}/{name}", content=BODY, headers={"authorization": shown[:-2]}).status_code == 401
