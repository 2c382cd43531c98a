"""What is read before it is asked for: it is what will be asked, its errors are told when it is, and nothing of it is left behind."""

from collections.abc import Callable
from threading import Event, Semaphore
from typing import Any

import pytest

from flows.core.files.rejects import Reject
from flows.core.imports.portion import Place, Portion, place_in
from flows.steps.ahead import DEPTH, OFFSET_BYTES, Ahead, following

WAIT_S = 10.0
FOR_NOTHING_S = 0.05
BEGIN: dict[str, Any] = {"at": 0, "line": 1, "ordinal": 0, "state": "", "from": 0}


class Source:
    """Reads by calling something, so many portions at most; notes what was asked, and that it was closed."""

    def __init__(self, read: Callable[["Source"], bytes], portions: int = 1) -> None:
        self._read, self._portions = read, portions
        self.asked: list[dict[str, Any]] = []
        self.stopped, self.closed = Event(), Event()
        self.begun = Semaphore(0)

    def portion(self, asked: dict[str, Any]) -> bytes:
        self.asked.append(asked)
        self.begun.release()
        return self._read(self)

    def behind(self, asked: dict[str, Any], answer: bytes) -> dict[str, Any] | None:
        assert asked == self.asked[-1]
        return following(asked, answer) if len(self.asked) < self._portions else None

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


def at(source: Source) -> bytes:
    """Answer that reading goes on one byte further."""
    return (0).to_bytes(OFFSET_BYTES, "big") + Portion(Place(len(source.asked)), False, 0, 0, 0, [], [], [], []).pack()


def test_portions_are_taken_in_order_until_nothing_more_is_read() -> None:
    source = Source(at, portions=4)
    ahead = Ahead(source, BEGIN)
    for n in range(4):
        assert ahead.asked == {**BEGIN, "at": n}
        assert place_in(ahead.take(), OFFSET_BYTES) == Place(n + 1)
    assert ahead.asked is None
    assert [asked["at"] for asked in source.asked] == [0, 1, 2, 3]
    assert not source.closed.is_set()


def test_so_many_are_read_ahead_and_no_more_before_one_is_taken() -> None:
    source = Source(at, portions=9)
    ahead = Ahead(source, BEGIN)
    for _ in range(DEPTH):
        assert source.begun.acquire(timeout=WAIT_S)
    assert not source.begun.acquire(timeout=FOR_NOTHING_S)
    ahead.take()
    assert source.begun.acquire(timeout=WAIT_S)
    ahead.close()


def test_an_error_is_told_behind_what_was_read_before_it() -> None:
    source = Source(lambda source: at(source) if len(source.asked) < 2 else stuck(source), portions=9)
    ahead = Ahead(source, BEGIN)
    ahead.take()
    source.stop()
    with pytest.raises(ValueError, match="it was stopped"):
        ahead.take()
    assert not source.closed.is_set()


def test_nobody_waits_for_what_is_not_wanted_any_more_and_its_source_is_closed() -> None:
    source = Source(stuck)
    ahead = Ahead(source, BEGIN)
    assert source.begun.acquire(timeout=WAIT_S)
    ahead.close()
    assert source.closed.wait(WAIT_S)


def test_what_was_read_and_is_not_wanted_closes_its_source() -> None:
    source = Source(at, portions=9)
    ahead = Ahead(source, BEGIN)
    for _ in range(DEPTH):
        assert source.begun.acquire(timeout=WAIT_S)
    ahead.close()
    assert source.closed.wait(WAIT_S)
