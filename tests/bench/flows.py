"""The flows that are measured: `python -m tests.bench.flows NAME --topic TOPIC --slot N`."""

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

import bytewax.operators as op
import msgspec
import orjson
from bytewax.dataflow import Dataflow

from flows import webhooks
from flows.core.record import Output
from flows.core.settings import load
from flows.core.topics import EVENTS, Topic
from flows.engine import Batch, Flow, Runtime, checkpoint
from flows.engine.worker import run


def source(name: str) -> Topic:
    return replace(EVENTS, name=name)


def stateless(name: str, topic: str) -> Flow:
    """Parse each record's JSON, set one field, write it to `<topic>.out` under the same key.

    The parser is the flow's choice, as Jackson is Kafka Streams': msgspec takes 1.2 us for such a record, in and out, where orjson takes 1.7.
    """
    target = f"{topic}.out"
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode

    def mark(value: bytes | None) -> bytes:
        parsed = decode(value or b"{}")
        parsed["src"] = 1
        return encode(parsed)

    def transform(batch: Batch) -> None:
        for portion in batch.portions():
            batch.emit_all(portion, target, list(map(mark, portion.values)))

    return Flow(name=name, topic=source(topic), build=_one_step("transform", transform))


def count(name: str, topic: str) -> Flow:
    """Count each key in state, write the new count to `<topic>.out` under the same key."""
    target = f"{topic}.out"

    def add(batch: Batch) -> None:
        for portion in batch.portions():
            state, keys = batch.state(portion.partition), portion.keys
            unique = list(dict.fromkeys(keys))
            counts = {key: int(found or 0) for key, found in zip(unique, state.get_many(unique), strict=True)}  # type: ignore[arg-type]  # the bench writes keys
            values = []
            for key in keys:
                counts[key] = n = counts[key] + 1
                values.append(b'{"n":%d}' % n)
            for key, n in counts.items():
                state.put(key or b"", b"%d" % n)
            batch.emit_all(portion, target, values)

    return Flow(name=name, topic=source(topic), build=_one_step("count", add))


def timers(name: str, topic: str) -> Flow:
    """Set timers as a record says, `[due, how many]`, and answer with 0; write each one's due time when it fires."""
    target = f"{topic}.out"

    def work(batch: Batch) -> None:
        for timer in batch.due:
            batch.publish(Output(target, None, b"%d" % timer.due_ms))
        for record in batch.records:
            due_ms, many = orjson.loads(record.value or b"[0,0]")
            for n in range(many):
                batch.timers(record.partition).set(b"%d/%d" % (record.offset, n), due_ms)
            batch.emit(record, Output(target, None, b"0"))

    return Flow(name=name, topic=source(topic), build=_one_step("timers", work))


def received(name: str, topic: str) -> Flow:
    """The flow `webhooks`, from another topic."""
    return replace(webhooks.FLOW, name=name, topic=source(topic))


def received_without_journal(name: str, topic: str) -> Flow:
    """The same, and nothing is told of what it drops: the peer of what the life of an event costs."""

    def silence(flow: str, batch: Batch) -> Iterator[Output]:  # noqa: ARG001  it says nothing
        return iter(())

    checkpoint.dropped = silence  # type: ignore[attr-defined]  # only in this process
    return received(name, topic)


def _one_step(name: str, work: Callable[[Batch], None]) -> Callable[[Runtime], Dataflow]:
    def build(runtime: Runtime) -> Dataflow:
        flow = Dataflow("bench")
        batches = runtime.step(name, op.input("records", flow, runtime.source()), work)
        op.output("checkpoint", batches, runtime.sink())
        return flow

    return build


FLOWS: Final[Mapping[str, Callable[[str, str], Flow]]] = {
    "stateless": stateless,
    "count": count,
    "timers": timers,
    "webhooks": received,
    "webhooks-without-journal": received_without_journal,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Run one of the flows that are measured; settings come from the environment.")
    parser.add_argument("flow", choices=FLOWS)
    parser.add_argument("--topic", default="bench", help="the source; results go to TOPIC.out")
    parser.add_argument("--name", default="bench", help="of the flow: its group is xyra-NAME, and another name begins at the beginning again")
    parser.add_argument("--slot", type=int, default=0)
    given = parser.parse_args()
    return run(FLOWS[given.flow](given.name, given.topic), load(os.environ), given.slot)


if __name__ == "__main__":
    raise SystemExit(main())
