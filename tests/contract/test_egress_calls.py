"""Calls out to targets that behave: what is sent, what comes back, which connections are used."""

import asyncio
import time

import pytest

from flows.core.outbound.egress import Answer, Failure, Outgoing
from flows.wire.lines import Limits
from flows.wire.telemetry import Telemetry
from tests.kit.egress import SOON_S, answer, egress, failure, post
from tests.kit.targets import OK, answers, answers_once, hangs, swallows, swallows_all, target


async def test_a_post_is_answered() -> None:
    created = b"HTTP/1.1 201 Created\r\nX-One: a\r\nx-one: b\r\nContent-Length: 5\r\n\r\nhello"
    async with target(answers(created)) as seen:
        with egress(("hook.test", ["127.0.0.1"])) as client:
            found = await answer(client, post(f"http://Hook.test.:{seen.port}/a?b=%20ü", b"x" * 200_000))
    assert found[:4] == (201, (("x-one", "a"), ("x-one", "b"), ("content-length", "5")), b"hello", False)
    assert found.address == "127.0.0.1"
    assert found.seconds > 0
    (request,) = seen.requests
    assert request.head.startswith("POST /a?b=%20%C3%BC HTTP/1.1\r\n")
    assert request.header("host") == f"hook.test:{seen.port}"
    assert request.header("content-type") == "application/json"
    assert request.body == b"x" * 200_000


@pytest.mark.parametrize("status", [b"301", b"302", b"303", b"307", b"308"])
async def test_a_redirect_is_an_answer_like_any_other(status: bytes) -> None:
    async with target(answers(OK)) as inside:
        moved = b"HTTP/1.1 %s Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, inside.url.encode())
        async with target(answers(moved)) as seen:
            with egress() as client:
                found = await answer(client, post(seen.url))
    assert found.status == int(status)
    assert dict(found.headers)["location"] == inside.url
    assert inside.connections == 0


@pytest.mark.parametrize(
    ("method", "said", "status", "body"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", 200, b""),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", 304, b""),
        ("GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK, 200, b"ok"),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3;x=y\r\n...\r\n0\r\nX-Trailer: z\r\n\r\n", 200, b"ok..."),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08", 200, b"\x1f\x8b\x08"),
    ],
)
async def test_every_kind_of_answer_is_read(method: str, said: bytes, status: int, body: bytes) -> None:
    async with target(answers(said)) as seen:
        with egress() as client:
            for _ in range(3):
                found = await answer(client, Outgoing(method, seen.url))
                assert (found.status, found.body, found.truncated) == (status, body, False)
                assert "x-trailer" not in dict(found.headers)
    assert seen.connections == (3 if method == "HEAD" else 1)


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 200 OK\r\n\r\nall of it", b"HTTP/1.0 200 OK\r\n\r\nall of it", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"]
)
async def test_an_answer_without_a_length_ends_with_its_connection(said: bytes) -> None:
    async with target(answers_once(said)) as seen:
        with egress() as client:
            assert (await answer(client, post(seen.url))).body == b"all of it"
            assert (await answer(client, post(seen.url))).body == b"all of it"
    assert seen.connections == 2


@pytest.mark.parametrize(("length", "kept", "connections"), [(1000, 1000, 1), (1001, 1000, 1), (60_000, 1000, 1), (600_000, 1000, 2), (5, 0, 1)])
async def test_so_much_of_a_body_is_kept(length: int, kept: int, connections: int) -> None:
    async with target(answers(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + b"x" * length)) as seen:
        with egress() as client:
            for _ in range(2):
                found = await answer(client, post(seen.url, keep_bytes=kept))
                assert (found.status, found.body, found.truncated) == (200, b"x" * kept, length > kept)
    assert seen.connections == connections


