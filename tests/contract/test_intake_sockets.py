"""The hot path on the wire: senders that are slow, that lie, that flood, that go away."""

import contextlib
import re
import socket
import struct
import time

import pytest

from tests.kit.door import RunningDoor, read_all, sign, until

BODY = b'{"n": 1}'


def head(endpoint: str, *lines: str, body: bytes = BODY, length: bool = True) -> bytes:
    own = [f"POST /integration/webhooks/{endpoint} HTTP/1.1", "host: x", "connection: close", f"x-signature: {sign(body)}"]
    if length:
        own.append(f"content-length: {len(body)}")
    return "\r\n".join([*own, *lines, "", ""]).encode("latin-1")


def status(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(found[1]) if found else 0


def chunked(*pieces: bytes, extension: bytes = b"") -> bytes:
    return b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in (*pieces, b""))


@pytest.fixture(scope="module")
def endpoint(door: RunningDoor) -> str:
    return door.register()


@pytest.fixture(autouse=True)
def _still_well(door: RunningDoor, endpoint: str) -> object:
    """Whatever a sender did, the next one is served and nothing was an error of ours."""
    yield
    assert door.send(endpoint).status_code == 202
    assert "Traceback" not in door.log.read_text()


def test_a_body_in_chunks_of_one_byte(door: RunningDoor, endpoint: str) -> None:
    answer = door.raw(head(endpoint, "transfer-encoding: chunked", length=False), *(b"1\r\n%c\r\n" % byte for byte in BODY), b"0\r\n\r\n")
    assert status(answer) == 202


def test_a_request_in_pieces_of_one_byte(door: RunningDoor, endpoint: str) -> None:
    whole = head(endpoint) + BODY
    assert status(door.raw(*(whole[n : n + 1] for n in range(len(whole))))) == 202


def test_chunk_extensions_are_passed_over(door: RunningDoor, endpoint: str) -> None:
    request = head(endpoint, "transfer-encoding: chunked", length=False) + chunked(BODY, extension=b";name=value")
    assert status(door.raw(request)) == 202


def test_a_body_larger_than_allowed_is_counted_in_chunks_too(door: RunningDoor, endpoint: str) -> None:
    pieces = [chunked(b"x" * 65536)[:-5] for _ in range(20)]
    answer = door.raw(head(endpoint, "transfer-encoding: chunked", length=False), *pieces, b"0\r\n\r\n")
    assert status(answer) == 413
    assert b"application/problem+json" in answer


def test_an_announced_length_past_the_limit_is_refused_unread(door: RunningDoor, endpoint: str) -> None:
    answer = door.raw(head(endpoint, "content-length: 99999999999", length=False), b"x" * 1000)
    assert status(answer) == 413


def test_a_body_shorter_than_announced_runs_out_of_time(door: RunningDoor, endpoint: str) -> None:
    assert status(door.raw(head(endpoint, "content-length: 100", length=False), BODY)) == 408


def test_a_sender_that_stops_in_mid_word_is_let_go(door: RunningDoor, endpoint: str) -> None:
    assert door.raw(head(endpoint, "content-length: 100", length=False), BODY, end=True)[:12] in {b"HTTP/1.1 408", b""}


def test_a_body_longer_than_announced_is_no_second_request(door: RunningDoor, endpoint: str) -> None:
    answer = door.raw(head(endpoint) + BODY + b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
    assert status(answer) == 202
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "lines",
    [
        ("content-length: 8", "content-length: 9"),
        ("content-length: 8", "transfer-encoding: chunked"),
        ("transfer-encoding: chunked", "content-length: 8"),
        ("content-length: -1",),
        ("content-length: +8",),
        ("content-length: 0x8",),
        ("content-length: 8 8",),
        ("content-length: 99999999999999999999999999",),
        ("transfer-encoding: chunked, identity",),
        ("bad header",),
        ("na me: x",),
        ("x-nul: a\x00b",),
        (": empty",),
    ],
)
def test_framing_that_can_be_read_two_ways_is_refused(door: RunningDoor, endpoint: str, lines: tuple[str, ...]) -> None:
    answer = door.raw(head(endpoint, *lines, length=False), chunked(BODY))
    assert status(answer) == 400, answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"application/problem+json" in answer


