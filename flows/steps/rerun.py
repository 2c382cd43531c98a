"""Carries out reruns, beside a flow's own records: portions of the log are read as slow work, judged by the flow's own steps, written.

A portion's outputs, the place where the next one begins and the report are one transaction with the batch they happen to fall into. So a
worker that dies in the middle repeats nothing and loses nothing: what was not committed is read again. One partition owns a rerun, by
its id, and keeps it in its state; where the partition goes, the rerun goes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final
from zlib import crc32

import orjson

from flows.core import topics
from flows.core.case import Case
from flows.core.deadletters.letters import event_id_of
from flows.core.expressions import Expression, FailedError, MissingError, compile_expression
from flows.core.record import RERUN as RERUN_HEADER
from flows.core.record import Output, Record
from flows.core.reruns import RERUN, Report, Side, StoredRerun
from flows.core.verdict import Bury, Drop
from flows.engine import Batch, Finished, Step
from flows.engine.contents import Sent
from flows.engine.portion import place
from flows.steps.past import Offsets, Past, Wanted, hash_of, offsets

NOT_CHOSEN: Final = "not_chosen"
"""Why a record that the rerun's filter does not choose is dropped; counted as skipped."""
PREFIX: Final = b"rerun/"
KIND: Final = "rerun"
PORTION: Final = 500
"""Records of a portion: judged in some ten milliseconds, which the flow's own records wait for."""
AGAIN_MS: Final = 2_000
MOST_FAILURES: Final = 150
"""Attempts to read one portion: five minutes of a broker that does not answer."""
KEPT_MS: Final = 30 * topics.DAY_MS
"""How long it is remembered that a rerun is over."""
FORGOTTEN_MS: Final = KEPT_MS - topics.DAY_MS
"""An order older than this that nobody remembers was carried out and forgotten: it is not begun again."""


@dataclass(frozen=True, slots=True)
class Rerun:
    """An order, ready to run."""

    order: StoredRerun
    filter: Expression | None


def read_rerun(stored: bytes) -> Rerun:
    """Read an order as it stands on `xyra.config`; raises ValueError when it is none, or its filter cannot be run."""
    order = StoredRerun.model_validate_json(stored)
    return Rerun(order, compile_expression(order.filter) if order.filter is not None else None)


def holds(chosen: Expression, case: Case) -> bool:
    """Tell whether a rerun's filter chooses a record: it is true; a field that is not there, and a filter that has no answer, choose nothing."""
    try:
        return chosen.evaluate(case.scope) is True
    except (MissingError, FailedError):
        return False


@dataclass(slots=True)
class Progress:
    """How far a rerun has come: what its partition's state holds."""

    report: Report
    at: Offsets | None
    ends: Offsets
    begun_ms: int
    """When the portion in hand was asked for."""
    failures: int = 0

    def text(self) -> bytes:
        """Write it."""
        return orjson.dumps(asdict(self), option=orjson.OPT_NON_STR_KEYS)

    @classmethod
    def read(cls, text: bytes) -> "Progress":
        """Read what `text` wrote."""
        found: dict[str, Any] = orjson.loads(text)
        at = offsets(found["at"]) if found["at"] is not None else None
        return cls(**found | {"report": Report.of(found["report"]), "at": at, "ends": offsets(found["ends"])})


