"""The routes of dead letters against a model: letters are buried, listed, counted, replayed and discarded over HTTP, on a real Kafka."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from flows.core import topics
from flows.core.record import Record
from flows.core.verdict import Bury, Reason
from flows.engine.letters import Where, letter
from flows.wire.kafka import PARTITIONER, ensure_topics
from tests.kit.door import RunningDoor, until
from tests.kit.topics import topic_reader
from tests.kit.workers import running_workers

ROUTE = "/integration/dlq"
TWO: dict[str, tuple[str, ...]] = {"both": ("schema", "bug"), "spent": ("spent", "failed"), "timed": ("spent", "late")}
CAUSES: dict[str, tuple[str, ...]] = {"schema": ("schema",), "bug": ("bug",), **TWO}
"""Codes of reasons, by cause; the first ones of two of them are the same."""
OURS = {"bug", "both"}


@pytest.fixture(scope="module")
def workers(door: RunningDoor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with running_workers(door.settings, tmp_path_factory.mktemp("workers"), "replay"):
        yield


class Routes(RuleBasedStateMachine):
    """One operator who does everything, and checks every answer."""

    door: ClassVar[RunningDoor]
    target: ClassVar[str]
    producer: ClassVar[Producer]

    @initialize()
    def begin(self) -> None:
        self.resource = f"r-{uuid4().hex}"
        self.status: dict[str, str] = {}
        """By event id."""
        self.cause: dict[str, str] = {}
        self.fingerprints: dict[str, str] = {}
        """By cause, those that have been seen."""
        self.ids: dict[str, str] = {}

    @rule(count=st.integers(1, 4), cause=st.sampled_from([*CAUSES]), turned=st.booleans())
    def bury(self, count: int, cause: str, turned: bool) -> None:
        for _ in range(count):
            name = uuid4().hex
            record = Record(self.target, 0, 0, 0, name.encode(), b'{"n": 1}', (("ce_id", name.encode()),))
            reasons = tuple(Reason(code, f"wrong: {name!r}") for code in CAUSES[cause])
            verdict = Bury(reasons[::-1] if turned else reasons)
            made = letter(Where("machine", "step", self.resource), record, verdict, 1_800_000_000_000 + len(self.status), "1")
            self.producer.produce(made.topic, made.value, made.key, headers=list(made.headers))
            self.status[name], self.cause[name] = "buried", cause
        assert self.producer.flush(30) == 0
        until(lambda: len(self.listed(limit=500)) == len(self.status))
        self.ids = {item["event_id"]: item["id"] for item in self.listed(limit=500)}

    @precondition(lambda self: self.status)
    @rule(by_ids=st.booleans(), twice=st.booleans(), data=st.data())
    def replay(self, by_ids: bool, twice: bool, data: st.DataObject) -> None:
        wanted, meant = self.chosen(by_ids, data)
        fresh = {name for name in meant if self.status[name] == "buried"}
        answers = [self.door.http.post(f"{ROUTE}/replay", json=wanted) for _ in range(1 + twice)]
        taken = [answer.json()["replay_id"] for answer in answers if answer.status_code == 202]
        over = [answer for answer in answers if answer.status_code == 409]  # all that was named is decided, as it may be by the second time
        assert len(taken) + len(over) == len(answers), [answer.text for answer in answers]
        assert not over or (by_ids and (not fresh or answers[0].status_code == 202))
        found = [self.done(order) for order in taken]
        assert sum(one["replayed"] for one in found) == len(fresh)
        assert all(one["failed"] == 0 for one in found)
        assert all(one["selected"] == one["replayed"] + one["already"] for one in found)
        if by_ids and found:
            assert found[0]["selected"] == len(meant)
        self.status |= dict.fromkeys(fresh, "replayed")

    @precondition(lambda self: self.status)
    @rule(by_ids=st.booleans(), data=st.data())
    def discard(self, by_ids: bool, data: st.DataObject) -> None:
        wanted, meant = self.chosen(by_ids, data)
        fresh = {name for name in meant if self.status[name] == "buried"}
        if by_ids and not fresh:
            self.refused("discard", reason="not needed", **wanted)
            return
        told = self.posted("discard", reason="not needed", **wanted)
        assert (told["selected"], len(told["decided"]), told["unknown"]) == (len(fresh), len(meant) - len(fresh) if by_ids else 0, [])
        self.status |= dict.fromkeys(fresh, "discarded")
        until(lambda: self.seen() == self.status, why=self.seen)

    @precondition(lambda self: self.status)
    @rule(by_ids=st.booleans(), data=st.data())
    def ask_what_would_happen(self, by_ids: bool, data: st.DataObject) -> None:
        wanted, meant = self.chosen(by_ids, data)
        fresh = sum(self.status[name] == "buried" for name in meant)
        if by_ids and not fresh:
            self.refused("replay", dry_run=True, **wanted)
            return
        told = self.posted("replay", dry_run=True, **wanted)
        assert (told["selected"], told["judged"], told["outcomes"]) == (fresh, fresh, {"enters": fresh} if fresh else {})

    @rule(limit=st.integers(1, 5))
    def look(self, limit: int) -> None:
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = self.door.http.get(ROUTE, params={"resource": self.resource, "limit": limit, "cursor": cursor}).json()
            assert len(page["items"]) <= limit
            seen += [item["event_id"] for item in page["items"]]
            cursor = page["next_cursor"]
        assert Counter(seen) == Counter(list(self.status))
        until(lambda: self.seen() == self.status, why=self.seen)
        named = {frozenset(codes): cause for cause, codes in CAUSES.items()}
        groups = {named[frozenset(reason["code"] for reason in item["reasons"])]: item for item in self.listed(group="true")}
        assert {cause: group["count"] for cause, group in groups.items()} == Counter(self.cause.values())
        for cause, group in groups.items():
            mine = Counter(self.status[name] for name, of in self.cause.items() if of == cause)
            assert {status: group[status] for status in ("buried", "replayed", "discarded")} == {"buried": 0, "replayed": 0, "discarded": 0} | mine
            assert (group["class"], group["resource"]) == ("ours" if cause in OURS else "theirs", self.resource)
            assert self.fingerprints.setdefault(cause, group["fingerprint"]) == group["fingerprint"]

    def teardown(self) -> None:
        if hasattr(self, "status"):
            entered = Counter(read.header("ce_id") for read in topic_reader(self.door.settings.kafka_bootstrap_servers, self.target))
            assert {name: entered[name] for name in self.status} == {name: int(status == "replayed") for name, status in self.status.items()}

    def chosen(self, by_ids: bool, data: st.DataObject) -> tuple[dict[str, Any], set[str]]:
        """Draw a filter or ids; returns them and the events they mean."""
        if by_ids:
            names = data.draw(st.lists(st.sampled_from(sorted(self.status)), min_size=1, max_size=4, unique=True))
            return {"ids": [self.ids[name] for name in names]}, set(names)
        if data.draw(st.booleans()) and self.fingerprints:
            cause = data.draw(st.sampled_from(sorted(self.fingerprints)))
            return {"filter": {"fingerprint": self.fingerprints[cause]}}, {name for name, of in self.cause.items() if of == cause}
        ours = data.draw(st.sampled_from([None, True, False]))
        narrow = {} if ours is None else {"class": "ours" if ours else "theirs"}
        return {"filter": {"resource": self.resource} | narrow}, {name for name, of in self.cause.items() if ours in {None, of in OURS}}

    def listed(self, **search: Any) -> list[dict[str, Any]]:
        answer = self.door.http.get(ROUTE, params={"resource": self.resource} | search)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    def seen(self) -> dict[str, str]:
        return {item["event_id"]: item["status"] for item in self.listed(limit=500)}

    def posted(self, what: str, **wanted: Any) -> dict[str, Any]:
        answer = self.door.http.post(f"{ROUTE}/{what}", json=wanted)
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def refused(self, what: str, **wanted: Any) -> None:
        answer = self.door.http.post(f"{ROUTE}/{what}", json=wanted)
        assert answer.status_code == 409, answer.text
        assert [error["code"] for error in answer.json()["errors"]] == [self.status[self.event(one)] for one in wanted["ids"]]

    def event(self, letter_id: str) -> str:
        return next(name for name, one in self.ids.items() if one == letter_id)

    def done(self, replay_id: str) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def over() -> bool:
            found.update(self.door.http.get(f"{ROUTE}/replays/{replay_id}").json())
            return bool(found["status"] == "done")

        until(over, why=lambda: found)
        return found


@pytest.mark.usefixtures("workers")
@pytest.mark.timeout(300)
def test_the_routes_do_what_the_model_says(door: RunningDoor) -> None:
    Routes.door, Routes.target = door, f"t-{uuid4().hex[:10]}"
    ensure_topics(door.settings, [replace(topics.EVENTS, name=Routes.target)])
    Routes.producer = Producer({"bootstrap.servers": door.settings.kafka_bootstrap_servers, "partitioner": PARTITIONER})
    few = settings(max_examples=6, stateful_step_count=8, suppress_health_check=list(HealthCheck), database=None)
    run_state_machine_as_test(Routes, settings=few)
