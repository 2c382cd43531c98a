"""Dead letters: an index of them, and the way back to where they came from, or out.

xyra.dlq -> index -> xyra.letters
         -> orders (each second: what operators have ordered) -> read (slow work) -> return -> the topic a letter came from, xyra.letters
"""

from itertools import islice
from typing import Final

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from flows.core import topics
from flows.core.deadletters.summaries import Summary, summary_of
from flows.core.orders import DISCARD, REPLAY
from flows.core.record import Output
from flows.core.settings import Settings
from flows.engine import Batch, Flow, Runtime, Task
from flows.steps.exhume import LAST, LETTER, READ, Exhumer, asked, letter_key, pack, read_discard, read_replay
from flows.wire.pick import pick

NAME: Final = "replay"
TICK: Final = b"tick"
TICK_MS: Final = 1000
MOST_EXPIRED: Final = 500
"""Letters taken off the index in one batch."""
KEPT_MS: Final = topics.DLQ.retention_ms


def index(batch: Batch) -> None:
    """Write the summary of each new letter, and see that its partition ticks. Nothing here may bury: it would turn for ever."""
    for record in batch.records:
        summary = summary_of(record)
        text = summary.text()
        state = batch.state(record.partition)
        state.put(letter_key(record.offset), text)
        state.put(LAST, b"%d" % record.offset)
        batch.publish(Output(topics.LETTERS.name, summary.id.encode(), text))
        if state.get(TICK) is None:
            state.put(TICK, b"1")
            batch.timers(record.partition).set(TICK, batch.now_ms)


def returned(batch: Batch) -> None:
    """Write back what was read for a replay."""
    for finished in batch.finished:
        Exhumer(batch, finished.partition).read(finished)


def orders(batch: Batch) -> None:
    """Go on with what operators have ordered, and take expired letters off the index: once a second, at once where there is more to do."""
    for due in batch.due:
        exhumer = Exhumer(batch, due.partition)
        more = expire(batch, due.partition)
        for order, job in exhumer.jobs():
            more |= exhumer.advance(order, job)
        batch.timers(due.partition).set(TICK, batch.now_ms + (0 if more else TICK_MS))


def expire(batch: Batch, partition: int) -> bool:
    """Take letters off the index that `xyra.dlq` does not keep any longer; tell whether there may be more."""
    state = batch.state(partition)
    rows = list(islice(state.scan(LETTER), MOST_EXPIRED))
    for key, text in rows:
        letter = Summary.read(text)
        if letter.buried_at_ms + KEPT_MS > batch.now_ms:
            return False
        state.delete(key)
        batch.publish(Output(topics.LETTERS.name, letter.id.encode(), None))
    return len(rows) == MOST_EXPIRED


def read_letters(settings: Settings, task: Task) -> bytes:
    """Read letters by their offsets, as slow work."""
    return pack(pick(settings, topics.DLQ.name, *asked(task)))


def build(runtime: Runtime) -> Dataflow:
    """Put the steps behind one another."""
    settings = runtime.settings
    runtime.handle(READ, lambda task: read_letters(settings, task))
    flow = Dataflow(NAME)
    batches = op.input("letters", flow, runtime.source())
    for step in (index, returned, orders):
        batches = runtime.step(step.__name__, batches, step)
    op.output("checkpoint", batches, runtime.sink())
    return flow


FLOW: Final = Flow(
    name=NAME,
    topic=topics.DLQ,
    build=build,
    writes=(topics.LETTERS,),
    definitions={REPLAY: read_replay, DISCARD: read_discard},
    standing=True,
)
