"""A batch: the records of one poll, and what the steps decide about them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from flows.core import topics
from flows.core.record import Header, Output, Record
from flows.core.verdict import Await, Bury, Drop, Hold, Reason, Retry, Verdict, Waiting
from flows.engine.contents import Bulk, Decided, Many, Sent, Taken
from flows.engine.definitions import Definitions
from flows.engine.entries import Entries
from flows.engine.letters import size
from flows.engine.portion import Place, Portion, place, portions_of_messages, portions_of_records
from flows.engine.share import Alarms, Share
from flows.engine.waiting import Waited
from flows.engine.work import Finished, Work
from flows.wire.messages import record_of


def settled() -> None:
    """Say that no batch before this one is on its way."""


class Batch:
    """What travels through a flow. A step looks at records and gives verdicts; a record without one is kept.

    Nothing a step does here has an effect before the checkpoint, and then all of it has. A record that leaves takes the
    outputs it was given along with it; what was put into state for it stays, so a step decides first and writes last.
    """

    def __init__(self, taken: Taken, shares: Mapping[int, Share], config: Definitions, limit: Callable[[str], int], now_ms: int) -> None:
        """Make a batch; the engine does, and tests.

        Args:
            taken: what it is made of.
            shares: the partitions, by number.
            config: the definitions, as this batch is to see them.
            limit: how large a record on a topic may be, 0 when nothing can be written there.
            now_ms: its time.

        """
        self.taken = taken
        self.config = config
        self.now_ms = now_ms
        self.due = taken.due
        self.finished = taken.finished
        self.step = "source"
        """The step at work."""
        self.decided: dict[Place, Decided] = {}
        self.outputs: list[Sent | Bulk] = []
        self.published: list[Output] = []
        self.many: list[Many] = []
        self.turned = taken.turned
        """Partitions that begin to stand, or to go on, with this batch."""
        self.acknowledge: list[Callable[[], None]] = []
        """Called once the batch is committed and its state written (checkpoint step 5); a crash may repeat them."""
        self.before_state: Callable[[], None] = settled
        """Called before state, timers or work are touched, which the batch before may not have written yet; the engine sets it."""
        self._stirred = False
        self._shares = shares
        self._limit = limit
        self._records: list[Record] | None = None
        self._arrived: dict[int, list[Record]] = {}
        self._originals: dict[Place, Record] = {}
        self._replaced: dict[Place, Record] = {}
        self._recalled: list[Waited] = []
        self._settled = 0
        self._touched: set[int] = set()

    @property
    def held(self) -> frozenset[int]:
        """The partitions that this worker holds."""
        return frozenset(self._shares)

    @property
    def records(self) -> Sequence[Record]:
        """The records still alive, those that waited first, each partition's in order; does not change while a step is at work."""
        if self._records is None:
            self._records = [waited.record for waited in self.taken.again]
            for number in self.taken.fresh:
                self._records += self.arrived(number)
        return self._records

    def arrived(self, partition: int) -> list[Record]:
        """Return all records that came from the topic, as they came; for the engine, which counts them."""
        if partition not in self._arrived:
            self._arrived[partition] = [*map(record_of, self.taken.fresh.get(partition, ()))]
        return self._arrived[partition]

    def portions(self) -> list[Portion]:
        """Return the same records as columns, by partition: the fast way for a step that treats all of them alike."""
        if self._records is None and not self.taken.again:
            return portions_of_messages(self.taken.fresh)
        return portions_of_records(self.records)

    def drop(self, record: Record, reason: str, detail: str = "") -> None:
        """Let a record go on purpose; counted by `reason`, of which there are few, while `detail` is told in a trace."""
        self._decide(record, Drop(reason, detail))

    def bury(self, record: Record, reasons: Sequence[Reason], *, counts: bool = False) -> None:
        """Send a record, as it came in, to the dead letters with every reason; it is counted by the first one's code. `counts`: this was an attempt."""
        self._decide(record, Bury(tuple(reasons) or (Reason("unknown", "The step gave no reason."),), counts))

    def retry(self, record: Record, due_ms: int, reason: Reason) -> None:
        """Keep a record, as it came in, in state until `due_ms`; then it enters the flow anew with a higher `x-attempt`."""
        self._wait(record, Retry(due_ms, reason))

    def decide(self, record: Record, verdict: Verdict | None) -> None:
        """Give a verdict; None keeps the record."""
        match verdict:
            case Drop(reason, detail):
                self.drop(record, reason, detail)
            case Bury(reasons, counts):
                self.bury(record, reasons, counts=counts)
            case Retry() | Await() | Hold():
                self._wait(record, verdict)

    def result(self, record: Record) -> Finished | None:
        """Return what came of the slow work that a record has waited for (`Await`); None when it has not."""
        return self.taken.results.get(place(record))

    def recall(self, partition: int, offset: int) -> Record | None:
        """Let a record that was held (`Hold`) enter the flow anew: the steps that follow see it among the others. None when none is held there."""
        waited = self._share(partition).waits.recall(offset)
        if waited is None:
            return None
        self._recalled.append(waited)
        return waited.record

    def replace(self, record: Record, new: Record) -> None:
        """Let later steps see `new` in place of `record`; it must keep partition and offset."""
        where = place(record)
        self._originals.setdefault(where, record)
        self._replaced[where] = new

    def emit(self, record: Record, output: Output) -> None:
        """Write an output for a record, which stays kept; one that the topic cannot take buries the record."""
        length = len(output.value or b"")
        if length > self._limit(output.topic):
            self._refuse(record, output.topic, length)
        else:
            self.outputs.append(Sent(place(record), output))

    def publish(self, output: Output) -> None:
        """Write what is no record's output, such as what became of one: in the same transaction, whatever becomes of the records."""
        self.published.append(output)

    def publish_all(self, topic: str, keys: Sequence[bytes | None], values: Sequence[bytes], headers: Iterable[list[Header]]) -> None:
        """Publish many records at once; the topic has to take them (`limit`). Their headers may be made as they are gone over, each time anew."""
        self.many.append(Many(topic, keys, values, headers))

    def takes(self, topic: str, value: bytes | None) -> bool:
        """Tell whether a topic is there, made if need be, and takes a value of this size."""
        return 0 < self._limit(topic) >= len(value or b"")

    def emit_all(self, portion: Portion, topic: str, values: Sequence[bytes | None], keys: Sequence[bytes | None] | None = None) -> None:
        """Write one output for each record of a portion: value i for record i, None for no output; keys are the records' unless given."""
        limit = self._limit(topic)
        keys = portion.keys if keys is None else keys
        if None in values or max(map(len, values), default=0) > limit:  # type: ignore[arg-type]  # the first half sees to None
            for i, value in enumerate(values):
                if value is not None:
                    self.emit(portion.record(i), Output(topic, keys[i], value))
        else:
            self.outputs.append(Bulk(portion, topic, keys, values))

    def limit(self, topic: str) -> int:
        """Return how large a record on a topic may be, 0 when nothing can be written there."""
        return self._limit(topic)

    def touch(self, partition: int) -> None:
        """Have a partition's state checkpointed that has no record, timer or work in this batch."""
        self._touched.add(partition)

    def beside(self, records: Sequence[Record], partition: int, limit: Callable[[str], int]) -> "Batch":
        """Make a batch of records that did not come from the topic just now, to be judged by steps on their own.

        It sees the same definitions, and for the records of every partition the state of `partition`. What it decides and emits has no effect: whoever
        made it does with that what is to be done.
        """
        share = self._share(partition)
        shares: Mapping[int, Share] = defaultdict(lambda: share)
        return Batch(Taken({}, [Waited("", record) for record in records]), shares, self.config, limit, self.now_ms)

    def state(self, partition: int) -> Entries:
        """Return the state of a partition: get, get_many, put, delete, scan."""
        return self._share(partition).state.user

    def timers(self, partition: int) -> Alarms:
        """Return the timers of a partition: set, cancel; due ones arrive in `due` of a later batch."""
        return self._share(partition).alarms

    def work(self, partition: int) -> Work:
        """Return the slow work of a partition: submit, cancel; results arrive in `finished` of a later batch."""
        return self._share(partition).work

    def settle(self) -> None:
        """Take out what was decided on and put in what was replaced; the engine does this between steps."""
        if self._settled == len(self.decided) and not self._replaced and not self._recalled:
            return
        changed, gone = self._replaced, self.decided
        alive = [*self.records, *(waited.record for waited in self._recalled)]
        if self._recalled:
            self.taken = self.taken._replace(again=[*self.taken.again, *self._recalled])
        self._records = [changed.get(where, record) for record in alive if (where := place(record)) not in gone]
        self._replaced, self._recalled = {}, []
        self._settled = len(gone)

    def partitions(self) -> set[int]:
        """Return every partition that has a part in this batch."""
        found = {*self.taken.fresh, *self.taken.swept, *self._touched, *self.turned}
        for part in (self.due, self.finished):
            found.update(entry.partition for entry in part)
        return found.union(waited.record.partition for waited in self.taken.again)

    def standing(self) -> Iterable[Sent | Bulk]:
        """Give the outputs whose records were kept to the end, in the order they were written."""
        if not self.decided:
            return self.outputs
        return [output for output in map(self._without_gone, self.outputs) if output is not None]

    @property
    def plain(self) -> bool:
        """Whether nothing but the position and the tallies changes with it: no state, no timers, no work, nothing that waits."""
        taken = self.taken
        told = taken.again or taken.due or taken.finished or taken.swept or self.turned or self.acknowledge
        waits = any(isinstance(entry.verdict, Retry | Await | Hold) for entry in self.decided.values())
        return not (self._stirred or told or waits)

    def _share(self, partition: int) -> Share:
        self._stirred = True
        self.before_state()
        return self._shares[partition]

    def _without_gone(self, output: Sent | Bulk) -> Sent | Bulk | None:
        if isinstance(output, Sent):
            return None if output.place in self.decided else output
        alive = [i for i in range(len(output.keys)) if output.portion.place(i) not in self.decided]
        if len(alive) == len(output.keys):
            return output
        return Bulk(output.portion, output.topic, [output.keys[i] for i in alive], [output.values[i] for i in alive])

    def _decide(self, record: Record, verdict: Verdict) -> None:
        where = place(record)
        self.decided.setdefault(where, Decided(self.step, self._originals.get(where, record), verdict))

    def _wait(self, record: Record, verdict: Waiting) -> None:
        if size(record) <= topics.RECORD_BYTES:
            self._decide(record, verdict)
            return
        reasons = [Reason("too_large_to_wait", "The record is too large to be kept until it can be tried again.")]
        if isinstance(verdict, Retry):
            self.bury(record, [*reasons, verdict.reason], counts=verdict.counts)
        else:
            self.bury(record, reasons)

    def _refuse(self, record: Record, topic: str, length: int) -> None:
        limit = self._limit(topic)
        if limit:
            reason = Reason("output_too_large", f"The output has {length:,} bytes; the topic {topic} takes {limit:,}.")
        else:
            reason = Reason("no_such_topic", f"The topic {topic} cannot be made; choose another target_topic or have it made.")
        self.bury(record, [reason])
