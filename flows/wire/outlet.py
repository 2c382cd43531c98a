"""The way out: one transactional producer. Every write of a worker goes through one of its transactions, or does not happen."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any, Final, NoReturn

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from flows.core.errors import Expired, Fatal, Fenced, Unavailable, UnknownOutcome
from flows.core.record import Header
from flows.core.settings import Settings
from flows.core.topics import KEPT_BYTES, MIB
from flows.wire.inlet import FENCED, POLL_LIMIT_MS, SESSION_MS
from flows.wire.kafka import PARTITIONER, TRANSACTIONAL, client_config, said
from flows.wire.watchdog import Watchdog

TRANSACTION_MS: Final = 30_000
"""A transaction that is open for longer is aborted by the broker; readers wait no longer than this for a worker that died and is not started again."""
LINGER_MS: Final = 2
STICKY_MS: Final = 0
"""Records without keys go to all partitions alike. Of a partition one batch is under way at a time, and while another one waits for it the client's thread
looks for the answer without a pause (`rd_kafka_toppar_producer_serve`): with 10 ms for each partition in turn that was half of an importing worker's work."""
RETRY_MS: Final = 5
RETRY_MOST_MS: Final = 200
"""A broker still closing the last transaction turns the next one away for milliseconds; the client's own 100 ms would be most of a record's way."""
QUEUE_KIB: Final = 192 * 1024
FULL_WAIT_S: Final = 0.05
OFFSETS_S: Final = 8.0
"""How long the broker may take over the offsets: a broker that was killed is back in four seconds, and the client most often does not notice."""
ANSWER_S: Final = 20.0
"""How long the broker may take to answer a commit."""
INIT_S: Final = 30.0
INIT_SLICE_S: Final = 0.1
"""A signal is heeded between two of these. Sent away by a broker that has just started, the client comes back after half a second, or when it is called
again; a request on its way is not repeated (`rd_kafka_idemp_start`)."""


