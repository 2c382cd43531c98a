"""A message of the test route's on its way through the hot path."""

import asyncio
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from flows.core.errors import Unavailable
from flows.wire.produce import Delivery

ACK_S: Final = 4.0
"""How long the broker is waited for, which may be shorter than for a webhook: somebody sits before the answer, and is promised one within 5 s."""


class Landed(NamedTuple):
    """A test's webhook that is on the log."""

    event_id: str
    delivery: Delivery
    secret_id: str


@dataclass(frozen=True, slots=True)
class Probe:
    """Goes with a message of the test route's; nothing that comes over the network has one. Such a message is traced."""

    trust: bool
    """Take it without a signature: the endpoint holds only a public key, so that none can be made here."""
    landed: list[Landed] = field(default_factory=list)
    """Where it came to stand, once it has."""

    async def acknowledged(self, sent: "asyncio.Future[Delivery]") -> Delivery:
        """Wait for the broker; raises what `sent` does, and Unavailable when that takes too long."""
        try:
            async with asyncio.timeout(ACK_S):
                return await sent
        except TimeoutError as error:
            raise Unavailable(f"Kafka did not acknowledge within {ACK_S:g} s; the event may land all the same.", retry_after_s=5) from error
