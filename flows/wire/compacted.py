"""A follower of a compacted topic: every key's last record, applied in the log's order, in this process's memory."""

from collections.abc import Callable
from time import monotonic
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from flows.core.errors import Fatal, Unavailable
from flows.core.settings import Settings
from flows.wire.kafka import client_config
from flows.wire.messages import arrived

BATCH: Final = 2000
"""Records applied in one go, so that a poll in an event loop comes back within a few milliseconds."""
STEP_S: Final = 0.1
FETCH_WAIT_MS: Final = 100
"""How soon the end is noticed behind a transaction marker, which no reader ever sees."""


class CompactedTopic:
    """Follows the one partition of a compacted topic from its beginning; joins no group and commits nothing.

    Only what was committed is seen, so a writer may use transactions. Not thread-safe: one thread owns it. After a
    crash here nothing is left over: the next start reads the topic again.
    """

    def __init__(self, settings: Settings, topic: str, apply: Callable[[str, bytes | None, int], None]) -> None:
        """Prepare to read `topic`, which begins with the first `poll`; does not block.

        Args:
            settings: names the cluster.
            topic: a topic with a single partition, so that its offsets are a total order.
            apply: is called with each record's key, its value (None: deleted) and its offset, inside `poll` and `catch_up`;
                what it raises comes out of those, and the record counts as applied.

        """
        self.topic = topic
        self.trouble: str | None = None
        """The last thing the client complained of; None once a record or the topic's end has come since."""
        self.reached_end = False
        """Whether the end was reached once: what is held is the topic as it stood at some moment since the start."""
        self._servers = settings.kafka_bootstrap_servers
        self._apply = apply
        self._applied = 0
        self._end = 0
        self._begun = False
        self._consumer = Consumer(
            client_config(
                settings,
                group_id="xyra-follower",  # the client wants one; none is joined, nothing is committed
                enable_auto_commit=False,
                enable_partition_eof=True,
                isolation_level="read_committed",
                auto_offset_reset="error",
                fetch_wait_max_ms=FETCH_WAIT_MS,
            )
        )

    @property
    def applied(self) -> int:
        """The offset after the last record applied: what `x-config-offset` is stamped with, since every follower reaches it."""
        return self._applied

    @property
    def position(self) -> int:
        """The next offset to come, transaction markers passed over; all before it is applied."""
        return max(self._applied, self._end)

    def poll(self, timeout_s: float = 0.0) -> int:
        """Apply what has arrived and return how many records that were; waits up to `timeout_s` seconds for the first.

        Raises:
            Fatal: the topic was deleted or cut off under the follower, so that what it holds is no longer what stands there.

        """
        if not self._begun:  # not before: who has asked for the end knows the partition's leader, else the client looks for it now and then
            self._consumer.assign([TopicPartition(self.topic, 0, OFFSET_BEGINNING)])
            self._begun = True
        count = 0
        for message in arrived(self._consumer, timeout_s, BATCH):
            error = message.error()
            if error is None:
                self._take(message)
                count += 1
            else:
                self._note(error, message)
        return count

    def catch_up(self, timeout_s: float, target: int | None = None) -> None:
        """Apply everything up to the offset `target`, or else to the end as it is now; blocks for up to `timeout_s` seconds.

        The end is where the first open transaction begins: what was committed behind that, by others, is not seen before it is decided.

        Raises:
            Unavailable: the end was not reached in that time; what was applied stays applied, and it may be called again.
            Fatal: as in `poll`.

        """
        until = monotonic() + timeout_s
        target = self.end(timeout_s) if target is None else target
        while self.position < target:
            self.poll(STEP_S)
            if monotonic() >= until and self.position < target:
                raise Unavailable(self._away(f"stands at offset {self.position} of {target} after {timeout_s:g} s"))

    def end(self, timeout_s: float) -> int:
        """Ask the broker for the offset up to which all is decided; blocks for up to `timeout_s` seconds. Any thread may ask.

        Raises:
            Unavailable: the broker or the topic is away.

        """
        until = monotonic() + timeout_s
        while True:
            try:
                offsets = self._consumer.get_watermark_offsets(TopicPartition(self.topic, 0), timeout=timeout_s)
            except KafkaException as error:
                if error.args[0].code() != KafkaError._UNKNOWN_PARTITION or monotonic() >= until:  # noqa: SLF001  the client's public name for it
                    raise Unavailable(self._away(str(error.args[0].str()))) from error
                self._metadata(until)
                continue
            if offsets is None:
                raise Unavailable(self._away(f"no answer within {timeout_s:g} s"))
            return int(offsets[1])

    def _metadata(self, until: float) -> None:
        """Have the client told of the topic anew: a broker that has just started, or made it, tells of it before it tells of its partition."""
        try:
            self._consumer.list_topics(self.topic, timeout=max(0.1, until - monotonic()))
        except KafkaException as error:
            raise Unavailable(self._away(str(error.args[0].str()))) from error

    def close(self) -> None:
        """Let go of the client; blocks for less than a second, and the object is of no more use."""
        self._consumer.close()

    def _take(self, message: Message) -> None:
        self.trouble = None
        key, offset = message.key(), message.offset()
        self._applied = (offset or 0) + 1
        if key is None:
            return  # a compacted topic refuses records without a key; one written before it was compacted may lack it
        self._apply(_text(key), _bytes(message.value()), offset or 0)

    def _note(self, error: KafkaError, message: Message) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  the client's public name for it
            self.trouble = None
            self._end = max(self._end, message.offset() or 0)
            self.reached_end = True
        elif error.fatal() or error.code() in (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET):  # noqa: SLF001  as above
            msg = f"The topic {self.topic} was deleted or cut off while it was being followed ({error.str()}). Started again, it is read from its beginning."
            raise Fatal(msg)
        else:
            self.trouble = error.str()

    def _away(self, what: str) -> str:
        return f"The topic {self.topic} on Kafka at {self._servers} cannot be read to its end: {self.trouble or what}. See that Kafka runs (`xyra status`)."


def _text(key: bytes | str) -> str:
    return key if isinstance(key, str) else key.decode("utf-8", "replace")


def _bytes(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
