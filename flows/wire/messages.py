"""Messages as the client gives them, made safe to work on: bounded in bytes, with headers that can be asked for."""

from collections.abc import Iterable
from itertools import accumulate, islice
from typing import Final, Protocol, cast

from confluent_kafka import Consumer
from confluent_kafka import Message as KafkaMessage

from flows.core.record import Header, Record

MOST_BYTES: Final = 16 << 20
"""Values of one batch; a single message may be larger."""

_new = tuple.__new__


class Message(Protocol):
    """A message as the client gives it; each call copies out of the client's memory."""

    def topic(self) -> str:
        """Where it stands: topic."""
        ...

    def partition(self) -> int:
        """Where it stands: partition."""
        ...

    def offset(self) -> int:
        """Where it stands: offset."""
        ...

    def timestamp(self) -> tuple[int, int]:
        """Kind of timestamp, and the timestamp in milliseconds since the epoch."""
        ...

    def key(self) -> bytes | None:
        """Key."""
        ...

    def value(self) -> bytes | None:
        """Value; None for a tombstone."""
        ...

    def headers(self) -> list[tuple[str, bytes]] | None:
        """Names and values of the headers."""
        ...


class Unreadable:
    """A message with a header whose name is no UTF-8: like any other, but for its headers."""

    HEADERS: Final = [("x-unreadable-headers", b"1")]

    def __init__(self, message: Message) -> None:
        """Take the message."""
        self._message = message
        self.topic = message.topic
        self.partition = message.partition
        self.offset = message.offset
        self.timestamp = message.timestamp
        self.key = message.key
        self.value = message.value

    def headers(self) -> list[tuple[str, bytes]]:
        """Say that they cannot be read."""
        return self.HEADERS


def bounded(messages: list[KafkaMessage]) -> tuple[list[KafkaMessage], list[KafkaMessage]]:
    """Split messages where their values become too many bytes for one batch; the first part has one message at least."""
    if sum(map(len, messages)) <= MOST_BYTES:
        return messages, []
    ends = accumulate(map(len, messages))
    count = max(1, sum(1 for end in ends if end <= MOST_BYTES))
    return messages[:count], messages[count:]


def readable(messages: list[Message]) -> list[Message]:
    """Return messages whose headers can be asked for.

    Of a name that is no UTF-8 the client makes an error, once; whoever asks again gets a tuple with a hole in it, which
    ends the process when it is looked into. So each message is asked here, and one that fails is never asked again.
    """
    asked: list[object] = []
    while len(asked) < len(messages):
        try:
            asked.extend(map(KafkaMessage.headers, cast("Iterable[KafkaMessage]", islice(messages, len(asked), None))))  # keeps what came before an error
        except (SystemError, UnicodeDecodeError):
            messages[len(asked)] = Unreadable(messages[len(asked)])
            asked.append(None)
    return messages


def record_of(message: Message) -> Record:
    """Make a record of a message."""
    return _new(
        Record,
        (message.topic(), message.partition(), message.offset(), message.timestamp()[1], message.key(), message.value(), headers_of(message)),
    )


def headers_of(message: Message) -> tuple[Header, ...]:
    """Return a message's headers."""
    found = message.headers()
    return tuple(found) if found else ()


def arrived(consumer: Consumer, timeout_s: float, most: int) -> list[KafkaMessage]:
    """Wait for one message and take what came with it, `most` in all; `consume` alone would wait until it has as many."""
    first = consumer.poll(timeout_s)
    return [first, *consumer.consume(most - 1, 0)] if first is not None else []
