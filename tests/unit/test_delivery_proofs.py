"""The proofs of the storm over deliveries see every fault that is planted."""

from typing import Any

import pytest

from tests.chaos.delivery_proofs import arrived, entered, in_order, lived
from tests.chaos.receiver import Seen
from tests.kit.topics import Read

EVENT = "e3-k1-6"
BURIED = [{"attempt": 1, "outcome": "failed", "at_ms": 0, "next_due_ms": 10}, {"attempt": 2, "outcome": "failed", "at_ms": 10}]
DELIVERED = [{"attempt": 1, "outcome": "failed", "at_ms": 20, "next_due_ms": 30}, {"attempt": 2, "outcome": "delivered", "at_ms": 31}]
EARLY = [DELIVERED[0], {"attempt": 2, "outcome": "delivered", "at_ms": 29}]


def read(offset: int, **headers: str) -> Read:
    return Read(0, offset, None, b"", [(name.replace("_", "-") if name[:3] != "ce_" else name, value.encode()) for name, value in headers.items()], 0)


def dead(*events: str) -> list[Read]:
    return [read(offset, x_dlq_event_id=event) for offset, event in enumerate(events)]


def again(letter: str, event: str) -> Read:
    return read(9, ce_id=event, x_replayed_letter=letter)


@pytest.mark.parametrize(
    ("entries", "burials", "found"),
    [
        (DELIVERED, 0, []),
        (BURIED + DELIVERED, 1, []),
        (BURIED + BURIED + DELIVERED, 2, []),
        ([], 0, ["was buried 0 times, and tried anew 0"]),
        (BURIED, 1, ["was buried 1 times, and tried anew 1", "ended as"]),
        (DELIVERED + DELIVERED, 0, ["was buried 0 times, and tried anew 2", "ended as"]),
        (BURIED + DELIVERED, 0, ["was buried 0 times"]),
        (DELIVERED[1:], 0, ["are told as [2]", "tried anew 0"]),
        ([*DELIVERED, DELIVERED[1]], 0, ["are told as [1, 2, 2]", "ended as"]),
        (EARLY, 0, ["early: attempt 2 of e3-k1-6 was made 1 ms before"]),
    ],
)
def test_each_life_is_told_whole(entries: list[dict[str, Any]], burials: int, found: list[str]) -> None:
    told = list(lived(EVENT, entries, burials))
    assert len(told) == len(found), told
    assert all(wanted in sentence for sentence, wanted in zip(told, found, strict=True)), told


@pytest.mark.parametrize(
    ("records", "found"),
    [
        ([again("0-0", "a"), again("0-1", "b")], []),
        ([again("0-0", "a")], ["not replayed: 1 letters never entered: 0-1"]),
        ([again("0-0", "a"), again("0-1", "b"), again("0-1", "b")], ["replayed twice: 1 letters entered more than once: 0-1"]),
        ([again("0-0", "a"), again("0-1", "a")], ["misnamed: 1 records entered as letters that are other events: 0-1"]),
        ([again("0-0", "a"), again("0-1", "b"), again("0-7", "c")], ["misnamed: 1 records entered as letters that are other events: 0-7"]),
    ],
)
def test_each_letter_enters_once_as_what_it_was(records: list[Read], found: list[str]) -> None:
    assert list(entered([read(0, ce_id="a"), read(1, ce_id="b"), *records], dead("a", "b"))) == found


def test_what_never_arrived_and_what_nobody_sent_is_found() -> None:
    seen = Seen()
    seen.delivered["b"].append(1.0)
    assert [sentence.split(":")[0] for sentence in arrived(["a"], seen)] == ["lost", "invented"]


def test_order_is_held_by_key_but_for_what_was_buried() -> None:
    seen = Seen()
    sent = ["e1-k0-0", "e1-k0-5", "e1-k1-1", "e2-k0-0", "e2-k0-5"]
    for event_id, at in zip(sent, (5.0, 4.0, 1.0, 5.0, 4.0), strict=True):
        seen.delivered[event_id].append(at)
    assert list(in_order(sent, seen, [])) == ["out of order: e1-k0-5 was delivered 1.000 s before e1-k0-0"]
    assert list(in_order(sent, seen, ["e1-k0-0"])) == []
