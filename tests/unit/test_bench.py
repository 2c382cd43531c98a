"""The arithmetic of the figures, and the sender against a server that answers in pieces."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree import ElementTree as ET

import pytest

from tests.bench.chart import chart
from tests.bench.http_load import Load, Plan, request
from tests.bench.results import Figure, Result, Series, percentile

SPEED = Figure("speed", "speed", "records/s", 1.5, "at least", "peer")
STOP = Figure("stop", "stop", "s", 2, "at most", worst=True)


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 5), (0.9, 9), (0.91, 10), (0.99, 10), (1.0, 10)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: float) -> None:
    assert percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], share) == value


def test_with_a_peer_the_ratio_of_the_medians_is_judged() -> None:
    result = Result(SPEED, Series((90.0, 160.0, 1000.0)), Series((100.0, 1.0, 101.0)))
    assert result.ratio == pytest.approx(1.6)
    assert result.holds
    assert not Result(SPEED, Series((140.0,)), Series((100.0,))).holds


def test_for_stops_the_worst_run_is_judged() -> None:
    assert Result(STOP, Series((0.1, 1.9))).holds
    assert not Result(STOP, Series((0.1, 0.1, 2.1))).holds


def test_a_result_is_json_with_its_machine_and_commit() -> None:
    written = json.loads(json.dumps(Result(SPEED, Series((3.0,)), Series((2.0,))).as_json({"cores": 2}, quick=True)))
    assert written["ratio"] == 1.5
    assert written["holds"] is True
    assert {"figure", "unit", "peer", "bar", "machine", "commit", "date"} <= written.keys()


def test_the_chart_has_a_row_for_each_throughput_with_a_peer() -> None:
    slower = Figure("slower", "slower", "ms", 1.5, "at most", "peer")
    results = [Result(SPEED, Series((3.0,)), Series((2.0,))), Result(STOP, Series((1.0,))), Result(slower, Series((3.0,)), Series((2.0,)))]
    drawn = ET.fromstring(chart([result.as_json({}, quick=True) for result in results]))  # noqa: S314  we drew it
    assert len(drawn.findall(".//{*}rect")) == 2


@contextmanager
def server(*pieces: bytes) -> Iterator[int]:
    """Answer every request with the same pieces, on as many connections as come."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(connection: socket.socket) -> None:
            with connection:
                while connection.recv(65536):
                    for piece in pieces:
                        connection.sendall(piece)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


REQUEST = request("POST", "/", "test", b"{}")


def test_an_answer_in_pieces_is_one_answer() -> None:
    with server(b"HTTP/1.1 202 Accepted\r\nContent-Le", b"ngth: 5\r\n\r\nhel", b"lo") as port:
        report = Load(Plan("127.0.0.1", port, [REQUEST], 2, due=[time.time()] * 6)).open()
    assert report.statuses == {"202": 6}
    assert report.errors == 0


def test_the_open_loop_counts_from_the_appointment() -> None:
    """Requests that were due two seconds ago and could not be sent then have taken two seconds, however fast their answer."""
    with server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as port:
        report = Load(Plan("127.0.0.1", port, [REQUEST], 1, due=[time.time() - 2] * 3)).open()
    assert report.answered == 3
    assert min(report.latencies) >= 2


def test_a_server_that_hangs_up_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        load = Load(Plan("127.0.0.1", listener.getsockname()[1], [REQUEST], 1, due=[time.time()]))
        connection, _ = listener.accept()
        connection.close()
        report = load.open()
    assert report.errors == 1
    assert report.answered == 0
