"""What comes in from outside, on a real Kafka: bad records, lying headers, definitions, traces."""

import ctypes
from pathlib import Path
from threading import Event

import confluent_kafka
import orjson
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from flows.core import topics
from flows.core.deadletters.letters import fingerprint
from flows.core.errors import WrongSetting
from flows.core.ids import origin_id
from flows.core.record import ATTEMPT, CE_ID, CONFIG_OFFSET, TRACE, Output, Record
from flows.core.verdict import Bury, Drop, Reason, Retry, Verdict
from flows.engine import Batch
from flows.engine.state import PartitionState
from flows.engine.worker import prepare_topics
from flows.steps.guard import each
from flows.wire.kafka import ensure_topics
from tests.kit.engine import balanced, bench, counting, faults
from tests.kit.settings import PARTITIONS, settings_for

WRONG = (Reason("no_amount", "There is no amount.", "/amount"), Reason("bad_currency", "\ud800 is no currency.", "/currency"))


def test_a_dead_letter_has_the_original_bytes_and_says_everything(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)

    def judge(record: Record, batch: Batch) -> Verdict:
        batch.replace(record, record._replace(value=b"changed"))
        return Bury(WRONG)

    made.send((b"key", b"\xff\x00original"), headers=[("ce_id", b"1"), (ATTEMPT, b"2"), ("x-dlq-code", b"of an earlier burial")])
    made.run(made.flow(each(judge)))
    (dead,) = made.dead()
    assert (dead.key, dead.value, dead.header("ce_id")) == (b"key", b"\xff\x00original", "1")
    assert ATTEMPT not in dict(dead.headers)
    said = {name: value.decode() for name, value in dead.headers if name.startswith("x-dlq-")}
    reasons = orjson.loads(said.pop("x-dlq-reasons"))
    assert [(reason["code"], reason["pointer"]) for reason in reasons] == [("no_amount", "/amount"), ("bad_currency", "/currency")]
    assert said.pop("x-dlq-partition").isdigit()
    assert abs(int(said.pop("x-dlq-timestamp")) - dead.timestamp_ms) < 60_000
    assert said.pop("x-dlq-fingerprint") == fingerprint(made.name, "step", "-", WRONG)
    assert said == {
        "x-dlq-class": "theirs",
        "x-dlq-resource": "-",
        "x-dlq-event-id": "1",
        "x-dlq-topic": made.name,
        "x-dlq-offset": "0",
        "x-dlq-flow": made.name,
        "x-dlq-step": "step",
        "x-dlq-time": str(made.clock.now_ms()),
        "x-dlq-attempt": "2",
        "x-dlq-version": "1.2.3",
        "x-dlq-code": "no_amount",
        "x-dlq-reason-count": "2",
    }
    connect = {name.removeprefix("__connect.errors."): value.decode() for name, value in dead.headers if name.startswith("__connect.errors.")}
    assert (connect["topic"], connect["offset"], connect["exception.message"]) == (made.name, "0", "There is no amount.")
    assert [t["buried"] for t in made.tallies().values()] == [{"no_amount": 1}]


def test_one_record_that_breaks_a_step_is_buried_alone(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)

    def parse(record: Record, batch: Batch) -> None:
        batch.emit(record, Output(made.target, record.key, b"half"))
        batch.emit(record, Output(made.target, record.key, orjson.dumps(orjson.loads(record.value or b""))))

    made.send((b"k", b"1"), (b"k", b"{no json"), (b"k", None), (b"k", b"2"))
    made.run(made.flow(each(parse)))
    assert [read.value for read in made.read()] == [b"half", b"1", b"half", b"2"]
    assert [dead.header("x-dlq-code") for dead in made.dead()] == ["bug", "bug"]
    assert "JSONDecodeError" in (made.dead()[0].header("__connect.errors.exception.message") or "")
    assert balanced(made.tallies())


def test_an_output_that_its_topic_cannot_take_buries_the_record_and_not_the_worker(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)

    def fan(record: Record, batch: Batch) -> None:
        target = (record.value or b"").decode()
        batch.emit(record, Output(target, None, b"x" * (70 << 20) if record.key == b"large" else b"x"))

    new = f"{made.name}.new"
    made.send((b"large", made.target.encode()), (b"", b"no/such topic"), (b"", new.encode()), (b"", b"." * 300))
    made.run(made.flow(each(fan)))
    assert sorted(dead.header("x-dlq-code") or "" for dead in made.dead()) == ["no_such_topic", "no_such_topic", "output_too_large"]
    assert [read.value for read in made.read(new)] == [b"x"]


