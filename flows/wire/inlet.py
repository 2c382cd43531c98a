"""The way in: one member of a consumer group on one topic."""

from collections.abc import Callable
from contextlib import suppress
from itertools import groupby
from typing import Any, Final, Protocol, cast

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from flows.core.errors import Fatal, Fenced, Unavailable
from flows.core.settings import Settings
from flows.wire.calm import calm_logger
from flows.wire.kafka import client_config
from flows.wire.messages import Message, bounded, readable

LOG: Final = calm_logger(__name__)

SESSION_MS: Final = 10_000
"""A dead worker that is not started again gives its partitions away after this."""
HEARTBEAT_MS: Final = 1000
"""Also how long the others take to notice a rebalance."""
POLL_LIMIT_MS: Final = 600_000
"""A batch, or the restore of one partition, may take this long before the group goes on without this worker."""
PREFETCH: Final = 40_000
PREFETCH_KIB: Final = 64 * 1024
"""What lies ready in the client: a few batches, and bounded in bytes; fewer where records are large."""
FETCH_BACKOFF_MS: Final = 5
STATS_MS: Final = 5000
"""How soon it is noticed that a broker is back while nothing is to be read."""
ANSWER_S: Final = 10.0
LOADING_S: Final = 3.0
"""Longer than this no group's coordinator is waited for: joining would cost no more."""
NOT_COMMITTED: Final = -1

FENCED: Final = (KafkaError.FENCED_INSTANCE_ID, KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH)  # noqa: SLF001  public there


class Owner(Protocol):
    """Who is told which partitions come and go; called inside `poll`, on its thread."""

    def assigned(self, partitions: list[int]) -> None:
        """These are ours from now on; they stand still until `resume`."""
        ...

    def revoked(self, partitions: list[int]) -> None:
        """These are given away in good order."""
        ...

    def lost(self, partitions: list[int]) -> None:
        """These were taken away: somebody else may be at work on them already."""
        ...


