"""What the replay flow makes of dead letters and of orders about them, with real state and no broker."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from flows.core import topics
from flows.core.orders import StoredDiscard, StoredReplay
from flows.core.record import Output
from flows.core.topics import DLQ
from tests.kit.graveyard import Graveyard, webhook


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Graveyard]:
    made = Graveyard(tmp_path / "state")
    yield made
    made.close()


def replay(yard: Graveyard, name: str = "r", **fields: Any) -> None:
    order = {"replay_id": name, "until": {0: len(yard.log) - 1}, "by": "admin", "at_ms": yard.clock.now_ms()} | fields
    yard.put(f"replay/{name}", StoredReplay.model_validate(order).model_dump_json(by_alias=True, exclude_none=True).encode())


def discard(yard: Graveyard, name: str = "d", **fields: Any) -> None:
    order = {"discard_id": name, "until": {0: len(yard.log) - 1}, "by": "admin", "at_ms": yard.clock.now_ms(), "reason": "old"} | fields
    yard.put(f"discard/{name}", StoredDiscard.model_validate(order).model_dump_json(by_alias=True, exclude_none=True).encode())


def test_each_letter_is_indexed_with_what_lists_show(yard: Graveyard) -> None:
    (name,) = yard.bury(webhook(7))
    found = yard.index()[name]
    assert (found.flow, found.step, found.resource, found.letter_class, found.code, found.status) == (
        "webhooks",
        "schema",
        "shop",
        "theirs",
        "schema",
        "buried",
    )
    assert (found.topic, found.partition, found.offset, found.event_id, found.size) == (topics.WEBHOOKS.name, 3, 7, "e-7", 8)
    assert yard.letters() == yard.index()


@pytest.mark.parametrize("wanted", [{"filter": {}}, {"ids": ["0-0", "0-2"]}])
def test_an_order_waits_for_letters_that_it_knows_and_the_flow_has_not_read_yet(yard: Graveyard, wanted: dict[str, Any]) -> None:
    yard.bury(webhook(0))
    replay(yard, until={0: 2}, **wanted)
    yard.settle()
    assert (len(yard.entered()), yard.told("replay/r")["over"]) == (1, False)
    yard.bury(webhook(1), webhook(2))
    yard.settle()
    assert (len(yard.entered()), yard.told("replay/r")["over"]) == (3 if "filter" in wanted else 2, True)


def test_a_replayed_record_is_what_it_was_and_says_where_it_has_been(yard: Graveyard) -> None:
    (name,) = yard.bury(webhook(7, b"\xff", x_attempt=b"4", x_trace=b"1", x_http=b"{}"))
    replay(yard, filter={})
    yard.settle()
    (entered,) = yard.entered()
    assert entered == Output(
        topics.WEBHOOKS.name,
        b"key-7",
        b"\xff",
        (("ce_id", b"e-7"), ("ce_source", b"/webhooks/shop"), ("x-http", b"{}"), ("x-replay-id", b"r"), ("x-replayed-letter", name.encode())),
    )
    found = yard.index()[name]
    assert (found.status, found.order, found.by) == ("replayed", "r", "admin")
    assert yard.told("replay/r") == {"selected": 1, "done": 1, "already": 0, "failed": 0, "trouble": "", "over": True}


def test_a_record_without_an_id_stays_the_same_event(yard: Graveyard) -> None:
    bare = webhook(9)._replace(headers=(("ce_source", b"/webhooks/shop"),))
    (name,) = yard.bury(bare)
    replay(yard, filter={})
    yard.settle()
    assert dict(yard.entered()[0].headers)["ce_id"].decode() == yard.index()[name].event_id


def test_filters_and_ids_choose(yard: Graveyard) -> None:
    yard.bury(webhook(0), resource="a")
    yard.bury(webhook(1), webhook(2), resource="b")
    replay(yard, "one", ids=["0-2", "0-2", "5-0", "0-99"])
    yard.settle()
    replay(yard, "two", filter={"resource": "a"})
    yard.settle()
    assert [out.key for out in yard.entered()] == [b"key-2", b"key-0"]
    assert yard.letters()["0-1"].status == "buried"


def test_a_letter_enters_once_whoever_asks(yard: Graveyard) -> None:
    names = yard.bury(*(webhook(n) for n in range(5)))
    replay(yard, "a", filter={})
    replay(yard, "b", ids=names)
    yard.settle()
    replay(yard, "c", ids=names[:2])
    yard.settle()
    assert sorted(out.key or b"" for out in yard.entered()) == [b"key-%d" % n for n in range(5)]
    told = [yard.told(f"replay/{name}") for name in "abc"]
    assert [sum(int(str(one["done"])) for one in told), told[2]["already"]] == [5, 2]
    assert all(one["selected"] == int(str(one["done"])) + int(str(one["already"])) and one["over"] for one in told)


def test_later_letters_are_not_meant(yard: Graveyard) -> None:
    yard.bury(webhook(0))
    replay(yard, filter={})
    yard.bury(webhook(1))
    yard.settle()
    assert [out.key for out in yard.entered()] == [b"key-0"]


def test_a_crash_at_any_moment_lets_nothing_enter_twice(yard: Graveyard) -> None:
    yard.bury(*(webhook(n) for n in range(3)))
    replay(yard, filter={})
    yard.tick(commit=False)
    yard.tick()
    yard.work(commit=False)
    yard.crash()
    yard.settle()
    assert sorted(out.key or b"" for out in yard.entered()) == [b"key-0", b"key-1", b"key-2"]


def test_what_cannot_be_read_now_is_read_later(yard: Graveyard) -> None:
    yard.bury(webhook(0))
    replay(yard, filter={})
    yard.away = True
    yard.settle()
    assert "away" in str(yard.told("replay/r")["trouble"])
    yard.away = False
    yard.settle()
    assert len(yard.entered()) == 1


def test_the_rate_is_obeyed_over_the_partitions_it_is_split_over(yard: Graveyard) -> None:
    yard.bury(*(webhook(n) for n in range(40)))
    replay(yard, filter={}, rate_per_second=4, until={0: 39, 1: 5})
    for second in range(1, 11):
        yard.tick()
        while yard.work():
            pass
        assert len(yard.entered()) <= 2 * second + 2
    assert len(yard.entered()) >= 2 * 9


def test_a_transform_is_applied_and_its_failure_keeps_the_letter(yard: Graveyard) -> None:
    yard.bury(webhook(0, b'{"n": "5"}'), webhook(1, b"no json"))
    replay(yard, filter={}, transform={"expressions": {"/n": "int(body.n)"}, "constants": {"/e": 1}, "keep_rest": True})
    yard.settle()
    (entered,) = yard.entered()
    assert orjson.loads(entered.value or b"") == {"n": 5, "e": 1}
    kept = yard.letters()["0-1"]
    assert kept.status == "buried"
    assert "not JSON" in kept.failure
    replay(yard, "again", filter={})
    yard.settle()
    assert yard.letters()["0-1"].status == "replayed"


@pytest.mark.parametrize("topic", ["xyra.config", "xyra.status", "xyra.dlq", "xyra.letters", "xyra.webhooks.changelog", "missing"])
def test_nothing_is_replayed_to_where_it_never_came_from(yard: Graveyard, topic: str) -> None:
    (name,) = yard.bury(webhook(0, topic=topic))
    replay(yard, filter={})
    yard.settle()
    assert not yard.entered()
    assert topic in yard.letters()[name].failure
    assert yard.told("replay/r")["failed"] == 1


def test_a_foreign_record_and_a_letter_without_its_bytes_stay(yard: Graveyard) -> None:
    yard.deliver(
        [Output(DLQ.name, None, b"junk", (("x-dlq-reasons", b"{}"),)), Output(DLQ.name, None, None, (("x-dlq-topic", b"t"), ("x-dlq-left-out", b"9")))]
    )
    replay(yard, filter={})
    yard.settle()
    assert [letter.status for letter in yard.letters().values()] == ["buried", "buried"]
    assert yard.told("replay/r")["failed"] == 2


def test_a_letter_that_is_gone_from_the_log_fails(yard: Graveyard) -> None:
    (name,) = yard.bury(webhook(0))
    yard.lost.add(0)
    replay(yard, filter={})
    yard.settle()
    assert "not on xyra.dlq any more" in yard.letters()[name].failure


def test_a_discard_says_who_when_and_why(yard: Graveyard) -> None:
    (name,) = yard.bury(webhook(0))
    discard(yard, filter={"flow": "webhooks"})
    yard.settle()
    found = yard.index()[name]
    assert (found.status, found.by, found.note, found.order) == ("discarded", "admin", "old", "d")
    assert found.decided_at_ms > 0
    replay(yard, ids=[name])
    yard.settle()
    assert not yard.entered()
    assert yard.told("replay/r")["already"] == 1


def test_an_order_that_is_gone_leaves_nothing(yard: Graveyard) -> None:
    yard.bury(webhook(0))
    replay(yard, filter={})
    yard.settle()
    yard.put("replay/r", None)
    yard.tick()
    assert yard.told("replay/r") is None


def test_expired_letters_leave_the_index(yard: Graveyard) -> None:
    yard.bury(webhook(0))
    yard.clock.advance(DLQ.retention_ms - 10_000)
    yard.bury(webhook(1))
    yard.tick(11)
    assert list(yard.index()) == list(yard.letters()) == ["0-1"]