@pytest.mark.parametrize("chunk", [b"-1\r\nx\r\n0\r\n\r\n", b"g\r\nx\r\n0\r\n\r\n", b"ffffffffffffffffff\r\nx", b"2\r\nxyz\r\n0\r\n\r\n"])
def test_chunks_that_are_none_end_the_connection(door: RunningDoor, endpoint: str, chunk: bytes) -> None:
    assert status(door.raw(head(endpoint, "transfer-encoding: chunked", length=False), chunk)) in {0, 400, 408}


@pytest.mark.parametrize(
    "junk", [b"\x00" * 100, b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"POST /integration/webhooks/x HTTP/9.9\r\n\r\n", b"GET http://[ HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_http_gets_a_problem_document(door: RunningDoor, junk: bytes) -> None:
    answer = door.raw(junk)
    assert status(answer) == 400
    assert b"application/problem+json" in answer


def test_a_flood_of_headers_ends(door: RunningDoor, endpoint: str) -> None:
    with door.connect() as line:
        line.sendall(f"POST /integration/webhooks/{endpoint} HTTP/1.1\r\n".encode())
        sent = 0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while sent < 50_000_000:
                line.sendall(b"x-flood: " + b"y" * 8192 + b"\r\n")
                sent += 8203
        assert sent < 20_000_000
        assert status(read_all(line)) in {0, 431}


@pytest.mark.parametrize("size", [66_000, 140_000, 5_000_000])
def test_a_head_that_is_too_large_is_answered(door: RunningDoor, endpoint: str, size: int) -> None:
    answer = door.raw(head(endpoint, "x-flood: " + "y" * size), BODY)
    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"larger than 65,536 bytes: send fewer headers" in answer


@pytest.mark.parametrize("blanks", [" ", "\t", " \t "])
def test_blanks_around_a_value_are_no_part_of_it(door: RunningDoor, endpoint: str, blanks: str) -> None:
    lines = [
        f"x-signature:{blanks}{sign(BODY)}{blanks}",
        f"content-length:{blanks}{len(BODY)}{blanks}",
        "connection: close",
        f"content-encoding: identity{blanks}",
    ]
    for usual in (lines, lines[:3]):
        request = "\r\n".join([f"POST /integration/webhooks/{endpoint} HTTP/1.1", "host: x", *usual, "", ""]).encode() + BODY
        assert status(door.raw(request)) == 202
    key = door.http.headers["x-api-key"]
    asked = f"GET /integration/webhooks/{endpoint} HTTP/1.1\r\nhost: x\r\nx-api-key: {key}{blanks}\r\nconnection: close\r\n\r\n"
    assert status(door.raw(asked.encode())) == 200


def test_a_head_that_never_ends_runs_out_of_time(door: RunningDoor) -> None:
    begin = time.monotonic()
    with door.connect(0.2) as line:
        line.sendall(b"POST /integration/webhooks/x HTTP/1.1\r\n")
        found = b""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while not found and time.monotonic() - begin < 60:
                line.sendall(b"x-slow: 1\r\n")
                with contextlib.suppress(TimeoutError):
                    found = line.recv(1000)
    assert status(found) == 408
    assert time.monotonic() - begin < 40


def test_expect_continue_is_answered(door: RunningDoor, endpoint: str) -> None:
    with door.connect() as line:
        line.sendall(head(endpoint, "expect: 100-continue"))
        assert line.recv(1000).startswith(b"HTTP/1.1 100")
        line.sendall(BODY)
        assert status(read_all(line)) == 202


def test_requests_one_after_the_other_on_a_connection(door: RunningDoor, endpoint: str) -> None:
    one = head(endpoint).replace(b"connection: close\r\n", b"") + BODY
    last = head(endpoint) + BODY
    assert door.raw(one * 9 + last).count(b"HTTP/1.1 202") == 10


def test_senders_that_hang_up_at_once_leave_nothing(door: RunningDoor, endpoint: str) -> None:
    request = head(endpoint) + BODY
    for cut in range(0, len(request), 7):
        line = door.connect()
        line.sendall(request[:cut])
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.close()
    until(lambda: door.in_flight() == 0)


def test_header_bytes_of_any_kind_are_taken(door: RunningDoor, endpoint: str) -> None:
    answer = door.raw(head(endpoint, "x-latin: \xff\xfe", "x-signature: \xff", "content-type: \xff") + BODY)
    assert status(answer) in {202, 401}


def test_ten_thousand_signatures_cost_no_more_than_a_few(door: RunningDoor, endpoint: str) -> None:
    answer = door.raw(head(endpoint, *(["x-signature: sha256=00"] * 2000)) + BODY)
    assert status(answer) in {202, 401}
