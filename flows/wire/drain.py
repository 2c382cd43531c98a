"""Moves what waits on this machine's disk to its topics: each entry once, whenever the process dies."""

from typing import Final

import orjson
from confluent_kafka import KafkaError, KafkaException, Producer

from flows.core import topics
from flows.core.errors import Unavailable
from flows.core.settings import Settings
from flows.wire.compacted import CompactedTopic
from flows.wire.entry import Entry
from flows.wire.kafka import PARTITIONER, client_config, last_offset, said
from flows.wire.spool import Place, Spool

TRANSACTION_MS: Final = 10_000
"""Readers wait no longer than this for the transaction of a process that died and is not started again."""
MOST_ENTRIES: Final = 5000
MOST_BYTES: Final = 4 << 20
"""A transaction's worth: its commit is then a tenth of its time."""
ANSWER_S: Final = 20.0


class Drain:
    """Writes a spool's entries in transactions, each with the place the spool was drained to. One thread.

    The place is a record of its own on `xyra.status`, under `spill/<instance>`, in the same transaction as the entries before it. A
    crash between the commit and the deletion here repeats nothing: whoever opens the spool next reads the place from the log first.
    """

    def __init__(self, settings: Settings, instance: str, spool: Spool) -> None:
        """Touch nothing yet; `instance` is the name that belongs to the spool's folder, and has the transactions."""
        self._settings, self._instance, self._spool = settings, instance, spool
        self._key = f"spill/{instance}"
        self._producer: Producer | None = None
        self._begun = False
        self._status: CompactedTopic | None = None
        self._place: Place | None = None
        """How far the log says that the spool was drained, as far as it was read."""
        self._sure = self._known = not spool.entries
        """Whether the spool's place is that of the log, and whether it ever was: not where an earlier process left entries, or a commit got no answer."""
        self.moved = 0
        """Entries that were written to their topics from here."""

    @property
    def known(self) -> bool:
        """Whether all that the spool counts waits; else an earlier process may have written some of it, until `take_over` has looked that up."""
        return self._known

    def take_over(self, timeout_s: float) -> None:
        """Shut out and end what an earlier process, or an earlier attempt, left open, and go on where the log says; blocks for some `timeout_s` seconds.

        Raises:
            Unavailable: the broker is away, or somebody else's transaction hides the place; it may be called again.
            OSError: the disk fails.

        """
        if not self._begun:
            try:
                self._client().init_transactions(timeout_s)
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                if not reason.retriable() and reason.code() != KafkaError._TIMED_OUT:  # noqa: SLF001  the client's public name for it
                    self._give_up()
                raise self._away(reason) from error
            self._begun = True
        if not self._sure:
            self._find_place(timeout_s)
            passed = 0 if self._place is None else self._spool.skip(self._place)
            self.moved += passed if self._known else 0
            self._sure = self._known = True

    def _client(self) -> Producer:
        if self._producer is None:
            config = client_config(
                self._settings,
                transactional_id=f"xyra-spill-{self._instance}",
                transaction_timeout_ms=TRANSACTION_MS,
                linger_ms=2,
                compression_type="lz4",
                partitioner=PARTITIONER,  # as the door's own: equal keys meet
                message_max_bytes=topics.KEPT_BYTES,
            )
            self._producer = Producer(config)
        return self._producer

    def _find_place(self, timeout_s: float) -> None:
        """Read on to what is the topic's very end now, so that what an earlier attempt committed has been seen.

        Flows write there too, in transactions of their own. Nobody is shown what stands behind the beginning of one that is open, so the
        readable end is not enough: a worker that was killed keeps it where it is, until it is started again or its transaction's time is over.
        """
        end = last_offset(self._settings, topics.STATUS.name, timeout_s)
        if self._status is None:
            self._status = CompactedTopic(self._settings, topics.STATUS.name, self._note)
        self._status.catch_up(timeout_s, end)

    def _note(self, key: str, value: bytes | None, _offset: int) -> None:
        if key == self._key and value is not None:
            told = orjson.loads(value)
            self._place = Place(told["segment"], told["offset"])

    def move(self, entries: list[Entry], place: Place) -> None:
        """Write entries that the spool gave, after `take_over`, with the place behind them, and have the spool let go of them; blocks until that is committed.

        Raises:
            Unavailable: it is not known whether they are there; `take_over` finds out.
            OSError: the disk fails; they are there.

        """
        producer, told = self._client(), orjson.dumps({"segment": place.segment, "offset": place.offset})
        self._sure = False
        try:
            producer.begin_transaction()
            for entry in entries:  # a spool never gives as many as the client's queue takes
                producer.produce(entry.topic, entry.value, entry.key, headers=entry.headers, timestamp=entry.accepted_ms)
            producer.produce(topics.STATUS.name, told, self._key)
            producer.commit_transaction(ANSWER_S)
        except KafkaException as error:
            self._give_up()
            raise self._away(error.args[0]) from error
        self._sure = True
        self.moved += len(entries)
        self._spool.drop(place, len(entries))

    def _away(self, reason: KafkaError) -> Unavailable:
        return Unavailable(f"What waits in {self._spool.folder} cannot be written to Kafka at {self._settings.kafka_bootstrap_servers}: {said(reason)}.")

    def _give_up(self) -> None:
        """Let go of the producer; what it had not committed counts for nothing."""
        if self._producer is not None:
            self._producer.purge()
            self._producer.poll(0)
            self._producer = None
            self._begun = False

    def close(self) -> None:
        """Let go of the clients; blocks for less than a second. It may be used again."""
        self._give_up()
        if self._status is not None:
            self._status.close()
            self._status = None