class Inlet:
    """Reads one topic as a member of a group; commits nothing itself. Not thread-safe.

    Classic protocol, `range`, a fixed instance id: a worker that comes back within the session finds its partitions as it left them.
    """

    def __init__(self, settings: Settings, topic: str, group: str, slot: int, owner: Owner, prefetch_kib: int = PREFETCH_KIB) -> None:
        """Prepare the client; does not block, and joins nothing before `join`.

        Args:
            settings: names the cluster.
            topic: what is read.
            group: the group's id; with the slot it makes the instance id.
            slot: which of the group's workers this is.
            owner: is told about partitions; what it raises comes out of `poll`.
            prefetch_kib: bounds what lies ready.

        """
        self.topic = topic
        self.broker_away = False
        """Whether no broker can be reached now, as far as the client knows."""
        self._settings = settings
        self._servers = settings.kafka_bootstrap_servers
        self._owner = owner
        self._failure: BaseException | None = None
        self._held: list[KafkaMessage] = []
        self._rebalanced = False
        self._consumer = Consumer(self._config(settings, group, slot, prefetch_kib))

    def join(self) -> None:
        """Join the group in the background, once its coordinator answers; blocks for 3 s at most.

        A broker that has just started sends a member away, and librdkafka (`rkcg_join_intvl`) comes back after three
        seconds. A question for offsets it asks again until it is answered.
        """
        with suppress(KafkaException):
            self._consumer.committed([TopicPartition(self.topic, 0)], timeout=LOADING_S)
        self._consumer.subscribe([self.topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    def _config(self, settings: Settings, group: str, slot: int, prefetch_kib: int) -> dict[str, Any]:
        return client_config(
            settings,
            group_id=group,
            group_instance_id=f"{group}-{slot}",
            partition_assignment_strategy="range",
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            max_poll_interval_ms=POLL_LIMIT_MS,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level="read_committed",
            queued_min_messages=PREFETCH,
            queued_max_messages_kbytes=prefetch_kib,
            fetch_queue_backoff_ms=FETCH_BACKOFF_MS,
            error_cb=self._on_error,
            statistics_interval_ms=STATS_MS,
            stats_cb=self._on_stats,
        )

    def poll(self, limit: int, wait_s: float, idle_s: float = 0.0) -> dict[int, list[Message]]:
        """Return messages by partition, each partition's in order and once; partitions come and go in here and nowhere else.

        Args:
            limit: most messages; and no more than 16 MiB of values, or one message.
            wait_s: how long to wait for `limit` messages.
            idle_s: if not 0, wait this long for a first message, and take what else is there at once.

        Raises:
            Fenced: another process uses the same slot.
            Fatal: the client cannot go on.

        """
        messages = self._held or self._consume(limit, wait_s, idle_s)
        if not messages:
            return {}
        messages, self._held = bounded(messages)
        partition = cast("Callable[[KafkaMessage], int]", KafkaMessage.partition)  # it has one, since it is no error
        messages.sort(key=partition)  # keeps each partition's order
        return {number: readable(cast("list[Message]", list(run))) for number, run in groupby(messages, partition)}

    def committed(self, partition: int) -> int:
        """Ask for the group's committed offset, `NOT_COMMITTED` when there is none; blocks for up to 10 s.

        Open transactions that carry an offset of this partition are waited for, so what is returned is final.

        Raises:
            Unavailable: no answer, or a transaction is still open; ask again.

        """
        try:
            found = self._consumer.committed([TopicPartition(self.topic, partition)], timeout=ANSWER_S)[0]
        except KafkaException as error:
            raise Unavailable(f"Kafka at {self._servers} does not say where {self.topic}/{partition} stands ({error.args[0].str()}).{self._hint()}") from error
        if found.error is not None:
            raise Unavailable(f"Kafka at {self._servers} does not say where {self.topic}/{partition} stands ({found.error.str()}).")
        return max(found.offset, NOT_COMMITTED)  # the client has its own negative number for none

    def _hint(self) -> str:
        return "" if self.broker_away else " If that goes on, a transaction hangs: `kafka-transactions.sh find-hanging` names it, and its `abort` ends it."

    def seek(self, partition: int, offset: int) -> None:
        """Read a partition from this offset on; where the client is not ready for that, it reads more, from where it would have."""
        with suppress(KafkaException):
            self._consumer.seek(TopicPartition(self.topic, partition, offset))

    def pause(self, partition: int) -> None:
        """Let a partition stand; what was read of it and not handed out yet comes again after `resume`."""
        self._consumer.pause([TopicPartition(self.topic, partition)])
        held = [message for message in self._held if message.partition() == partition]
        if held:
            self._held = [message for message in self._held if message.partition() != partition]
            self._consumer.seek(TopicPartition(self.topic, partition, cast("int", held[0].offset())))

    def resume(self, partition: int) -> None:
        """Let a partition flow that was assigned, or stood."""
        self._consumer.resume([TopicPartition(self.topic, partition)])

    def behind(self, partition: int, position: int) -> int | None:
        """Return how far a position is behind the partition's end as the client last heard of it, None when it has not; does not block.

        The client passes over the ends of transactions, which nobody reads: those that follow at once are no lag.
        """
        place = TopicPartition(self.topic, partition)
        try:
            known = self._consumer.get_watermark_offsets(place, cached=True)
            passed = self._consumer.position([place])[0].offset
        except KafkaException:
            return None  # not assigned any more, or never fetched
        offsets = cast("tuple[int, int] | None", known)  # none, when it has heard nothing
        if offsets is None or offsets[1] < 0:
            return None
        held = any(message.partition() == partition for message in self._held)
        return max(0, offsets[1] - (position if held else max(position, passed)))

    def membership(self) -> Any:
        """Return what proves, in a transaction, that this member holds its partitions now (KIP-447)."""
        return self._consumer.consumer_group_metadata()

    def close(self) -> None:
        """Let go of the client, which commits nothing and tells the owner nothing; the object is of no more use.

        Closing the client would be no better: a member with a fixed id does not leave its group then either, and with an
        assignment still on its way the client waits for itself, for ever (seen with 2.16).
        """
        del self._consumer

    def _consume(self, limit: int, wait_s: float, idle_s: float) -> list[KafkaMessage]:
        self._rebalanced = False
        if idle_s:
            messages = self._consumer.consume(1, idle_s)
            if messages:
                messages += self._consumer.consume(limit - 1, 0)
        else:
            messages = self._consumer.consume(limit, wait_s)
        if any(map(KafkaMessage.error, messages)):
            messages = [message for message in messages if not self._is_error(message)]
        if self._failure is not None:
            raise self._failure
        if self._rebalanced:
            return []  # all of it was read before everything was revoked; nobody committed it, so its owner reads it again
        return messages

    def _is_error(self, message: KafkaMessage) -> bool:
        error = message.error()
        if error is not None:
            self._on_error(error)
        return error is not None

    def _on_stats(self, text: str) -> None:
        brokers = orjson.loads(text)["brokers"].values()
        self.broker_away = not any(broker["state"] == "UP" for broker in brokers)

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  the client's public name for it
            self.broker_away = True
        elif error.fatal() or error.code() in (*FENCED, KafkaError._FATAL):  # noqa: SLF001  as above; the client's callback brings it without the mark
            kind = Fenced if error.code() in FENCED else Fatal
            self._failure = kind(f"The group member on {self.topic} cannot go on: {error.str()}.")
        else:
            LOG.warning("Kafka: %s", error.str())

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        with _Kept(self):
            self._rebalanced = True
            consumer.assign(partitions)
            consumer.pause(partitions)
            self._owner.assigned([partition.partition for partition in partitions])

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        with _Kept(self):
            self._forget()
            self._owner.revoked([partition.partition for partition in partitions])
            consumer.unassign()

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        with _Kept(self):
            self._forget()
            self._owner.lost([partition.partition for partition in partitions])
            consumer.unassign()

    def _forget(self) -> None:
        """Let go of what is held: it was not worked on, and whoever gets the partition reads it again."""
        self._rebalanced = True
        self._held = []


class _Kept:
    """Keeps what a callback raises for `poll` to raise: the client would swallow it, or say something else."""

    def __init__(self, inlet: Inlet) -> None:
        self._inlet = inlet

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> bool:
        if error is not None and self._inlet._failure is None:  # noqa: SLF001  two halves of one class
            self._inlet._failure = error  # noqa: SLF001  as above
        return error is not None
