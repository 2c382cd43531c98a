"""The replay flow over batches, with real state on disk, without a broker: slow work is done at once, from letters kept in memory."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import orjson
from confluent_kafka import Message as ClientMessage

from connectors.testing import ManualClock
from flows import replay
from flows.core import topics
from flows.core.deadletters.summaries import Summary
from flows.core.record import Output, Record
from flows.core.verdict import Bury, Reason
from flows.engine.batch import Batch
from flows.engine.contents import Taken
from flows.engine.definitions import Definitions
from flows.engine.letters import Where, letter
from flows.engine.share import Share
from flows.engine.work import Finished
from flows.steps.exhume import LETTER, pack
from flows.wire.messages import Message
from tests.kit.state import opened

LIMIT = 1 << 20


class Graveyard:
    """Partition 0 of `xyra.dlq` and the flow that reads it. What the flow writes is in `written`, as far as its batches were committed."""

    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock()
        self.written: list[Output] = []
        self.log: dict[int, Record] = {}
        self.lost: set[int] = set()
        """Offsets that cannot be read any more."""
        self.away = False
        """Whether reading fails."""
        self._directory = directory
        self._config = Definitions(replay.FLOW.definitions)
        self._begin()

    def _begin(self) -> None:
        self._share = Share("replay", opened(self._directory, self.clock), 0, 1)

    def crash(self) -> None:
        """End the worker and start it again: what was not committed is forgotten, work that was not finished is done once more."""
        self._share.close()
        self._begin()

    def close(self) -> None:
        self._share.close()

    def put(self, key: str, value: bytes | None) -> None:
        """Put a definition on `xyra.config`."""
        self._config.apply(key, value, 0)

    def bury(self, *records: Record, reasons: Sequence[Reason] = (Reason("schema", "n is no number", "/n"),), resource: str = "shop") -> list[str]:
        """Bury records as the flow webhooks does; returns the letters' ids."""
        made = [letter(Where("webhooks", "schema", resource), record, Bury(tuple(reasons)), self.clock.now_ms(), "1") for record in records]
        return self.deliver(made)

    def deliver(self, letters: Iterable[Output]) -> list[str]:
        """Put letters on the log, and have the flow read them."""
        messages = []
        ids = []
        for made in letters:
            offset = len(self.log)
            headers: list[tuple[str, str | bytes | None]] = [*made.headers]
            stamp = (1, self.clock.now_ms())
            message = ClientMessage(topic=topics.DLQ.name, partition=0, offset=offset, key=made.key, value=made.value, headers=headers, timestamp=stamp)
            messages.append(cast("Message", message))
            self.log[offset] = Record(topics.DLQ.name, 0, offset, self.clock.now_ms(), made.key, made.value, tuple(made.headers))
            ids.append(f"0-{offset}")
        self._run(Taken({0: messages}))
        return ids

    def tick(self, seconds: float = 1.0, *, commit: bool = True) -> None:
        """Let time pass, and the flow do what is due and what its slow work has brought; without `commit` all of it is forgotten."""
        self.clock.advance(int(seconds * 1000))
        self._share.state.now_ms = self.clock.now_ms()
        _, due = self._share.take_due(self.clock.now_ms())
        self._run(Taken({}, due=due), commit=commit)

    def work(self, *, commit: bool = True) -> bool:
        """Do all slow work there is, and let the flow take what came of it; tells whether there was any."""
        finished = [self._do(item.id, item.kind) for item in list(self._share.work.unfinished())]
        if finished:
            self._run(Taken({}, finished=finished), commit=commit)
        return bool(finished)

    def settle(self) -> None:
        """Go on until nothing changes any more."""
        for _ in range(50):
            self.tick()
            while self.work():
                pass

    def letters(self) -> dict[str, Summary]:
        """Return the summaries in state."""
        return {(summary := Summary.read(text)).id: summary for _, text in self._share.state.user.scan(LETTER)}

    def index(self) -> dict[str, Summary]:
        """Return the summaries as `xyra.letters` has them."""
        last = {out.key: out.value for out in self.written if out.topic == topics.LETTERS.name}
        return {(key or b"").decode(): Summary.read(value) for key, value in last.items() if value is not None}

    def told(self, key: str) -> dict[str, object]:
        """Return what was last told of an order."""
        told = [out.value for out in self.written if out.topic == topics.STATUS.name and out.key == f"{key}/0".encode()]
        found: dict[str, object] = orjson.loads(told[-1] or b"null") if told else {}
        return found

    def entered(self) -> list[Output]:
        """Return what was written back."""
        return [out for out in self.written if out.topic not in {topics.LETTERS.name, topics.STATUS.name}]

    def _do(self, item_id: bytes, kind: str) -> Finished:
        entry = self._share.state.internal.get(b"work/" + item_id) or b""
        payload = entry.partition(b"\n")[2]
        self._share.state.internal.delete(b"work/" + item_id)
        if self.away:
            return Finished(0, item_id[1:], kind, payload, None, "Unavailable: away")
        _, offsets = orjson.loads(payload)
        return Finished(0, item_id[1:], kind, payload, pack([self.log[offset] for offset in offsets if offset not in self.lost]), None)

    def _run(self, taken: Taken, *, commit: bool = True) -> None:
        self._share.state.now_ms = self.clock.now_ms()
        batch = Batch(taken, {0: self._share}, self._config, lambda topic: 0 if topic == "missing" else LIMIT, self.clock.now_ms())
        for step in (replay.index, replay.returned, replay.orders):
            batch.step = step.__name__
            step(batch)
            batch.settle()
        if not commit:
            self.crash()
            return
        self.written += batch.published
        self._share.state.apply(len(self.log) + len(self.written))
        self._share.work.take_submitted()


def webhook(offset: int, value: bytes = b'{"n": 1}', *, topic: str = topics.WEBHOOKS.name, **headers: bytes) -> Record:
    """Make a record as the door writes it."""
    named = {"ce_id": b"e-%d" % offset, "ce_source": b"/webhooks/shop"} | {
        name.replace("_", "-") if name[:3] != "ce_" else name: v for name, v in headers.items()
    }
    return Record(topic, 3, offset, 1_000, b"key-%d" % offset, value, tuple(named.items()))
