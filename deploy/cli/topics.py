"""`xyra topics`: list them, make them, read one."""

import base64
import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final
from uuid import uuid4

import orjson
import typer
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from deploy.cli.output import as_json, printable, table
from deploy.flows import FLOWS
from deploy.local.place import running
from flows.core.errors import NotFound, Unavailable
from flows.core.settings import Settings
from flows.core.topics import TOPICS, Topic, changelog
from flows.wire.kafka import client_config, ensure_topics, partition_count, partition_counts, wanted_partitions

TIMEOUT_S = 10.0
OTHER: Final = {"kept": "as it was made", "writer": "flows, or you", "readers": "you", "meaning": "Named by a definition, or yours."}
"""What is known of a topic that is on the cluster and is none of this version's."""
topics_app = typer.Typer(help="List, make and read the topics.", no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
DataDir = Annotated[str, typer.Option("--data-dir", metavar="DIR", help="The stack's data directory, over INTEGRATION_DATA_DIR.", show_default=".xyra")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def all_topics() -> list[Topic]:
    """Return every topic of this version, the flows' changelogs among them."""
    return [*TOPICS, *map(changelog, FLOWS)]


@topics_app.command("list", epilog="Example: `xyra topics list --json`")
def list_(data_dir: DataDir = "", json: Json = False) -> None:
    """Show every topic: what stands on it, its partitions on the cluster, how long it is kept; then the cluster's other ones."""
    rows = listed(partition_counts(running(os.environ, data_dir)))
    if json:
        as_json(rows)
    else:
        table(list(rows[0]), [["missing" if cell is None else cell for cell in row.values()] for row in rows])


def listed(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return a row for each topic of this version, then for each other one of `counts` (partitions by name) that is not Kafka's own."""
    rows: list[dict[str, Any]] = [
        {
            "topic": topic.name,
            "partitions": counts.get(topic.name),
            "kept": "compacted" if topic.compacted else f"{topic.retention_ms // 86_400_000} days",
            "writer": topic.writer,
            "readers": topic.readers,
            "meaning": topic.meaning,
        }
        for topic in all_topics()
    ]
    others = sorted(name for name in counts.keys() - {row["topic"] for row in rows} if not name.startswith("__"))
    return rows + [{"topic": name, "partitions": counts[name]} | OTHER for name in others]


@topics_app.command("make", epilog="Example: `INTEGRATION_KAFKA_PARTITIONS=32 xyra topics make`")
def make(data_dir: DataDir = "", json: Json = False) -> None:
    """Make the topics that are missing; those that are there stay as they are."""
    settings = running(os.environ, data_dir)
    made = ensure_topics(settings, all_topics())
    if json:
        as_json({"made": made})
        return
    for topic in all_topics():
        typer.echo(f"{'made ' if topic.name in made else 'there'}  {topic.name} ({wanted_partitions(settings, topic)} partitions)")


@topics_app.command(epilog="Examples: `xyra topics read xyra.events --from-beginning -n 1 --follow` · `xyra topics read xyra.dlq --from-beginning --json`")
def read(
    topic: Annotated[str, typer.Argument(help="The topic to read.")],
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="From the oldest record to what is the end now; without it, what comes from now on.")
    ] = False,
    count: Annotated[int | None, typer.Option("-n", "--count", min=1, help="Stop after so many records.", show_default="do not")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Do not stop at the end: wait for what comes.")] = False,
    grep: Annotated[str, typer.Option("--grep", metavar="TEXT", help="Only records whose line holds this text.", show_default="all")] = "",
    data_dir: DataDir = "",
    json: Json = False,
) -> None:
    """Read committed records and print them, one a line: partition and offset, key, headers, value."""
    settings, seen = running(os.environ, data_dir), 0
    for message in committed(settings, topic, from_beginning=from_beginning, to_end=from_beginning and not follow):
        line = orjson.dumps(_fields(message)).decode() if json else _line(message)
        if grep not in line:
            continue
        typer.echo(line)
        seen += 1
        if seen == count:
            break


def committed(settings: Settings, topic: str, *, from_beginning: bool, to_end: bool) -> Iterator[Message]:
    """Yield the committed records of a topic; goes on for ever unless `to_end`, then up to what is the end at the first. Commits nothing.

    Raises:
        NotFound: there is no such topic.
        Unavailable: the cluster does not answer.

    """
    count = partition_count(settings, topic)
    if count is None:
        raise NotFound(f"There is no topic {topic} on {settings.kafka_bootstrap_servers}. `xyra topics list` shows those there are.")
    options = {"enable_auto_commit": False, "isolation_level": "read_committed", "enable_partition_eof": True, "fetch_wait_max_ms": 50}
    consumer = Consumer(client_config(settings, group_id=f"xyra-read-{uuid4()}", **options))
    try:
        ends = _ends(consumer, topic, count) if to_end else {}
        consumer.assign([TopicPartition(topic, n, OFFSET_BEGINNING if from_beginning else OFFSET_END) for n in range(count)])
        while ends or not to_end:
            message = consumer.poll(TIMEOUT_S)
            if message is None:
                continue
            error, partition = message.error(), message.partition()
            if error is None:
                offset, end = message.offset() or 0, ends.get(partition)
                if not to_end or (end is not None and offset < end):
                    yield message
                if end is not None and offset >= end - 1:
                    del ends[partition]
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  the client's public name for it begins so
                ends.pop(partition, None)
            elif not error.retriable():
                raise Unavailable(f"Reading {topic} failed: {error.str()}.")
    except KafkaException as error:
        raise Unavailable(f"Reading {topic} failed: {error}.") from error
    finally:
        consumer.close()


def _ends(consumer: Consumer, topic: str, count: int) -> dict[int | None, int]:
    """Return the offset behind the last record of each partition that has any."""
    found: dict[int | None, int] = {}
    for number in range(count):
        marks = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=TIMEOUT_S)
        if marks is None:
            raise Unavailable(f"Reading {topic} failed: its partition {number} has no leader that answers.")
        if marks[1] > marks[0]:
            found[number] = marks[1]
    return found


def _headers(message: Message) -> list[tuple[str, bytes]]:
    found: Any = message.headers() or []
    pairs = found.items() if isinstance(found, dict) else found
    return [(name, value if isinstance(value, bytes) else str(value or "").encode()) for name, value in pairs]


def _fields(message: Message) -> dict[str, Any]:
    return {
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp_ms": message.timestamp()[1],
        "key": _json_text(message.key()),
        "headers": {name: _json_text(value) for name, value in _headers(message)},
        "value": _json_text(message.value()),
    }


def _json_text(data: str | bytes | None) -> Any:
    """Bytes as text, or, where they are none, as an object that says so."""
    if not isinstance(data, bytes):
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _line(message: Message) -> str:
    key, value = message.key(), message.value()
    headers = " ".join(f"{name}={printable(value)}" for name, value in _headers(message))
    parts = [f"{message.partition()}@{message.offset()}", printable(_raw(key)), headers, printable(_raw(value))]
    return "  ".join(parts)


def _raw(data: str | bytes | None) -> bytes | None:
    return data.encode() if isinstance(data, str) else data