def test_every_verdict_is_counted_once_for_its_resource(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)

    def judge(record: Record, batch: Batch) -> Verdict | None:
        match record.value:
            case b"drop":
                return Drop("duplicate")
            case b"bury":
                return Bury(WRONG)
            case b"retry":
                return Retry(batch.now_ms + 1000, WRONG[0])
        return None

    made.send(*((f"{n}".encode(), value) for n in range(6) for value in (b"keep", b"drop", b"bury", b"retry")))
    made.run(made.flow(each(judge), resource=lambda record: f"r{int(record.key or b'') % 2}"))
    found = made.tallies()
    assert balanced(found)
    for resource in ("r0", "r1"):
        own = [tally for key, tally in found.items() if key.endswith(f"/{resource}")]
        assert sum(tally["in"] for tally in own) == 12
        assert sum(tally["out"] for tally in own) == 3
        assert sum(tally["dropped"].get("duplicate", 0) for tally in own) == 3
        assert sum(tally["buried"].get("no_amount", 0) for tally in own) == 3
        assert sum(tally["waiting"] for tally in own) == 3


def define(kafka: str, key: str, value: bytes) -> int:
    """Write a definition and return the offset behind it."""
    offsets: list[int] = []
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(topics.CONFIG.name, value, key, on_delivery=lambda _, message: offsets.append((message.offset() or 0) + 1))
    assert producer.flush(20) == 0
    return offsets[0]


def test_a_record_waits_for_the_definition_it_was_accepted_under(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)
    prepare_topics(made.flow(), made.settings)
    seen: list[object] = []

    def look(record: Record, batch: Batch) -> None:
        seen.append(batch.config.get("test", made.name))
        if record.key == b"first":
            offset = define(kafka, f"test/{made.name}", b"defined since")
            made.send((b"second", b""), headers=[(CONFIG_OFFSET, b"%d" % offset)])

    flow = made.flow(each(look), definitions={"test": bytes.decode})
    made.send((b"first", b""))
    made.run(flow, until=lambda _: len(seen) == 2)
    assert seen == [None, "defined since"]


@pytest.mark.parametrize("claim", [b"999999999999999", b"9" * 500, b"-1", b"1e9", "٣".encode(), b""])
def test_a_lie_about_the_config_offset_does_not_hang_the_flow(kafka: str, tmp_path: Path, claim: bytes) -> None:
    made = bench(kafka, tmp_path)

    def copy(record: Record, batch: Batch) -> None:
        batch.emit(record, Output(made.target, record.key, record.value))

    made.send((b"k", b"v"), headers=[(CONFIG_OFFSET, claim), (CONFIG_OFFSET, claim)])
    made.run(made.flow(each(copy), definitions={"test": bytes.decode}))
    assert [read.value for read in made.read()] == [b"v"]


def test_a_trace_says_what_each_step_did_and_where_the_outputs_stand(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)

    def first(batch: Batch) -> None:
        for record in batch.records:
            if record.value == b"bad":
                batch.bury(record, WRONG)

    def second(batch: Batch) -> None:
        for record in batch.records:
            batch.emit(record, Output(made.target, record.key, record.value))

    good, long = f"good-{made.name}", b"x" * 5000
    made.send((b"k", b"v"), headers=[(CE_ID, good.encode()), (TRACE, b"1")], partition=1)
    made.send((b"k", b"bad"), headers=[(TRACE, b"")], partition=1)
    made.send((b"k", b"unasked"), partition=1)
    made.send((b"k", b"v"), headers=[(CE_ID, long), (TRACE, b"1")], partition=1)
    made.run(made.flow(first, second))
    told = [read for read in made.read(topics.STATUS.name) if (read.key or b"").startswith(b"trace/") and read.value]  # ends of keys are an ingress's
    traces = {(read.key or b"").decode(): orjson.loads(read.value or b"") for read in told}
    kept, buried = traces[f"trace/{good}"], traces[f"trace/{origin_id(made.name, 1, 1)}"]
    (output,) = [read for read in made.read() if read.offset == 0 or read.value == b"v"][:1]
    assert kept["outcome"] == "emitted"
    assert kept["steps"] == [{"step": "first", "verdict": "kept"}, {"step": "second", "verdict": "kept"}]
    assert kept["outputs"] == [{"topic": made.target, "partition": output.partition, "offset": output.offset}]
    assert (buried["outcome"], buried["outputs"]) == ("buried", [])
    assert [(step["step"], step["verdict"]) for step in buried["steps"]] == [("first", "buried")]
    assert f"trace/{origin_id(made.name, 1, 2)}" not in traces


def test_another_partition_count_than_the_states_is_an_error_that_says_what_to_do(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)
    flow = made.flow()
    other = settings_for(kafka, tmp_path, kafka_partitions="3")
    ensure_topics(other, [flow.changelog])
    with pytest.raises(WrongSetting, match=rf"has {PARTITIONS} partitions .* kept for 3 .*go back to 3 partitions, or delete"):
        prepare_topics(flow, made.settings)


