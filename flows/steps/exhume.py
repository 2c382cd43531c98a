"""Carries out what operators order about dead letters, on one partition, within the batch in hand.

What became of a letter is decided on its summary in state, in the transaction that writes the record back to its topic and the
new summary to `xyra.letters`. So a letter enters once, whoever asks for it, however often, and whenever the worker dies.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import orjson

from flows.core import codec, topics
from flows.core.case import Plan
from flows.core.deadletters.jobs import Job
from flows.core.deadletters.letters import REPLAY_ID, REPLAYED_LETTER, place_of, restored
from flows.core.deadletters.reentry import compile_reentry, reentering
from flows.core.deadletters.summaries import BURIED, DISCARDED, REPLAYED, Status, Summary
from flows.core.orders import DISCARD, REPLAY, Filter, Selection, StoredDiscard, StoredReplay
from flows.core.record import Output, Record
from flows.core.verdict import Bury
from flows.engine import Batch, Finished, Task

LETTER: Final = b"letter/"
JOB: Final = b"job/"
LAST: Final = b"last"
"""The offset of the last letter that was put on the index: what an order reaches beyond is still to be read."""
READ: Final = "read"
"""The kind of slow work that reads letters."""
LOOKED_AT: Final = 2000
"""Letters looked at in one batch, so that an order about millions holds up nobody."""
MOST_READ: Final = 500
MOST_READ_BYTES: Final = 8 << 20
LENGTH: Final = 4
NOT_WRITTEN: Final = frozenset({topics.DLQ.name, topics.LETTERS.name, topics.CONFIG.name, topics.STATUS.name})
"""Topics that no record is ever replayed to, whatever a letter claims to have come from."""


@dataclass(frozen=True, slots=True)
class Order:
    """A replay or a discard, ready to run."""

    kind: str
    id: str
    selection: Selection
    by: str
    at_ms: int
    rate: float | None = None
    """Letters a second, over all partitions."""
    plan: Plan | None = None
    """The transform that a letter's value goes through before it enters."""
    reason: str = ""

    def rate_of_one(self) -> float | None:
        """Return the rate of one partition: an even part, so that the sum is obeyed without anybody asking the others."""
        return None if self.rate is None else self.rate / max(1, len(self.selection.until))


def read_replay(stored: bytes) -> Order:
    """Read `replay/<id>` as it stands on `xyra.config`; raises ValueError when it is none, or has a transform that this version cannot run."""
    found = StoredReplay.model_validate_json(stored)
    plan = None
    if found.transform is not None:
        plan, errors = compile_reentry(found.transform)
        if errors:
            raise ValueError(errors[0].detail)
    return Order(REPLAY, found.replay_id, found, found.by, found.at_ms, found.rate_per_second, plan)


def read_discard(stored: bytes) -> Order:
    """Read `discard/<id>` as it stands on `xyra.config`; raises ValueError when it is none."""
    found = StoredDiscard.model_validate_json(stored)
    return Order(DISCARD, found.discard_id, found, found.by, found.at_ms, reason=found.reason)


def letter_key(offset: int) -> bytes:
    """Return where a letter's summary stands in state."""
    return LETTER + offset.to_bytes(8, "big")


def pack(records: list[Record]) -> bytes:
    """Put records behind one another, as the result of slow work."""
    packed = map(codec.pack_record, records)
    return b"".join(len(one).to_bytes(LENGTH, "big") + one for one in packed)


def unpack(data: bytes) -> Iterator[Record]:
    """Take apart what `pack` put together."""
    at = 0
    while at < len(data):
        end = at + LENGTH + int.from_bytes(data[at : at + LENGTH], "big")
        yield codec.unpack_record(data[at + LENGTH : end])
        at = end


def asked(task: Task) -> tuple[int, list[int]]:
    """Return the partition and the offsets whose letters are to be read, as slow work."""
    partition, offsets = orjson.loads(task.payload)
    return partition, offsets