class Outlet:
    """Writes in transactions. Not thread-safe. After an error it is of no more use: the process ends and a new one takes the slot over."""

    def __init__(self, settings: Settings, transactional_id: str) -> None:
        """Prepare the client; does not block.

        Args:
            settings: names the cluster.
            transactional_id: the slot's own; who takes it aborts what a predecessor left open and shuts it out.

        """
        self._servers = settings.kafka_bootstrap_servers
        self._producer = Producer(
            client_config(
                settings,
                transactional_id=transactional_id,
                transaction_timeout_ms=TRANSACTION_MS,
                **TRANSACTIONAL,
                linger_ms=LINGER_MS,
                retry_backoff_ms=RETRY_MS,
                retry_backoff_max_ms=RETRY_MOST_MS,
                compression_type="lz4",
                partitioner=PARTITIONER,
                sticky_partitioning_linger_ms=STICKY_MS,
                message_max_bytes=KEPT_BYTES + MIB,
                queue_buffering_max_messages=1_000_000,
                queue_buffering_max_kbytes=QUEUE_KIB,
            )
        )
        self._positions: dict[int, int] = {}
        self._watchdog = Watchdog(
            OFFSETS_S,
            f"Kafka at {self._servers} went away in the middle of a transaction, and the client does not come back from it. "
            "Nothing of it is committed; the worker that is started in its stead goes on behind the last batch.",
        )

    def take_over(self, enough: Callable[[], bool]) -> None:
        """Abort what a predecessor of this slot left open, and shut it out; blocks for up to 30 s, or until `enough`.

        Raises:
            Unavailable: the broker is away.
            Fatal: the broker refuses.

        """
        until = monotonic() + INIT_S
        while not enough():
            try:
                self._producer.init_transactions(INIT_SLICE_S)
            except KafkaException as error:
                reason = error.args[0]
                if not reason.retriable() and reason.code() != KafkaError._TIMED_OUT:  # noqa: SLF001  the client's public name for it
                    self._fail(error)
                if monotonic() >= until:
                    raise Unavailable(f"Kafka at {self._servers} does not answer ({said(reason)}). See that it runs (`xyra status`).") from error
            else:
                return

    def begin(self) -> None:
        """Begin a transaction; raises as `commit` does."""
        self._positions = {}
        try:
            self._producer.begin_transaction()
        except KafkaException as error:
            self._fail(error)

    def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[Header] = (), partition: int = -1, report: Any = None) -> None:
        """Produce one record within the transaction; `report` is called with (error, message) once it is delivered.

        Waits while the client's queue is full.
        """
        while True:
            try:
                self._producer.produce(topic, value, key, partition, on_delivery=report, headers=list(headers) or None)
            except BufferError:
                self._producer.poll(FULL_WAIT_S)
            except KafkaException as error:
                self._fail(error)
            else:
                return

    def send_all(self, topic: str, keys: Iterable[bytes | None], values: Iterable[bytes | None], headers: Iterable[list[Header]] | None = None) -> None:
        """Produce many records; the partition comes from the key. Waits while the client's queue is full."""
        produce = self._producer.produce
        if headers is not None:
            for key, value, told in zip(keys, values, headers, strict=True):
                try:
                    produce(topic, value, key, headers=told)  # type: ignore[arg-type]  # a list of pairs is what it wants
                except (BufferError, KafkaException):
                    self.send(topic, key, value, told)
            return
        for key, value in zip(keys, values, strict=True):
            try:
                produce(topic, value, key)
            except (BufferError, KafkaException):
                self.send(topic, key, value)

    def log(self, topic: str, partition: int, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Produce changed state entries to one partition of a changelog; `position` tells, after the commit, where it ends."""
        last: tuple[bytes, bytes | None] | None = None
        produce = self._producer.produce
        for entry in entries:
            if last is not None:
                try:
                    produce(topic, last[1], last[0], partition)
                except (BufferError, KafkaException):
                    self.send(topic, last[0], last[1], partition=partition)
            last = entry
        if last is not None:
            self.send(topic, last[0], last[1], partition=partition, report=self._logged)

    def flush(self) -> None:
        """Wait until everything sent so far is delivered, so that its reports have come."""
        self._producer.flush()

    def commit(self, topic: str, offsets: Mapping[int, int], membership: Any) -> None:
        """Send the source offsets with the membership, and commit; blocks until the broker has answered, or the transaction's time is over.

        Args:
            topic: the source.
            offsets: the next offset to read, by partition.
            membership: of the group's member; one that was given up makes this fail.

        Raises:
            Fenced: another process has this slot, or this one stood still.
            Expired: the group went on without this process.
            UnknownOutcome: no answer; the next start finds out from the committed offsets.
            Fatal: anything else; nothing of the transaction counts.

        """
        places = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
        # Where the brokers went away and came back elsewhere, the client may wait here for ever, whatever time-out it is given (librdkafka issues 5456, 5511).
        # Nothing is committed yet, so ending the process is safe; the one that is started in its stead goes on at once.
        try:
            with self._watchdog:
                self._producer.send_offsets_to_transaction(places, membership, OFFSETS_S)
        except KafkaException as error:
            self._fail(error)
        try:
            self._producer.commit_transaction(ANSWER_S)
        except KafkaException as error:
            reason = error.args[0]
            if not reason.txn_requires_abort() and reason.code() not in FENCED:
                raise UnknownOutcome(f"No answer to a commit from Kafka at {self._servers} ({said(reason)}).") from error
            self._fail(error)

    def position(self, partition: int) -> int | None:
        """Return the changelog offset after the last entry that the committed transaction wrote, None when it wrote none."""
        return self._positions.get(partition)

    def _logged(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._positions[message.partition() or 0] = (message.offset() or 0) + 1

    def _fail(self, error: KafkaException) -> NoReturn:
        reason: KafkaError = error.args[0]
        raise failed(reason, self._servers) from error


def failed(reason: KafkaError, servers: str) -> Fatal:
    """Say why a transaction came to nothing; Kafka does not tell a process that was replaced from one that stood still, so neither does the text."""
    if reason.code() in {KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION}:
        return Expired(
            f"The group has gone on without this process, which gave no sign of life for {SESSION_MS // 1000} s, as when its machine stands still, "
            f"or was busy with one batch for {POLL_LIMIT_MS // 1000} s ({said(reason)}). Nothing of the batch in hand was committed."
        )
    if reason.code() in FENCED:
        return Fenced(
            f"Another process has started with this slot, or this one stood still until Kafka ended its transaction, after {TRANSACTION_MS // 1000} s "
            f"({said(reason)}). Nothing of the batch in hand was committed."
        )
    return Fatal(f"A transaction on Kafka at {servers} failed and counts for nothing ({reason.name()}: {said(reason)}).")
