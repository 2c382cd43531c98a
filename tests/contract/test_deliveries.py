"""Deliveries to real targets through a real Kafka: what arrives, what is tried again, what is buried."""

from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from uuid import uuid4

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from connectors.testing import ManualClock
from flows.core.clock import SystemClock
from flows.core.outbound.delivery import new_secret
from flows.engine.runtime import Engine
from tests.kit.certificates import Authority
from tests.kit.courier import Courier, courier
from tests.kit.engine import balanced
from tests.kit.targets import OK, Request, Talk, Target, answers, answers_in_turn, answers_once, begins, drips, floods, hangs, read_request, swallows_all

HOUR_MS = 3_600_000


def reply(status: int, *headers: str) -> bytes:
    """Write a bare answer."""
    return "\r\n".join((f"HTTP/1.1 {status} X", "Content-Length: 0", *headers, "", "")).encode()


@pytest.fixture
def name() -> str:
    return f"e{uuid4().hex[:8]}"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def made(kafka: str, tmp_path: Path, clock: ManualClock) -> Iterator[Courier]:
    with courier(kafka, tmp_path, clock=clock) as found:
        yield found


def verified(request: Request, secret: str, body: bytes) -> bool:
    """Tell whether a Standard Webhooks library takes a request."""
    headers = {name: request.header(name) or "" for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


def test_an_event_arrives_byte_for_byte_signed_and_once(kafka: str, tmp_path: Path, name: str) -> None:
    with courier(kafka, tmp_path, clock=SystemClock()) as made:
        target = made.beside.target(answers(OK))
        secrets = {"old": new_secret(), "new": new_secret()}
        made.define(name, target.url, secrets=secrets)
        body = b'{ "a" : 1.0,\n "a": 2 }'
        made.send(name, body)
        made.run()
        (request,) = target.requests
        assert request.body == body
        assert all(verified(request, secret, body) for secret in secrets.values())
        assert not verified(request, new_secret(), body)
        assert request.header("content-type") == "application/json"
        assert (request.header("ce-type"), request.header("ce-source")) == ("a.b", f"/webhooks/{name}")
        (attempt,) = made.attempts(name)
        assert (attempt["attempt"], attempt["status"], attempt["outcome"], attempt["answer"]) == (1, 200, "delivered", "ok")
        tally = made.tally(name)
        assert (tally["in"], tally["out"], tally["waiting"]) == (1, 1, 0)


def test_a_failure_is_tried_again_under_the_same_id_until_it_goes_well(made: Courier, clock: ManualClock, name: str) -> None:
    target = made.beside.target(answers_in_turn(reply(500), reply(503), OK))
    made.define(name, target.url, retry_config={"max_attempts": 5, "retry_delays": [60, 120]})
    made.send(name, b"1")
    made.run(until=lambda engine: made.bench.through(engine) and len(target.requests) == 1 and _rests(engine))
    clock.advance(59_999)
    made.run(until=_ready)
    assert len(target.requests) == 1
    clock.advance(1)
    made.run(until=lambda engine: len(target.requests) == 2 and _rests(engine))
    clock.advance(120_000)
    made.run()
    ids = {request.header("webhook-id") for request in target.requests}
    stamps = [int(request.header("webhook-timestamp") or 0) for request in target.requests]
    assert ids == {f"{name}-1"}
    assert [later - stamps[0] for later in stamps] == [0, 60, 180]
    assert [(entry["attempt"], entry["status"]) for entry in made.attempts(name)] == [(1, 500), (2, 503), (3, 200)]
    assert made.tally(name)["out"] == 1
    assert balanced(made.bench.tallies())


def _ready(engine: Engine) -> bool:
    return engine.assignment.ready


def _rests(engine: Engine) -> bool:
    """Tell whether no call is under way; what the last one led to is committed before the worker ends."""
    return engine.assignment.ready and engine.calls == 0


FLOOD = b"HTTP/1.1 500 X\r\nContent-Length: 10737418240\r\n\r\n"


@pytest.mark.parametrize(
    ("talk", "code", "tries"),
    [
        (hangs, "timed_out", 2),
        (drips(b"HTTP/1.1 200 OK\r\nX-Slow: ", 0.2), "timed_out", 2),
        (floods(FLOOD, b"x" * 65536), "target_failed", 2),
        (floods(b"HTTP/1.1 200 OK\r\n", b"x-more: " + b"y" * 4000 + b"\r\n"), "answer_head_too_large", 2),
        (answers_once(b"HTTP/1.1 200 OK\r\nContent-"), "closed", 2),
        (swallows_all, "closed", 2),
        (answers_once(b"SSH-2.0-OpenSSH\r\n"), "bad_answer", 2),
        (answers_in_turn(reply(302, "Location: http://169.254.169.254/")), "redirected", 2),
        (answers_in_turn(reply(404)), "refused", 1),
        (answers_in_turn(reply(410)), "gone", 1),
    ],
)
def test_a_bad_target_has_a_clear_end(made: Courier, name: str, talk: Talk, code: str, tries: int) -> None:
    target = made.beside.target(talk)
    made.define(name, target.url, retry_config={"max_attempts": 2, "retry_delays": [0]}, delivery={"timeout_seconds": 1})
    made.send(name, b"1")
    made.run()
    assert [entry["outcome"] for entry in made.attempts(name)] == [code] * tries
    (letter,) = made.letters(name)
    assert letter.value == b"1"
    assert code in (letter.header("x-dlq-reasons") or "")
    assert letter.header("x-dlq-code") == (code if tries == 1 else "attempts_spent")
    assert (letter.header("x-dlq-attempt"), letter.header("x-attempt")) == (str(tries), None)
    assert balanced(made.bench.tallies())


@pytest.mark.parametrize(
    ("talk", "answer"),
    [
        (begins(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ndone"), "done"),
        (begins(b"HTTP/1.1 202 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), None),
        (drips(b"", 0.1, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"), "x"),
        (answers_once(b"HTTP/1.1 204 OK\r\nContent-Length: 9\r\n\r\n"), None),
        (answers_once(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ndone"), "done"),
    ],
    ids=["hangs", "hangs at once", "drips", "has none to have", "breaks off"],
)
def test_what_a_head_says_is_delivered_stays_so_whatever_becomes_of_its_body(made: Courier, name: str, talk: Talk, answer: str | None) -> None:
    target = made.beside.target(talk)
    made.define(name, target.url, retry_config={"max_attempts": 3, "retry_delays": [0]})
    made.send(name, b"1")
    made.run()
    assert len(target.requests) == 1
    (told,) = made.attempts(name)
    assert told["outcome"] == "delivered"
    assert set(told.get("answer") or "") == set(answer or "")
    assert not made.letters(name)
    assert (made.tally(name)["out"], made.tally(name)["waiting"]) == (1, 0)


def test_a_failure_whose_body_hangs_is_that_failure(made: Courier, name: str) -> None:
    target = made.beside.target(begins(b"HTTP/1.1 500 X\r\nContent-Length: 9\r\n\r\nbad"))
    made.define(name, target.url, retry_config={"max_attempts": 2, "retry_delays": [0]})
    made.send(name, b"1")
    made.run()
    assert [(told["status"], told["outcome"], told["answer"]) for told in made.attempts(name)] == [(500, "target_failed", "bad")] * 2
    assert [letter.header("x-dlq-code") for letter in made.letters(name)] == ["attempts_spent"]
    assert len(target.requests) == 2


def test_an_expired_certificate_is_no_target(made: Courier, tmp_path: Path, name: str) -> None:
    authority = Authority(tmp_path)
    target = made.beside.target(answers(OK), tls=authority.context("127.0.0.1", begin=-3, end=-1))
    made.define(name, target.url.replace("http:", "https:"), retry_config={"max_attempts": 2, "retry_delays": [0]})
    made.send(name, b"1")
    made.run()
    assert [entry["outcome"] for entry in made.attempts(name)] == ["tls_failed"] * 2
    assert target.requests == []
    assert "certificate" in (made.letters(name)[0].header("x-dlq-reasons") or "")


def test_a_target_that_says_when_is_asked_then(made: Courier, clock: ManualClock, name: str) -> None:
    target = made.beside.target(answers_in_turn(reply(429, "Retry-After: 3600"), OK))
    made.define(name, target.url, retry_config={"max_attempts": 2, "retry_delays": [0]})
    made.send(name, b"1")
    made.run(until=lambda engine: len(target.requests) == 1 and _rests(engine))
    clock.advance(HOUR_MS - 1)
    made.run(until=_ready)
    assert len(target.requests) == 1
    clock.advance(1)
    made.run()
    assert len(target.requests) == 2


def test_a_target_that_asks_for_a_day_each_time_gets_every_attempt(made: Courier, clock: ManualClock, name: str) -> None:
    target = made.beside.target(answers(reply(503, "Retry-After: 86400")))
    made.define(name, target.url, delivery={"disable_after_days": 30})
    made.send(name, b"1")
    for tries in range(1, 8):
        made.run(until=lambda engine, tries=tries: made.bench.through(engine) and len(target.requests) == tries and _rests(engine))  # type: ignore[misc]  # the default binds it
        clock.advance(24 * HOUR_MS)
    made.run()
    assert [entry["attempt"] for entry in made.attempts(name)] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [letter.header("x-dlq-code") for letter in made.letters(name)] == ["attempts_spent"]


def test_a_target_that_is_gone_is_left_alone_until_it_is_enabled(made: Courier, name: str) -> None:
    target = made.beside.target(answers_in_turn(reply(410), OK))
    made.define(name, target.url)
    made.send(name, b"1")
    made.run()
    made.send(name, b"2")
    made.run()
    assert len(target.requests) == 1
    assert [letter.header("x-dlq-code") for letter in made.letters(name)] == ["gone", "deliveries_off"]
    assert made.moves(name)[-1]["off"]["why"] == "the target answered 410 (gone)"
    made.define(name, target.url, stored={"delivery_epoch": 1})
    made.send(name, b"3")
    made.run()
    assert [request.body for request in target.requests] == [b"1", b"3"]
    assert balanced(made.bench.tallies())


def test_days_of_nothing_but_failures_switch_deliveries_off(made: Courier, clock: ManualClock, name: str) -> None:
    target = made.beside.target(answers(reply(500)))
    made.define(name, target.url, retry_config={"max_attempts": 3, "retry_delays": [86_400]}, delivery={"disable_after_days": 2})
    made.send(name, b"1")
    for tries in (1, 2, 3):
        made.run(until=lambda engine, tries=tries: made.bench.through(engine) and len(target.requests) == tries and _rests(engine))  # type: ignore[misc]  # the default binds it
        clock.advance(24 * HOUR_MS)
    made.send(name, b"2")
    made.run()
    assert len(target.requests) == 3
    assert made.moves(name)[-1]["off"]["why"] == "nothing was delivered for 2 days"
    assert [letter.header("x-dlq-code") for letter in made.letters(name)] == ["attempts_spent", "deliveries_off"]
    assert [letter.header("x-dlq-attempt") for letter in made.letters(name)] == ["3", "0"]


def test_later_ones_of_a_key_wait_behind_one_that_is_tried_again(made: Courier, clock: ManualClock, name: str) -> None:
    target = made.beside.target(_fails_once(b"a1"))
    made.define(name, target.url, delivery={"order": "key", "concurrency": 8}, retry_config={"max_attempts": 3, "retry_delays": [60]})
    made.send(name, b"a1", b"a2", b"a3", key=b"a")
    made.send(name, b"b1", b"b2", key=b"b")
    made.send(name, b"c1")
    made.run(until=lambda engine: made.bench.through(engine) and made.waiting(engine) == 3 and _rests(engine))
    assert sorted(request.body for request in target.requests) == [b"a1", b"b1", b"b2", b"c1"]
    clock.advance(60_000)
    made.run()
    bodies = [request.body for request in target.requests]
    assert [body for body in bodies if body.startswith(b"a")] == [b"a1", b"a1", b"a2", b"a3"]
    assert [body for body in bodies if body.startswith(b"b")] == [b"b1", b"b2"]
    assert balanced(made.bench.tallies())


def _fails_once(body: bytes) -> Talk:
    """Answer 500 to the first request with this body, and 200 to all others."""
    failed: list[bytes] = []

    async def talk(seen: Target, reader: StreamReader, writer: StreamWriter) -> None:
        while True:
            request = await read_request(seen, reader)
            fails = request.body == body and not failed
            failed.extend([body] * fails)
            writer.write(reply(500) if fails else OK)

    return talk


def test_a_paused_target_gets_nothing_and_loses_nothing(made: Courier, clock: ManualClock, name: str) -> None:
    target = made.beside.target(answers(OK))
    made.define(name, target.url, stored={"deliveries": "paused"})
    made.send(name, *(b"%d" % n for n in range(30)))
    made.run(until=lambda engine: made.bench.through(engine) and made.waiting(engine) == 30 and _rests(engine))
    assert target.requests == []
    resumed: list[bool] = []

    def after_resume(engine: Engine) -> bool:
        if not resumed and engine.assignment.ready:
            made.define(name, target.url)
            resumed.append(True)
        clock.advance(100)
        return bool(resumed) and made.idle(engine)

    made.run(until=after_resume)
    assert sorted(request.body for request in target.requests) == sorted(b"%d" % n for n in range(30))
    assert made.attempts(name)[0]["attempt"] == 1


def test_an_open_breaker_spends_no_attempt(made: Courier, name: str) -> None:
    target = made.beside.target(answers(reply(500)))
    made.define(name, target.url, retry_config={"max_attempts": 2, "retry_delays": [3600]}, delivery={"concurrency": 1})
    made.send(name, *(b"%d" % n for n in range(60)))
    made.run(until=lambda engine: made.bench.through(engine) and made.waiting(engine) == 60 and len(target.requests) >= 10 and _rests(engine))
    assert len(target.requests) == 10
    last = made.moves(name)[-1]
    assert [last[what] for what in ("state", "calls", "error_ratio", "slow_ratio")] == ["open", 10, 1.0, 0.0]
    assert {entry["attempt"] for entry in made.attempts(name)} == {1}
    assert balanced(made.bench.tallies())


def test_a_definition_that_changed_meanwhile_counts_as_it_stands(made: Courier, clock: ManualClock, name: str) -> None:
    first, second = made.beside.target(answers(reply(500))), made.beside.target(answers(OK))
    made.define(name, first.url, retry_config={"max_attempts": 5, "retry_delays": [60]})
    made.send(name, b"1", b"2")
    made.run(until=lambda engine: made.bench.through(engine) and len(first.requests) == 2 and _rests(engine))
    made.define(name, second.url)
    clock.advance(60_000)
    made.run()
    assert sorted(request.body for request in second.requests) == [b"1", b"2"]


@pytest.mark.parametrize(
    ("stored", "url", "code"), [({"status": "inactive"}, "http://127.0.0.1:9/", "inactive_endpoint"), ({}, None, "no_url")], ids=["inactive", "no url"]
)
def test_a_retry_whose_definition_has_gone_is_buried_with_the_reason(
    made: Courier, clock: ManualClock, name: str, stored: dict[str, str], url: str | None, code: str
) -> None:
    target = made.beside.target(answers(reply(500)))
    made.define(name, target.url, retry_config={"max_attempts": 5, "retry_delays": [60]})
    made.send(name, b"1")
    made.run(until=lambda engine: made.bench.through(engine) and len(target.requests) == 1 and _rests(engine))
    made.define(name, url, stored=stored)
    clock.advance(60_000)
    made.run()
    assert [letter.header("x-dlq-code") for letter in made.letters(name)] == [code]
    assert len(target.requests) == 1


def test_a_clock_that_jumps_loses_nothing_and_doubles_nothing(made: Courier, clock: ManualClock, name: str) -> None:
    target = made.beside.target(answers_in_turn(reply(500), reply(500), OK))
    made.define(name, target.url, retry_config={"max_attempts": 4, "retry_delays": [60]})
    made.send(name, b"1")
    made.run(until=lambda engine: made.bench.through(engine) and len(target.requests) == 1 and _rests(engine))
    clock.jump(HOUR_MS)
    made.run(until=lambda engine: len(target.requests) == 2 and _rests(engine))
    clock.jump(-HOUR_MS)
    made.run(until=_ready)
    assert len(target.requests) == 2
    clock.advance(HOUR_MS + 60_000)
    made.run()
    assert len(target.requests) == 3
    assert made.tally(name)["out"] == 1


def test_one_that_hangs_for_ever_does_not_delay_the_others(kafka: str, tmp_path: Path, name: str) -> None:
    with courier(kafka, tmp_path, clock=SystemClock()) as made:
        dead, alive = made.beside.target(hangs), made.beside.target(answers(OK))
        made.define(name, dead.url, delivery={"timeout_seconds": 60, "concurrency": 3})
        made.define(name + "-b", alive.url)
        made.send(name, *(b"%d" % n for n in range(50)))
        made.send(name + "-b", *(b"%d" % n for n in range(50)))
        begun = monotonic()
        made.run(until=lambda _: len(alive.requests) == 50)
        assert monotonic() - begun < 20
        assert dead.most == 3


def test_what_cannot_be_read_is_buried_and_the_rest_goes_on(made: Courier, name: str) -> None:
    target = made.beside.target(answers(OK))
    made.define(name, target.url)
    made.bench.send((b"\xff\x00", b"1"), (None, b"2"), (name.encode(), None))
    made.bench.send((name.encode(), b"bad \xff"), headers=[("ce_id", b"\xff\r\nx: y"), ("ce_type", b"\r\n"), ("content-type", b"\x00"), ("x-attempt", b"many")])
    made.run()
    assert sorted(request.body for request in target.requests) == [b"", b"bad \xff"]
    dead = made.bench.dead()
    assert [letter.header("x-dlq-code") for letter in dead] == ["unknown_endpoint"] * 2
    assert all("The record names no endpoint" in (letter.header("x-dlq-reasons") or "") for letter in dead)
    assert balanced(made.bench.tallies())


def test_calls_keep_the_pace_of_the_definition(made: Courier, clock: ManualClock, name: str) -> None:
    target = made.beside.target(answers(OK))
    made.define(name, target.url, delivery={"rate_per_second": 2, "concurrency": 8})
    made.send(name, *(b"%d" % n for n in range(6)))
    made.run(until=lambda engine: made.bench.through(engine) and len(target.requests) >= 1 and _rests(engine))
    assert len(target.requests) == 1
    clock.advance(499)
    made.run(until=_ready)
    assert len(target.requests) == 1

    def paced(engine: Engine) -> bool:
        clock.advance(50)
        return made.idle(engine)

    made.run(until=paced)
    assert len(target.requests) == 6
