"""Orders about dead letters against a model: whatever comes in whatever order, and whenever the worker dies, each letter has one fate."""

import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flows.core.deadletters.summaries import BURIED, DISCARDED, REPLAYED
from flows.core.orders import StoredDiscard, StoredReplay
from tests.kit.graveyard import Graveyard, webhook

RESOURCES = ("a", "b")


class Orders(RuleBasedStateMachine):
    """Buries, orders, lets time pass, dies. The model only knows what may have become of each letter."""

    @initialize()
    def begin(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="xyra-yard-"))
        self.yard = Graveyard(self.home)
        self.resource: dict[str, str] = {}
        self.may: dict[str, set[str]] = {}
        """What each letter may become by the orders so far."""
        self.orders: dict[str, set[str]] = {}
        """What each order is about."""
        self.lost: set[str] = set()

    @rule(count=st.integers(1, 5), resource=st.sampled_from(RESOURCES))
    def bury(self, count: int, resource: str) -> None:
        at = len(self.yard.log)
        for name in self.yard.bury(*(webhook(at + n) for n in range(count)), resource=resource):
            self.resource[name] = resource
            self.may[name] = {BURIED}

    @rule(resource=st.sampled_from([*RESOURCES, None]), rate=st.sampled_from([None, None, 1.0, 50.0]))
    def replay_by_filter(self, resource: str | None, rate: float | None) -> None:
        meant = {name for name, of in self.resource.items() if resource in {None, of} and self._status(name) == BURIED}
        self._order("replay", meant, filter={"resource": resource} if resource else {}, rate_per_second=rate)

    @rule()
    def two_operators_want_the_same(self) -> None:
        for _ in range(2):
            self.replay_by_filter(None, None)
        self.yard.tick()

    @rule(data=st.data(), kind=st.sampled_from(["replay", "discard"]))
    def order_by_ids(self, data: st.DataObject, kind: str) -> None:
        if self.resource:
            ids = data.draw(st.lists(st.sampled_from(sorted(self.resource)), min_size=1, max_size=6))
            self._order(kind, set(ids), ids=ids)

    @rule(data=st.data())
    def a_letter_leaves_the_log(self, data: st.DataObject) -> None:
        if self.resource:
            name = data.draw(st.sampled_from(sorted(self.resource)))
            self.lost.add(name)
            self.yard.lost.add(int(name.partition("-")[2]))

    @rule(commit=st.booleans())
    def tick(self, commit: bool) -> None:
        self.yard.tick(commit=commit)

    @rule(commit=st.booleans(), away=st.booleans())
    def work(self, commit: bool, away: bool) -> None:
        self.yard.away = away
        self.yard.work(commit=commit)
        self.yard.away = False

    @rule()
    def crash(self) -> None:
        self.yard.crash()

    @rule()
    def settle(self) -> None:
        self.yard.settle()
        for name, fates in self.may.items():
            if fates != {BURIED} and name not in self.lost:
                assert self._status(name) != BURIED, "an order that is over has left a letter out"
        for key, meant in self.orders.items():
            told = self.yard.told(key)
            if told:
                assert told["over"]
                counts = [int(str(told[what])) for what in ("selected", "done", "already", "failed")]
                assert counts[0] == sum(counts[1:]) == len(meant), (key, told, meant)

    @invariant()
    def each_letter_has_one_fate(self) -> None:
        if not hasattr(self, "yard"):
            return
        letters = self.yard.letters()
        assert letters == self.yard.index()
        assert all(letter.status in self.may[name] for name, letter in letters.items())
        entered = Counter(dict(out.headers)["x-replayed-letter"].decode() for out in self.yard.entered())
        assert entered == Counter(name for name, letter in letters.items() if letter.status == REPLAYED)

    def teardown(self) -> None:
        if hasattr(self, "yard"):
            self.yard.close()
            shutil.rmtree(self.home, ignore_errors=True)

    def _status(self, name: str) -> str:
        return self.yard.letters()[name].status

    def _order(self, kind: str, meant: set[str], **fields: object) -> None:
        self.yard.clock.advance(1)  # what was decided before an order was given is none of its business
        order_id = f"o{len(self.orders)}"
        fate = REPLAYED if kind == "replay" else DISCARDED
        common = {"until": {0: len(self.yard.log) - 1}, "by": "admin", "at_ms": self.yard.clock.now_ms()} | fields
        order = (
            StoredReplay.model_validate({"replay_id": order_id} | common)
            if kind == "replay"
            else StoredDiscard.model_validate({"discard_id": order_id, "reason": "r"} | common)
        )
        self.yard.put(f"{kind}/{order_id}", order.model_dump_json(by_alias=True, exclude_none=True).encode())
        self.orders[f"{kind}/{order_id}"] = meant
        for name in meant:
            self.may[name] |= {fate}


Orders.TestCase.settings = settings(max_examples=50, stateful_step_count=25)
TestOrders = Orders.TestCase
