"""Kafka clients and topics: the one place that knows how a client is configured and how a topic is made."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from time import monotonic, sleep
from typing import Any, Final, Protocol

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # type: ignore[attr-defined]  # the package re-exports it without saying so

from flows.core.errors import Unavailable, WrongSetting
from flows.core.settings import Settings
from flows.core.topics import Topic
from flows.wire.calm import calm_logger

PARTITIONER: Final = "murmur2_random"
"""For every producer: the partitioner of Kafka's own clients, so that equal keys meet whoever wrote them."""
TRANSACTIONAL: Final[Mapping[str, Any]] = {
    "enable_sparse_connections": False,  # connect at once: who waits until a connection is wanted waits 50 ms for it, or 500 where two race
    "metadata_recovery_strategy": "none",  # who begins anew with the bootstrap servers forgets its coordinator, and may wait for it for ever
}
"""For every producer that writes in transactions."""
ADMIN_TIMEOUT_S: Final = 10.0
CREATE_TIMEOUT_S: Final = 30.0
AGAIN_S: Final = 0.2
ALREADY_EXISTS: Final = "TOPIC_ALREADY_EXISTS"


def client_config(settings: Settings, **extra: Any) -> dict[str, Any]:
    """Return a librdkafka configuration: what every client here shares, and `extra` over it.

    What the client has to say goes to the logger `xyra.kafka`, when the client is polled.

    Args:
        settings: names the cluster.
        extra: further properties; an underscore stands for the dot, so `enable_idempotence=True` sets `enable.idempotence`;
            names of callbacks (`error_cb`) stay as they are.

    """
    shared: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "client.id": "xyra",
        "logger": calm_logger("xyra.kafka"),
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,  # a broker that comes back is found within a second, one that is away is not hammered
        "socket.keepalive.enable": True,
        "topic.metadata.refresh.interval.ms": 60_000,
        "allow.auto.create.topics": False,  # a misspelt topic is an error, not a new topic
    }
    return shared | {name if name.endswith("_cb") else name.replace("_", "."): value for name, value in extra.items()}


def wanted_partitions(settings: Settings, topic: Topic) -> int:
    """Return how many partitions a topic is made with."""
    return settings.kafka_partitions if topic.partitions == "flow" else 1


def _admin(settings: Settings) -> AdminClient:
    config = client_config(settings)
    del config["allow.auto.create.topics"]
    return AdminClient(config)


def _counts(admin: AdminClient, settings: Settings, timeout_s: float = ADMIN_TIMEOUT_S) -> dict[str, int]:
    try:
        found = admin.list_topics(timeout=timeout_s).topics
    except KafkaException as error:
        raise Unavailable(_away(settings)) from error
    return {name: len(topic.partitions) for name, topic in found.items() if topic.error is None}


def _away(settings: Settings) -> str:
    return (
        f"Kafka at {settings.kafka_bootstrap_servers} does not answer. See that it runs (`xyra status`) and that INTEGRATION_KAFKA_BOOTSTRAP_SERVERS names it."
    )


def partition_count(settings: Settings, name: str, timeout_s: float = ADMIN_TIMEOUT_S) -> int | None:
    """Return how many partitions the topic `name` has; None when there is no such topic.

    Blocks for `timeout_s` at most.

    Raises:
        Unavailable: the cluster does not answer.

    """
    return partition_counts(settings, timeout_s).get(name)


def partition_counts(settings: Settings, timeout_s: float = ADMIN_TIMEOUT_S) -> dict[str, int]:
    """Return how many partitions each topic of the cluster has, Kafka's own among them.

    Blocks for `timeout_s` at most.

    Raises:
        Unavailable: the cluster does not answer.

    """
    return _counts(_admin(settings), settings, timeout_s)


def last_offset(settings: Settings, name: str, timeout_s: float) -> int:
    """Return the offset behind the last record of the one partition of the topic `name`, whether that record is committed or not yet decided.

    Blocks for up to `timeout_s` seconds.

    Raises:
        Unavailable: the cluster does not answer.

    """
    place, admin = TopicPartition(name, 0), _admin(settings)
    asked = admin.list_offsets({place: OffsetSpec.latest()}, isolation_level=IsolationLevel.READ_UNCOMMITTED)  # type: ignore[no-untyped-call]  # carries no types
    try:
        return int(asked[place].result(timeout_s).offset)
    except (KafkaException, TimeoutError) as error:
        raise Unavailable(_away(settings)) from error