class Reruns:
    """The step; one flow has one, before its own."""

    def __init__(self, partitions: int, steps: Callable[[Rerun], Iterable[tuple[str, Step]]], targets: Callable[[Batch, StoredRerun], Sequence[str]]) -> None:
        """Take how many partitions share the reruns, what judges a rerun's records, and the topics that events of a rerun's endpoints may have gone to."""
        self._partitions = partitions
        self._steps = steps
        self._targets = targets
        self._seen: tuple[int, frozenset[int]] = (0, frozenset())

    def __call__(self, batch: Batch) -> None:
        """Begin what was ordered, end what was cancelled, and go on with what came back; costs nothing where there are none."""
        now = (batch.config.revision, batch.held)
        if now != self._seen:
            self._seen = now
            self._look(batch)
        for timer in batch.due:
            if timer.id.startswith(PREFIX):
                self._go_on(batch, timer.partition, timer.id[len(PREFIX) :].decode())
        for finished in batch.finished:
            if finished.kind == KIND:
                self._came(batch, finished)

    def owner(self, replay_id: str) -> int:
        """Return the partition that a rerun belongs to."""
        return crc32(replay_id.encode()) % self._partitions

    def _look(self, batch: Batch) -> None:
        for replay_id in batch.config.names(RERUN):
            rerun: Rerun | None = batch.config.get(RERUN, replay_id)
            number = self.owner(replay_id)
            if rerun is None or number not in batch.held:
                continue
            text = batch.state(number).get(PREFIX + replay_id.encode())
            if text is None and not rerun.order.cancelled and batch.now_ms < rerun.order.created_at_ms + FORGOTTEN_MS:
                batch.touch(number)
                self._ask(batch, number, rerun, Progress(Report(batch.now_ms), None, {}, batch.now_ms))
            elif rerun.order.cancelled and (text is None or not Progress.read(text).report.over):
                batch.touch(number)
                progress = Progress.read(text) if text is not None else Progress(Report(batch.now_ms), None, {}, batch.now_ms)
                batch.work(number).cancel(PREFIX + replay_id.encode())
                batch.timers(number).cancel(PREFIX + replay_id.encode())
                progress.report.state = "cancelled"
                self._keep(batch, number, replay_id, progress)

    def _go_on(self, batch: Batch, number: int, replay_id: str) -> None:
        """Ask for the next portion, whose time has come."""
        text, rerun = batch.state(number).get(PREFIX + replay_id.encode()), batch.config.get(RERUN, replay_id)
        if text is not None and rerun is not None and not (progress := Progress.read(text)).report.over:
            progress.begun_ms = batch.now_ms
            self._ask(batch, number, rerun, progress)

    def _ask(self, batch: Batch, number: int, rerun: Rerun, progress: Progress) -> None:
        """Have the next portion read."""
        order = rerun.order
        source = f"/webhooks/{order.endpoint_id}" if order.endpoint_id is not None else ""
        records = min(PORTION, order.rate_per_second)
        wanted = Wanted(order.from_ms, order.until_ms, progress.at, progress.ends, source, self._targets(batch, order), records)
        batch.work(number).submit(PREFIX + order.replay_id.encode(), KIND, wanted.pack(), lane=order.replay_id)
        self._keep(batch, number, order.replay_id, progress)

    def _came(self, batch: Batch, finished: Finished) -> None:
        """Judge the portion that was read, or have it read again after a while."""
        number, replay_id = finished.partition, finished.id[len(PREFIX) :].decode()
        text, rerun = batch.state(number).get(PREFIX + replay_id.encode()), batch.config.get(RERUN, replay_id)
        if text is None or rerun is None or (progress := Progress.read(text)).report.over:
            return
        report = progress.report
        target = rerun.order.target_topic
        limit = topics.RECORD_BYTES if target is None else batch.limit(target)
        if finished.result is None:
            progress.failures += 1
            report.trouble = f"A portion of the log could not be read: {finished.error}"
            report.state = "running" if progress.failures < MOST_FAILURES else "failed"
            due_ms = batch.now_ms + AGAIN_MS
        elif not limit:
            report.trouble, report.state = f"The topic {target} cannot be made; choose another one, or have it made.", "failed"
            due_ms = 0
        else:
            past = Past.unpack(finished.result)
            self._judge(batch, number, rerun, past, report, limit)
            progress.at, progress.ends, progress.failures, report.trouble = past.at, past.ends, 0, ""
            report.read += past.read
            report.total = report.read + past.left
            report.state = "done" if past.at == past.ends else "running"
            due_ms = progress.begun_ms + past.read * 1000 // rerun.order.rate_per_second
        if not report.over:
            batch.timers(number).set(PREFIX + replay_id.encode(), due_ms)
        self._keep(batch, number, replay_id, progress)

    def _judge(self, batch: Batch, number: int, rerun: Rerun, past: Past, report: Report, limit: int) -> None:
        """Put records through the steps, write what is kept, and count what became of each."""
        aside = batch.beside(past.records, number, lambda _: limit)
        for name, step in self._steps(rerun):
            aside.step = name
            step(aside)
            aside.settle()
        target, mark = rerun.order.target_topic, (RERUN_HEADER, rerun.order.replay_id.encode())
        values: dict[tuple[int, int], bytes | None] = {}
        for sent in aside.standing():
            if isinstance(sent, Sent) and sent.output.topic != topics.DELIVERIES.name:  # nothing is delivered anew
                values[sent.place] = sent.output.value
                if target is not None:
                    batch.publish(Output(target, sent.output.key, sent.output.value, (*sent.output.headers, mark)))
        report.skipped += past.read - len(past.records)
        for record, then in zip(past.records, past.sides, strict=True):
            now = _side(aside, record, values)
            if now is None:
                report.skipped += 1
            else:
                report.count(event_id_of(record), record.origin, then, now)

    def _keep(self, batch: Batch, number: int, replay_id: str, progress: Progress) -> None:
        """Put it into state and tell it."""
        progress.report.updated_at_ms = batch.now_ms
        batch.state(number).put(PREFIX + replay_id.encode(), progress.text(), expires_at_ms=batch.now_ms + KEPT_MS)
        batch.publish(Output(topics.STATUS.name, PREFIX + replay_id.encode(), progress.report.text()))


def _side(aside: Batch, record: Record, values: dict[tuple[int, int], bytes | None]) -> Side | None:
    """Return what became of a record now; None when it was not chosen."""
    decided = aside.decided.get(place(record))
    match decided.verdict if decided is not None else None:
        case Drop(reason):
            return Side("dropped", reason) if reason != NOT_CHOSEN else None
        case Bury(reasons):
            return Side("buried", reasons[0].code)
        case _:
            return Side("kept", value=hash_of(values.get(place(record))))
