"""What is read before it is asked for: it is what will be asked, its errors are told when it is, and nothing of it is left behind."""

from collections.abc import Callable
from threading import Event
from typing import Any

import orjson
import pytest

from flows.core.files.rejects import Reject
from flows.core.imports.portion import Place, Portion, place_in
from flows.steps.ahead import OFFSET_BYTES, Ahead, following

WAIT_S = 10.0


class Source:
    """Reads by calling something; notes that it was closed."""

    def __init__(self, read: Callable[["Source"], bytes]) -> None:
        self._read = read
        self.begun, self.stopped, self.closed = Event(), Event(), Event()

    def portion(self, asked: dict[str, Any]) -> bytes:
        self.begun.set()
        return self._read(self) + orjson.dumps(asked)

    def stop(self) -> None:
        self.stopped.set()

    def close(self) -> None:
        assert not self.closed.is_set()
        self.closed.set()


def stuck(source: Source) -> bytes:
    assert source.stopped.wait(WAIT_S)
    raise ValueError("it was stopped")


def portion(keys: list[bytes | None]) -> bytes:
    turned = [Reject(n, n, n, "", "ragged", "", "", b"raw\n") for n in range(3)]
    names = [b"%064d" % n for n in range(len(keys))]
    return Portion(Place(90, b"sta\nte", 7, 6), False, len(keys) + 3, 0, len(keys), [b"{}\n"] * len(keys), keys, names, turned).pack()


@pytest.mark.parametrize("keys", [[], [None, None], [b"", None], [b"one", b"\n"]], ids=["no rows", "no keys", "one key", "keys"])
def test_what_is_asked_next_stands_in_the_answer(keys: list[bytes | None]) -> None:
    packed = portion(keys)
    read = Portion.unpack(packed)
    assert (read.keys, read.place, len(read.rejects)) == (keys, Place(90, b"sta\nte", 7, 6), 3)
    assert place_in(b"offset\n!" + packed, OFFSET_BYTES) == read.place
    asked = following({"job": 1, "at": 0, "line": 1, "ordinal": 0, "state": "", "from": 0}, (12).to_bytes(OFFSET_BYTES, "big") + packed)
    assert asked == {"job": 1, "at": 90, "line": 7, "ordinal": 6, "state": "c3RhCnRl", "from": 12}


def test_what_was_read_is_taken() -> None:
    source = Source(lambda _: b"rows ")
    assert Ahead(source, {"at": 1}).take() == b'rows {"at":1}'
    assert not source.closed.is_set()


def test_an_error_is_told_to_who_takes_it() -> None:
    source = Source(stuck)
    ahead = Ahead(source, {})
    source.stop()
    with pytest.raises(ValueError, match="it was stopped"):
        ahead.take()
    assert not source.closed.is_set()


def test_nobody_waits_for_what_is_not_wanted_any_more_and_its_source_is_closed() -> None:
    source = Source(stuck)
    ahead = Ahead(source, {})
    assert source.begun.wait(WAIT_S)
    ahead.close()
    assert source.closed.wait(WAIT_S)


def test_what_was_read_and_is_not_wanted_closes_its_source() -> None:
    source = Source(lambda _: b"")
    ahead = Ahead(source, {})
    ahead.take()
    ahead.close()
    assert source.closed.is_set()