def ensure_topics(settings: Settings, topics: Iterable[Topic]) -> list[str]:
    """Make the topics that are missing and return their names; two processes that do this at once do no harm.

    Blocks for 50 s at most. Safe to call on every start.

    Raises:
        Unavailable: the cluster does not answer.
        WrongSetting: a topic is there with another partition count, or the cluster refuses to make one.

    """
    wanted = {topic.name: topic for topic in topics}
    admin = _admin(settings)
    have = _counts(admin, settings)
    for name, topic in wanted.items():
        if name in have and have[name] != wanted_partitions(settings, topic):
            raise WrongSetting(_other_count(name, have[name], wanted_partitions(settings, topic), topic))
    missing = [topic for name, topic in wanted.items() if name not in have]
    if not missing:
        return []
    made = make_topics(admin, settings, missing)
    deadline = monotonic() + ADMIN_TIMEOUT_S
    while not wanted.keys() <= _counts(admin, settings).keys() and monotonic() < deadline:
        pass  # made is not yet known everywhere: a client that asks too early is told that there is no such topic
    return made


class Maker(Protocol):
    """Makes topics: the part of a client of Kafka's that is needed for it."""

    def create_topics(self, new_topics: list[NewTopic], /, *, operation_timeout: float) -> Mapping[str, Future[Any]]:
        """Ask for topics; each name's future raises why it was refused."""
        ...


def make_topics(admin: Maker, settings: Settings, missing: Iterable[Topic]) -> list[str]:
    """Make topics and return the names of those that nobody else has made meanwhile; asks again for 10 s while no broker has been let in yet.

    Raises:
        Unavailable: the cluster does not answer.
        WrongSetting: it refuses to make one.

    """
    replicas = settings.kafka_replication_factor or -1  # -1: the broker's default (KIP-464)
    new = {topic.name: NewTopic(topic.name, wanted_partitions(settings, topic), replicas, config=topic.config()) for topic in missing}
    made: list[str] = []
    until = monotonic() + ADMIN_TIMEOUT_S
    while new:
        refused = _refused(admin, settings, list(new.values()))
        made += [name for name in new if name not in refused]
        for name, reason in refused.items():
            if reason.name() != ALREADY_EXISTS and not (is_fenced(reason) and monotonic() < until):
                raise refusal(settings, name, reason)
        new = {name: new[name] for name, reason in refused.items() if is_fenced(reason)}
        if new:
            sleep(AGAIN_S)
    return made


def _refused(admin: Maker, settings: Settings, new: list[NewTopic]) -> dict[str, KafkaError]:
    """Ask for topics, and return why which were not made."""
    refused: dict[str, KafkaError] = {}
    for name, future in admin.create_topics(new, operation_timeout=CREATE_TIMEOUT_S).items():
        try:
            future.result(CREATE_TIMEOUT_S)
        except TimeoutError as error:
            raise Unavailable(_away(settings)) from error
        except KafkaException as error:
            refused[name] = error.args[0]
    return refused


def said(reason: KafkaError) -> str:
    """Return what the client says of an error, without its advice to whoever calls it ("retry call to resume") and without a full stop."""
    return reason.str().rstrip(".").removesuffix("retry call to resume").rstrip(",;: ")


def is_fenced(reason: KafkaError) -> bool:
    """Tell whether a topic was refused because no broker is let in: one that has just started, or stood still, is so within seconds.

    Kafka has no code of its own for it, and says that the replication factor is invalid, as it does where there are too few brokers.
    """
    return reason.code() == KafkaError.INVALID_REPLICATION_FACTOR and "fenced" in reason.str()


def refusal(settings: Settings, name: str, reason: KafkaError) -> Unavailable | WrongSetting:
    """Return what is raised when Kafka has refused to make the topic `name`: whether it will do so later, or something is to be mended."""
    if reason.retriable() or reason.name().startswith("_") or is_fenced(reason):
        return Unavailable(_away(settings))
    why = said(reason)
    return WrongSetting(f"Kafka refused to make the topic {name}: {why}. Mend INTEGRATION_KAFKA_REPLICATION_FACTOR, or make the topic yourself.")


def _other_count(name: str, have: int, want: int, topic: Topic) -> str:
    if topic.partitions == "one":
        return f"The topic {name} has {have} partitions and must have exactly one. Delete it if it holds nothing you need; it is made again on the next start."
    return (
        f"The topic {name} has {have} partitions and INTEGRATION_KAFKA_PARTITIONS is {want}. "
        f"Set INTEGRATION_KAFKA_PARTITIONS={have}: a flow's topic and its changelog keep the count they were made with, since state is kept by partition."
    )
