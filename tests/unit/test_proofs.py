"""The proofs of a storm find what is planted: a proof that cannot fail proves nothing."""

import json
from collections.abc import Sequence

from deploy.cli.ledger import Row
from flows.core import ids, record, topics
from tests.chaos import proofs
from tests.chaos.plan import Plan, Report, Sent
from tests.kit.topics import Read

SENT = Sent(accepted={"a": ["event-a"], "b": ["event-b", "event-b2"], "c": []}, bad={"x"})


def read(name: str, event: str | None, offset: int = 0) -> Read:
    headers = [] if event is None else [(record.CE_ID, event.encode())]
    return Read(0, offset, name.encode(), json.dumps({"id": name}).encode(), headers, 0)


RECEIVED = [read("a", "event-a", 0), read("b", "event-b", 1), read("b", "event-b2", 2), read("c", None, 3), read("x", None, 4)]
PLACE_OF_C = ids.origin_id(topics.WEBHOOKS.name, 0, 3)
EVENTS = [read("a", "event-a"), read("b", "event-b"), read("c", PLACE_OF_C)]


def complaints(events: Sequence[Read]) -> list[str]:
    return [sentence.partition(":")[0] for sentence in proofs.complete(SENT, RECEIVED, events)]


def test_one_event_for_each_id_is_right() -> None:
    assert complaints(EVENTS) == []
    assert list(proofs.acknowledged(SENT, RECEIVED)) == []
    assert list(proofs.buried(SENT, RECEIVED, [read("x", None)])) == []


def test_any_received_record_of_an_id_may_be_its_event() -> None:
    assert complaints([EVENTS[0], read("b", "event-b2"), EVENTS[2]]) == []


def test_a_lost_event_is_found() -> None:
    assert complaints(EVENTS[1:]) == ["lost"]


def test_a_doubled_event_is_found() -> None:
    assert complaints([*EVENTS, read("b", "event-b2")]) == ["duplicated"]


def test_an_event_nobody_sent_is_found() -> None:
    assert complaints([*EVENTS, read("x", "event-x")]) == ["invented", "misnamed"]


def test_an_event_under_another_id_is_found() -> None:
    assert complaints([EVENTS[0], EVENTS[1], read("c", "event-a")]) == ["misnamed"]


def test_an_acknowledged_webhook_that_is_not_on_the_log_is_found() -> None:
    (sentence,) = proofs.acknowledged(SENT, RECEIVED[1:])
    assert sentence.startswith("lost at the door: 1 ")
    assert "event-a" in sentence


def test_a_dead_letter_too_many_or_too_few_is_found() -> None:
    assert len(list(proofs.buried(SENT, RECEIVED, []))) == 1
    assert len(list(proofs.buried(SENT, RECEIVED, [read("x", None), read("x", None)]))) == 1
    assert len(list(proofs.buried(SENT, RECEIVED, [read("x", None), read("a", "event-a")]))) == 1


def row(arrived: int, out: int, *, counted: int) -> Row:
    return Row("webhooks", 0, arrived, out, {"duplicate": 1}, {"unknown_endpoint": 1}, 0, 5, 5, counted)


def ledger(row: Row) -> list[str]:
    report = Report(Plan(), counts={"received": 5, "events": 3, "dead letters": 1})
    proofs.balanced([row], report)
    return report.wrong


def test_the_ledger_must_balance_and_agree_with_the_logs() -> None:
    assert ledger(row(5, 3, counted=5)) == []
    assert len(ledger(row(5, 2, counted=5))) == 2  # unbalanced in itself, and not what the logs say
    assert len(ledger(row(4, 2, counted=5))) == 2  # balanced in itself, and one record was never counted