async def test_a_body_in_chunks_of_one_byte_is_whole() -> None:
    body = b"1\r\nx\r\n" * 100_000
    async with target(answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n")) as seen:
        with egress() as client:
            found = await answer(client, post(seen.url, keep_bytes=200_000))
    assert found.body == b"x" * 100_000


async def test_no_proxy_and_no_password_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with target(answers(OK)) as proxy, target(answers(OK)) as seen:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        with egress() as client:
            await answer(client, post(seen.url))
    assert proxy.connections == 0
    assert seen.requests[0].header("authorization") is None


async def test_no_cookie_is_kept() -> None:
    async with target(answers(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")) as seen:
        with egress() as client:
            await answer(client, post(seen.url))
            await answer(client, post(seen.url))
    assert seen.requests[1].header("cookie") is None


async def test_a_connection_is_used_again() -> None:
    async with target(answers(OK)) as seen:
        with egress() as client:
            for _ in range(5):
                await answer(client, post(seen.url))
    assert (seen.connections, len(seen.requests)) == (1, 5)


async def test_a_kept_connection_that_was_closed_meanwhile_costs_nothing() -> None:
    async with target(answers_once(OK)) as seen:
        with egress() as client:
            for _ in range(3):
                await answer(client, post(seen.url))
                await seen.gone.wait()
                seen.gone.clear()
    assert (seen.connections, len(seen.requests)) == (3, 3)


async def test_what_a_kept_connection_swallowed_is_sent_once_more_only_if_it_may_be() -> None:
    async with target(swallows) as seen:
        with egress() as client:
            await answer(client, post(seen.url))
            lost = await failure(client, post(seen.url))
            assert (lost.code, lost.sent) == ("closed", True)
            await answer(client, post(seen.url, repeatable=True))
            await answer(client, post(seen.url, repeatable=True))
    assert (seen.connections, len(seen.requests)) == (3, 5)


async def test_a_new_connection_that_swallows_is_not_tried_again() -> None:
    async with target(swallows_all) as seen:
        with egress() as client:
            assert (await failure(client, post(seen.url, repeatable=True))).code == "closed"
    assert len(seen.requests) == 1


@pytest.mark.parametrize("more", [OK, b"x", b"\r\n\r\n\r\nxxxx", b"HTTP/1.1 200 OK\r\n"])
async def test_what_nobody_asked_for_reaches_nobody(more: bytes) -> None:
    async with target(answers(OK + more)) as seen:
        with egress() as client:
            for _ in range(3):
                assert (await answer(client, post(seen.url))).body == b"ok"
    assert seen.connections == 3


async def test_only_so_many_calls_to_one_host_and_in_all() -> None:
    async with target(hangs) as slow, target(answers(OK)) as quick:
        with egress(limits=Limits(calls=4, calls_per_host=2)) as client:
            waiting = [asyncio.create_task(client.call(post(slow.url, deadline_s=2 * SOON_S))) for _ in range(10)]
            await asyncio.gather(*(answer(client, post(quick.url)) for _ in range(20)))
            assert not any(task.done() for task in waiting)
            found = await asyncio.gather(*waiting)
    assert sorted((one.code, one.sent) for one in found if isinstance(one, Failure)) == [("no_place", False)] * 8 + [("timed_out", True)] * 2
    details = {one.detail for one in found if isinstance(one, Failure) and not one.sent}
    assert details == {f"There was no place for a call to 127.0.0.1:{slow.port} in time: as many as may be at once were under way."}
    assert slow.most == 2
    assert quick.most <= 2


async def test_who_finds_a_place_in_time_has_what_is_left() -> None:
    async with target(hangs) as seen:
        with egress(limits=Limits(calls_per_host=1)) as client:
            first = asyncio.create_task(client.call(post(seen.url, deadline_s=SOON_S / 3)))
            await seen.asked.wait()
            begin = time.monotonic()
            second = await failure(client, post(seen.url, deadline_s=SOON_S))
            took = time.monotonic() - begin
            assert isinstance(await first, Failure)
    assert (second.code, second.sent) == ("timed_out", True)
    assert took >= SOON_S - 0.01


async def test_who_finds_no_place_in_all_has_not_called() -> None:
    async with target(hangs) as slow, target(answers(OK)) as quick:
        with egress(limits=Limits(calls=1)) as client:
            hanging = asyncio.create_task(client.call(post(slow.url)))
            await slow.asked.wait()
            found = await failure(client, post(quick.url, deadline_s=SOON_S))
            assert (found.code, found.sent) == ("no_place", False)
            hanging.cancel()
            await asyncio.gather(hanging, return_exceptions=True)
            await answer(client, post(quick.url))
    assert quick.connections == 1


async def test_only_so_many_connections_are_kept() -> None:
    async with target(answers(OK)) as one, target(answers(OK)) as other:
        with egress(limits=Limits(idle=1, idle_s=3600)) as client:
            for seen in (one, other, other, one):
                await answer(client, post(seen.url))
            assert (one.connections, other.connections) == (2, 1)


async def test_a_kept_connection_is_closed_after_a_while() -> None:
    async with target(answers(OK)) as seen:
        with egress(limits=Limits(idle_s=0.02)) as client:
            await answer(client, post(seen.url))
            await asyncio.wait_for(seen.gone.wait(), 10)


async def test_after_close_nothing_is_kept() -> None:
    async with target(answers(OK)) as seen:
        with egress() as client:
            await answer(client, post(seen.url))
            client.close()
            await asyncio.wait_for(seen.gone.wait(), 10)
            await answer(client, post(seen.url))
            await answer(client, post(seen.url))
    assert seen.connections == 3


async def test_a_cancelled_call_closes_its_connection() -> None:
    async with target(hangs) as seen:
        with egress() as client:
            task = asyncio.create_task(client.call(post(seen.url)))
            await seen.asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(seen.gone.wait(), 10)


async def test_calls_are_counted_by_what_came_of_them() -> None:
    telemetry = Telemetry()
    async with target(answers(OK)) as seen:
        with egress(telemetry=telemetry) as client:
            assert isinstance(await client.call(post(seen.url)), Answer)
            await client.call(post("http://10.0.0.1/"))
            shown = telemetry.render().decode()
    assert 'xyra_egress_calls_total{outcome="answered"} 1.0' in shown
    assert 'xyra_egress_calls_total{outcome="address_not_allowed"} 1.0' in shown
    assert 'xyra_egress_connections{state="idle"} 1.0' in shown
    assert "xyra_egress_seconds_count 2" in shown
