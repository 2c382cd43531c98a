"""The definitions on `xyra.config`, as a flow sees them: they stand still while a batch is at work."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from flows.core import topics
from flows.core.record import CONFIG_OFFSET
from flows.core.settings import Settings
from flows.wire.compacted import CompactedTopic

LOG: Final = logging.getLogger(__name__)
CATCH_UP_S: Final = 30.0
MOST_DIGITS: Final = 18
"""More digits than an offset has are a lie, and not worth reading."""

Readers = Mapping[str, Callable[[bytes], Any]]


class Definitions:
    """A view of `xyra.config`, read with the flow's own readers; each definition is read once, when it is first asked for."""

    def __init__(self, readers: Readers, orders: frozenset[str] = frozenset()) -> None:
        """Take the readers by kind; without any, nothing is followed and every definition is absent.

        Args:
            readers: make of a definition's text what the flow works with.
            orders: kinds that are something to be done, and not only looked up.

        """
        self._readers = readers
        self._orders = orders
        self.revision = 0
        """Grows with every change of an order."""
        self._texts: dict[str, bytes] = {}
        self._read: dict[str, Any] = {}
        self._topic: CompactedTopic | None = None

    @property
    def offset(self) -> int:
        """How far `xyra.config` has been read: all before it is in here."""
        return self._topic.position if self._topic else 0

    def get(self, kind: str, identifier: str) -> Any:
        """Return a definition as its reader made it; None when there is none, or it cannot be read."""
        key = f"{kind}/{identifier}"
        if key in self._read:
            return self._read[key]
        text = self._texts.get(key)
        if text is None:
            return None
        try:
            made = self._readers[kind](text)
        except ValueError as error:
            LOG.warning("The definition %s cannot be read and counts as absent: %s", key, error)
            made = None
        self._read[key] = made
        return made

    def names(self, kind: str) -> list[str]:
        """Return the identifiers of a kind's definitions, in order; goes through all definitions there are."""
        return sorted(key.removeprefix(f"{kind}/") for key in self._texts if key.startswith(f"{kind}/"))

    def follow(self, settings: Settings) -> None:
        """Read everything there is, and go on from there with each `poll`; blocks for up to 30 s.

        Raises:
            Unavailable: the topic could not be read to its end.

        """
        if self._readers:
            self._topic = CompactedTopic(settings, topics.CONFIG.name, self.apply)
            self._topic.catch_up(CATCH_UP_S)

    def poll(self) -> None:
        """Apply what has arrived; does not block."""
        if self._topic is not None:
            self._topic.poll(0)

    def reach(self, offset: int) -> None:
        """Read on until all before `offset` is applied, or the topic's end as of now: a producer may claim what is not there.

        Blocks for as long as the broker takes to answer, 30 s at most.

        Raises:
            Unavailable: the broker did not answer.

        """
        if self._topic is None or offset <= self._topic.position:
            return
        self._topic.catch_up(CATCH_UP_S)
        if offset > self._topic.position:
            LOG.warning("A record claims offset %d of %s, which ends at %d; it is taken as it is.", offset, topics.CONFIG.name, self._topic.position)

    def apply(self, key: str, text: bytes | None, _offset: int) -> None:
        """Take a record of the topic; public so that a test can hand in definitions without a broker."""
        self._read.pop(key, None)
        kind = key.partition("/")[0]
        if text is None:
            self._texts.pop(key, None)
        elif kind in self._readers:
            self._texts[key] = text
        self.revision += kind in self._orders

    def close(self) -> None:
        """Stop following."""
        if self._topic is not None:
            self._topic.close()
            self._topic = None


def claimed(headers: Iterable[tuple[str, bytes]]) -> int:
    """Return the config offset a record says it was accepted under, 0 when it says none or nonsense."""
    for name, value in headers:
        if name == CONFIG_OFFSET:
            return int(value) if (value or b"").isdigit() and len(value) <= MOST_DIGITS else 0
    return 0
