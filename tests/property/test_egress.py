"""Egress: whatever the URL, the address, the name server or the answer is, what comes out is judged, bounded, and never an exception."""

import asyncio
import contextlib
import itertools
import random
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

import httpx2
from hypothesis import example, given
from hypothesis import strategies as st

from flows.core.outbound.addresses import Address, is_allowed
from flows.core.outbound.egress import Outgoing, Policy, Refusal, head
from flows.core.outbound.urls import Target
from flows.core.settings import load
from flows.wire.exchange import HEADERS, Broken, Exchange, Reply
from tests.kit.urls import Rebinding, corpus, fuzzed

ANY_PORT = Policy.of(load({}, egress_ports="1-65535"))
PARTS = st.sampled_from(
    [*"/:@#?[]\\.%&=-_ \t\n\x00", "http", "https", "://", "//", "example.com", "a", "8.8.8.8", "[2606:4700::1]", "80", "xn--", "ü", "ß", "\u3002", "\uff10"]
)
PORTS = {"http": 80, "https": 443}
TEXTS = st.text(max_size=40) | st.lists(PARTS, max_size=12).map("".join) | st.lists(PARTS, max_size=10).map(lambda parts: "https://" + "".join(parts))
ADDRESSES = st.one_of(
    st.integers(0, 2**32 - 1).map(IPv4Address),
    st.integers(0, 2**128 - 1).map(IPv6Address),
    st.tuples(st.sampled_from(["::", "::ffff:0:0", "64:ff9b::", "2002::", "2001::", "fe80::", "2000::", "2a00::"]), st.integers(0, 2**32 - 1)).map(
        lambda pair: IPv6Address(int(IPv6Address(pair[0])) + pair[1])
    ),
)


@given(TEXTS)
@example("http://8.8.8.8:80@127.0.0.1/")
@example("http\u017f://example.com")
def test_a_url_is_refused_or_read_as_others_read_it(url: str) -> None:
    found = ANY_PORT.judge(url)
    if isinstance(found, Refusal):
        return
    sent = head(found, Outgoing("GET", url))
    assert isinstance(sent, bytes)
    assert sent.count(b"\r\n") == 4
    assert len(sent.split(b"\r\n")[0].split(b" ")) == 3
    if url.isascii():
        others = urlsplit(url)
        assert (others.hostname or "").removesuffix(".") == found.host or ip_address(others.hostname or "") == ip_address(found.host)
        assert (others.port or PORTS[found.scheme]) == found.port
        theirs = httpx2.URL(f"{found.scheme}://{found.authority}{found.path}")
        assert (theirs.raw_host.decode(), theirs.port or PORTS[theirs.scheme]) == (found.host, found.port)


@given(ADDRESSES)
def test_what_is_allowed_is_global_in_the_librarys_eyes_too(address: Address) -> None:
    if is_allowed(address, ()):
        assert address.is_global
        assert not any((address.is_multicast, address.is_reserved, address.is_link_local, address.is_loopback, address.is_unspecified))


@given(st.integers(0, 2**64))
def test_no_name_server_makes_a_bent_url_lead_inside(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311  which URL comes next is no secret
    names, url = Rebinding(dice), fuzzed(dice, 8080)
    target = ANY_PORT.judge(url)
    if isinstance(target, Target) and not target.literal:
        assert isinstance(ANY_PORT.vet(target.host, names(target.host)), Refusal)


class Nowhere(asyncio.Transport):
    """Takes what is written; an end of a pair of sockets stands for its own."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__({"socket": end})
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


@contextlib.contextmanager
def connected() -> Iterator[tuple[Exchange, Nowhere]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        exchange, transport = Exchange(), Nowhere(ours)
        exchange.connection_made(transport)
        yield exchange, transport


async def heard(pieces: list[bytes], keep: int) -> Reply | Broken | None:
    """Return what an exchange makes of an answer in pieces after which the other side closes."""
    with connected() as (exchange, transport):
        answer = exchange.ask(b"GET / HTTP/1.1\r\n\r\n", b"", keep, bodiless=False)
        for piece in pieces:
            if not transport.closed:
                exchange.data_received(piece)
        exchange.connection_lost(None)
        assert answer.done()
        try:
            return answer.result()
        except Broken as broken:
            return broken


def cut(text: bytes, at: list[int]) -> list[bytes]:
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in at)})
    return [text[low:high] for low, high in itertools.pairwise(edges)]


ANSWERS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\nRetry-After: 5\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: x\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nto the end",
        b"HTTP/1.1 204 No\r\nX: y\r\n\r\n",
    ]
)


@given(ANSWERS, st.lists(st.integers(0, 200), max_size=12))
async def test_it_does_not_matter_where_an_answer_is_cut(answer: bytes, at: list[int]) -> None:
    whole = await heard([answer], 100)
    assert isinstance(whole, Reply)
    assert await heard(cut(answer, at), 100) == whole


@given(ANSWERS, st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=8)), max_size=4), st.lists(st.integers(0, 200), max_size=4), st.integers(0, 6))
async def test_a_bent_answer_is_bounded_or_none(answer: bytes, bends: list[tuple[int, bytes]], at: list[int], keep: int) -> None:
    for place, piece in bends:
        answer = answer[: place % len(answer)] + piece + answer[place % len(answer) :]
    found = await heard(cut(answer, at), keep)
    if isinstance(found, Reply):
        assert len(found.body) <= keep
        assert len(found.headers) <= HEADERS
    else:
        assert isinstance(found, Broken)


def test_the_list_is_refused_on_any_port_too() -> None:
    ports = {row.url for row in corpus() if row.why == "a port that is not allowed"}
    for row in corpus():
        target = ANY_PORT.judge(row.url)
        if isinstance(target, Target) and row.url not in ports:
            assert isinstance(ANY_PORT.vet(target.host, (target.host,) if target.literal else row.resolves), Refusal), row