def send_strange_header(kafka: str, topic: str, name: bytes) -> None:
    """Write a record with a header name that Python's client cannot write: through the C library it carries."""
    (library,) = (Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs").glob("librdkafka*")
    client = ctypes.CDLL(str(library))
    client.rd_kafka_conf_new.restype = client.rd_kafka_new.restype = ctypes.c_void_p
    conf, error = ctypes.c_void_p(client.rd_kafka_conf_new()), ctypes.create_string_buffer(512)
    client.rd_kafka_conf_set(conf, b"bootstrap.servers", kafka.encode(), error, 512)
    producer = ctypes.c_void_p(client.rd_kafka_new(0, conf, error, 512))
    one = ctypes.c_size_t(1)
    end, of_topic, of_partition, of_value, of_flags, of_header = 0, 1, 3, 4, 7, 9  # rd_kafka_vtype_t
    sent = client.rd_kafka_producev(
        producer, of_topic, topic.encode(), of_partition, 0, of_flags, 2, of_value, b"v", one, of_header, name, b"x", one, end
    )  # fmt: skip
    assert sent == 0
    assert client.rd_kafka_flush(producer, 20_000) == 0
    client.rd_kafka_destroy(producer)


def test_a_header_name_that_is_no_text_does_not_end_the_process(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)

    def copy(record: Record, batch: Batch) -> None:
        batch.emit(record, Output(made.target, record.key, record.value, record.headers))

    made.send((None, b"before"), headers=[("name", b"1")], partition=0)
    send_strange_header(kafka, made.name, b"\xff\xfe")
    made.send((None, b"after"), headers=[("name", b"2")], partition=0)
    made.run(made.flow(each(copy)))
    found = {read.value: read.headers for read in made.read()}
    assert found == {b"before": [("name", b"1")], b"v": [("x-unreadable-headers", b"1")], b"after": [("name", b"2")]}


def test_a_commit_that_kafka_has_lost_is_found_and_its_records_worked_on_again(kafka: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = bench(kafka, tmp_path)
    flow = made.flow(counting(made.target))
    made.send((b"a", b""), (b"a", b""), partition=0)
    made.run(flow)
    made.run(flow)
    assert "has lost a commit" not in caplog.text  # not of partitions of which nothing was ever committed either
    state = PartitionState.open(made.settings.data_dir / "state" / made.name / "slot-0", 0)
    state.put(b"a", b"3")
    state.passed(state.source + 1)
    state.apply(state.position)  # as after a commit that was answered, and of which nothing came
    state.close()
    made.send((b"a", b""), partition=0)
    made.run(flow)
    assert caplog.text.count("has lost a commit") == 1
    assert not faults(made.read(), {"a": 3})


def test_a_group_that_kafka_has_forgotten_goes_on_where_its_state_is(kafka: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Offsets of a group that stood still for a week expire, and the state does not: beginning anew would count everything twice."""
    made = bench(kafka, tmp_path)
    flow = made.flow(counting(made.target))
    made.send((b"a", b""), (b"a", b""), partition=0)
    made.run(flow)
    forget(kafka, flow.group)
    made.send((b"a", b""), partition=0)
    made.run(flow)
    assert caplog.text.count("going on there") == 1
    assert not faults(made.read(), {"a": 3})
    assert sum(tally["in"] for tally in made.tallies().values()) == 3


def test_an_offset_older_than_the_state_is_not_gone_back_to(kafka: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A coordinator that has just started may answer with what was committed long ago."""
    made = bench(kafka, tmp_path)
    flow = made.flow(counting(made.target))
    made.send((b"a", b""), (b"a", b""), (b"a", b""), partition=0)
    made.run(flow)
    forget(kafka, flow.group)
    older = Consumer({"bootstrap.servers": kafka, "group.id": flow.group})
    older.commit(offsets=[TopicPartition(made.name, 0, 1)], asynchronous=False)
    older.close()
    made.send((b"a", b""), partition=0)
    made.run(flow)
    assert caplog.text.count("going on there") == 1
    assert not faults(made.read(), {"a": 4})
    assert sum(tally["in"] for tally in made.tallies().values()) == 4


def forget(kafka: str, group: str) -> None:
    """Have Kafka forget what a group has committed; a member with a fixed id counts as one until its session is over."""
    admin, tried = AdminClient({"bootstrap.servers": kafka}), Event()
    for _ in range(600):
        try:
            admin.delete_consumer_groups([group])[group].result(20)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.NON_EMPTY_GROUP:
                raise
            tried.wait(0.1)
        else:
            return
    raise AssertionError(f"{group} is not empty")