class Exhumer:
    """The orders of one partition, within one batch."""

    def __init__(self, batch: Batch, partition: int) -> None:
        """Take the batch in hand."""
        self._batch = batch
        self._partition = partition
        self._state = batch.state(partition)

    def jobs(self) -> Iterator[tuple[Order, Job]]:
        """Give the orders that are not over here; lets go of jobs whose order is gone."""
        names = {f"{kind}/{name}": (kind, name) for kind in (REPLAY, DISCARD) for name in self._batch.config.names(kind)}
        known = {key[len(JOB) :].decode(): Job.read(text) for key, text in list(self._state.scan(JOB))}
        for key in known.keys() - names.keys():
            self._state.delete(JOB + key.encode())
            self._batch.publish(Output(topics.STATUS.name, self._status_key(key), None))
        for key, (kind, name) in names.items():
            order: Order | None = self._batch.config.get(kind, name)
            if order is not None and self._partition in order.selection.until:
                job = known.get(key) or Job(self._batch.now_ms)
                if not job.over:
                    yield order, job

    def advance(self, order: Order, job: Job) -> bool:
        """Go on with an order: look at letters, discard them at once, or have those to be replayed read; tell whether it could go on at once."""
        if job.in_hand:
            self._again(order, job)
            return False
        rate = order.rate_of_one()
        allowed = job.earn(self._batch.now_ms, rate, MOST_READ)
        chosen: list[int] = []
        size = 0
        for offset, letter in self._letters(order, job):
            if len(chosen) >= allowed or size >= MOST_READ_BYTES:
                job.looked = False
                break
            job.cursor = offset + 1
            if self._take(order, job, letter):
                chosen.append(offset)
                size += letter.size
        job.spend(len(chosen), rate)
        job.in_hand = tuple(chosen)
        if chosen:
            self._read(order, chosen)
        self._keep(order, job)
        return not job.over and not chosen and allowed > 0 and self._indexed(order.selection.until[self._partition])

    def read(self, finished: Finished) -> None:
        """Replay the letters that were read; where that failed they are read again with the next tick."""
        kind, _, name = finished.id.decode().partition("/")
        order: Order | None = self._batch.config.get(kind, name)
        text = self._state.get(JOB + finished.id)
        if order is None or text is None:
            return  # it was called off meanwhile
        job = Job.read(text)
        if finished.result is None:
            job.trouble = finished.error or ""
            self._keep(order, job)
            return
        found = {letter.offset: letter for letter in unpack(finished.result)}
        for offset in job.in_hand:
            self._replay(order, job, offset, found.get(offset))
        job.in_hand, job.trouble = (), ""
        self.advance(order, job)

    def _again(self, order: Order, job: Job) -> None:
        """Have letters read that could not be read before; otherwise they are being read."""
        if job.trouble:
            job.trouble = ""
            self._read(order, list(job.in_hand))
            self._keep(order, job)

    def _letters(self, order: Order, job: Job) -> Iterator[tuple[int, Summary]]:
        """Give the letters that an order is about from its cursor on, a portion; sets `looked` when those were the last."""
        until = order.selection.until[self._partition]
        if order.selection.ids is not None:
            places = sorted(place[1] for one in set(order.selection.ids) if (place := place_of(one)) is not None and place[0] == self._partition)
            wanted = [offset for offset in places if job.cursor <= offset <= until]
            job.looked = self._indexed(max(wanted, default=-1))
            found = self._state.get_many([letter_key(offset) for offset in wanted])
            yield from ((offset, Summary.read(text)) for offset, text in zip(wanted, found, strict=True) if text is not None)
            return
        matches = (order.selection.filter or Filter()).matcher()
        rows = list(islice(self._state.scan(LETTER, job.cursor.to_bytes(8, "big")), LOOKED_AT))
        places_of = [(int.from_bytes(key[len(LETTER) :], "big"), text) for key, text in rows]
        job.looked = self._indexed(until) and (len(rows) < LOOKED_AT or places_of[-1][0] >= until)
        for offset, text in places_of:
            if offset > until:
                return
            letter = Summary.read(text)
            if matches(letter):
                yield offset, letter
            job.cursor = offset + 1

    def _indexed(self, until: int) -> bool:
        """Tell whether all letters up to an offset are on the index; an order may know of some that are still to be read."""
        return until <= int(self._state.get(LAST) or -1)

    def _take(self, order: Order, job: Job, letter: Summary) -> bool:
        """Count a letter; True when it is to be read. One that had its fate before a filter was given was never meant by it."""
        if letter.status != BURIED:
            if order.selection.ids is not None or letter.decided_at_ms >= order.at_ms:
                job.selected += 1
                job.already += 1
            return False
        job.selected += 1
        if order.kind == DISCARD:
            self._decide(letter, order, job, DISCARDED)
            return False
        if not letter.whole:
            self._fail(letter, order, job, "The letter does not have the record's bytes: they were too large to be kept, or it is no letter of ours.")
            return False
        if letter.topic in NOT_WRITTEN or letter.topic.endswith(".changelog"):
            self._fail(letter, order, job, f"It says that it came from {letter.topic}, and nothing is ever replayed to that topic.")
            return False
        return True

    def _replay(self, order: Order, job: Job, offset: int, letter: Record | None) -> None:
        text = self._state.get(letter_key(offset))
        if text is None:
            job.failed += 1  # it has expired since it was selected
            return
        summary = Summary.read(text)
        if summary.status != BURIED:
            job.already += 1
        elif letter is None:
            self._fail(summary, order, job, f"The letter is not on {topics.DLQ.name} any more.")
        else:
            made = self._made(order, summary, restored(letter))
            if isinstance(made, str):
                self._fail(summary, order, job, made)
            elif self._batch.takes(made.topic, made.value):
                self._batch.publish(made)
                self._decide(summary, order, job, REPLAYED)
            else:
                self._fail(summary, order, job, f"The topic {summary.topic} is not there, or does not take a record as large as this.")

    def _made(self, order: Order, summary: Summary, record: Record) -> Output | str:
        """Return what enters, or why nothing can."""
        entering = reentering(order.plan, summary.resource, record)
        if isinstance(entering, Bury):
            return "The transform failed: " + "; ".join(reason.detail for reason in entering.reasons)
        marks = ((REPLAY_ID, order.id.encode()), (REPLAYED_LETTER, summary.id.encode()))
        return Output(entering.topic, entering.key, entering.value, (*entering.headers, *marks))

    def _decide(self, letter: Summary, order: Order, job: Job, status: Status) -> None:
        job.done += 1
        self._put(replace(letter, status=status, order=order.id, decided_at_ms=self._batch.now_ms, by=order.by, note=order.reason, failure=""))

    def _fail(self, letter: Summary, order: Order, job: Job, why: str) -> None:
        job.failed += 1
        self._put(replace(letter, order=order.id, failure=why[:300]))

    def _put(self, letter: Summary) -> None:
        place = place_of(letter.id)
        text = letter.text()
        if place is not None:
            self._state.put(letter_key(place[1]), text)
            self._batch.publish(Output(topics.LETTERS.name, letter.id.encode(), text))

    def _read(self, order: Order, offsets: list[int]) -> None:
        payload = orjson.dumps([self._partition, offsets])
        self._batch.work(self._partition).submit(f"{order.kind}/{order.id}".encode(), READ, payload, lane=READ)

    def _keep(self, order: Order, job: Job) -> None:
        key = f"{order.kind}/{order.id}"
        self._state.put(JOB + key.encode(), job.text())
        self._batch.publish(Output(topics.STATUS.name, self._status_key(key), job.told()))

    def _status_key(self, key: str) -> bytes:
        return f"{key}/{self._partition}".encode()
