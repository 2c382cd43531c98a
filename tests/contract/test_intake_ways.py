"""A webhook that comes whole is answered by the protocol itself, any other by the app: nobody can tell which it was."""

import re
import socket
import struct
from collections.abc import Iterator

import pytest

from tests.kit.door import SECRET, RunningDoor, read_all, sign, until

BODY = b'{"type": "made.up", "n": 1}'
IDS = re.compile(rb'"event_id":"([0-9a-f-]{36})"')


def request(endpoint: str, *lines: str, body: bytes = BODY, secret: str = SECRET, version: str = "1.1") -> bytes:
    head = [f"POST /integration/webhooks/{endpoint} HTTP/{version}", "host: x", f"content-length: {len(body)}", f"x-signature: {sign(body, secret)}"]
    return "\r\n".join([*head, *lines, "", ""]).encode() + body


def without_what_differs(answer: bytes) -> bytes:
    return re.sub(rb"date: [^\r]+", b"date: -", IDS.sub(b'"event_id":"-"', answer))


@pytest.fixture(scope="module")
def endpoint(door: RunningDoor) -> str:
    return door.register()


@pytest.fixture
def line(door: RunningDoor) -> Iterator[socket.socket]:
    with door.connect() as made:
        yield made


def answers(line: socket.socket, count: int) -> bytes:
    """Read until `count` bodies of accepted webhooks have come."""
    found = b""
    while len(IDS.findall(found)) < count:
        piece = line.recv(65536)
        assert piece, found
        found += piece
    return found


WAYS = {
    "accepted": ("{}", (), BODY),
    "a second signature": ("{}", ("x-signature: sha256=" + "00" * 32,), BODY),
    "an unknown endpoint": ("nobody-has-this", (), BODY),
    "a query": ("{}?a=1&b=%20", (), BODY),
    "an empty body": ("{}", (), b""),
    "a reserved name": ("register", (), BODY),
    "a body that is too large": ("{}", (), b"x" * 2_000_000),
    "one byte past what is hashed at once": ("{}", (), b"x" * 262_144),
    "a packed body that is none": ("{}", ("content-encoding: gzip",), BODY),
    "HTTP/1.1 that closes": ("{}", ("connection: close",), BODY),
}


@pytest.mark.parametrize("case", WAYS)
def test_whole_and_in_two_pieces_it_is_answered_alike(door: RunningDoor, endpoint: str, case: str) -> None:
    name, lines, body = WAYS[case]
    asked = request(name.format(endpoint), *lines, body=body)
    last = b"GET /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    head = asked.index(b"\r\n\r\n") + 4
    found = [without_what_differs(door.raw(*pieces)) for pieces in ((asked + last,), (asked[:head], asked[head:] + last))]
    assert found[0] == found[1]
    assert found[0].startswith(b"HTTP/1.1 ")


def test_a_wrong_signature_is_answered_as_an_unknown_endpoint_is(door: RunningDoor, endpoint: str) -> None:
    found = [door.raw(request(name, "connection: close", secret="another")) for name in (endpoint, "nobody-has-this")]
    assert without_what_differs(found[0]) == without_what_differs(found[1])
    assert found[0].startswith(b"HTTP/1.1 401 ")


def test_it_is_answered_alike_wherever_it_is_cut(door: RunningDoor, endpoint: str) -> None:
    asked = request(endpoint, "connection: close")
    expected = without_what_differs(door.raw(asked))
    assert expected.startswith(b"HTTP/1.1 202 ")
    for cut in range(1, len(asked)):
        with door.connect() as line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.sendall(asked[:cut])
            line.sendall(asked[cut:])
            assert without_what_differs(read_all(line)) == expected, cut


def test_the_old_protocol_is_spoken_too(door: RunningDoor, endpoint: str) -> None:
    answer = door.raw(request(endpoint, version="1.0"))
    assert answer.startswith(b"HTTP/1.1 202 ")
    assert b"connection: close" in answer


def test_many_follow_one_another_on_a_connection(line: socket.socket, endpoint: str) -> None:
    ids = set()
    for _ in range(50):
        line.sendall(request(endpoint))
        ids.update(IDS.findall(answers(line, 1)))
    assert len(ids) == 50


def test_requests_in_one_segment_are_answered_in_their_order(door: RunningDoor, endpoint: str) -> None:
    bad = request(endpoint, secret="another")
    probe = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
    found = door.raw(request(endpoint) + bad + probe + request(endpoint) + request(endpoint, "connection: close"))
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", found) == [b"202", b"401", b"200", b"202", b"202"]


@pytest.mark.parametrize("count", [1, 3])
def test_a_sender_that_has_said_all_hears_every_answer(door: RunningDoor, endpoint: str, count: int) -> None:
    found = door.raw(request(endpoint) * count, end=True)
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", found) == [b"202"] * count


def test_what_was_whole_is_answered_though_nonsense_follows(door: RunningDoor, endpoint: str) -> None:
    assert door.raw(request(endpoint) + b"\x00\x01nonsense\r\n\r\n").startswith(b"HTTP/1.1 202 ")


def test_probes_may_ask_for_the_head_alone(door: RunningDoor) -> None:
    for path in ("/health", "/health/live", "/v1/health/ready", "/metrics"):
        answer = door.stranger.head(path)
        assert (answer.status_code, answer.content) == (200, b"")


def test_the_ways_alternate_on_a_connection(line: socket.socket, endpoint: str) -> None:
    asked = request(endpoint)
    for cut in (0, 40, 0, len(asked) - 3, 0):
        if cut:
            line.sendall(asked[:cut])
        line.sendall(asked[cut:])
        assert answers(line, 1).startswith(b"HTTP/1.1 202 ")


def test_a_sender_that_does_not_wait_for_the_answer_has_sent_all_the_same(door: RunningDoor) -> None:
    name = door.register()
    for _ in range(20):
        line = door.connect()
        line.sendall(request(name, "connection: close"))
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.close()
    until(lambda: door.in_flight() == 0)
    assert door.send(name).status_code == 202

    def counted() -> tuple[int, int]:
        counters = door.http.get(f"/integration/webhooks/{name}/status").json()["counters"]
        return counters["received"], counters["accepted"]

    until(lambda: counted()[0] >= 1 and counted()[0] == counted()[1], why=counted)
    assert "Traceback" not in door.log.read_text()


def test_a_sender_that_reads_no_answers_is_not_served_for_ever(door: RunningDoor, endpoint: str) -> None:
    with door.connect(2) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sent, many = 0, request(endpoint) * 100
        try:
            while sent < 200_000_000:
                sent += line.send(many)
        except TimeoutError:
            pass
    assert sent < 100_000_000
    until(lambda: door.in_flight() == 0)
