"""Writes of definitions: decided on the latest state, one at a time over all ingress processes, answered once the own view has them."""

import asyncio
import random
from collections.abc import Callable
from time import monotonic
from typing import Final

from flows.core.errors import Unavailable, XyraError
from flows.core.resources import WEBHOOK, StoredWebhook, config_key
from flows.core.settings import Settings
from flows.wire.aside import aside
from flows.wire.exclusive import Overtaken, Turn
from ingress.orders import OrdersView
from ingress.view import Definitions, Followed

PATIENCE_S: Final = 10.0
BACKOFF_S: Final = 0.2
"""Longest first pause after another process has taken the turn; random, so that two do not go on taking it from each other."""

Decide = Callable[[StoredWebhook | None], StoredWebhook]
"""From what stands there to what shall stand there; raises a `Refused` to write nothing."""

DecideOrder = Callable[[bytes | None], bytes | None]
"""The same for an order; None is no order any more."""


class Registrar:
    """Changes definitions. Two writers never both win: the decision of each is made on the other's record (see `Turn`).

    A crash between the write and the answer leaves a definition that its caller was not told of: the same register
    then answers 409, and a GET shows what stands there.
    """

    def __init__(self, settings: Settings, followed: Followed, definitions: Definitions, orders: OrdersView) -> None:
        """Take the follower of `xyra.config` and the views it fills."""
        self._settings = settings
        self._followed = followed
        self._definitions = definitions
        self._orders = orders
        self._one_at_a_time = asyncio.Lock()
        self._turn: Turn | None = None
        """Held from one write to the next, as long as nobody else writes; the view is at the topic's end then."""

    async def change(self, endpoint_id: str, decide: Decide) -> StoredWebhook:
        """Write what `decide` makes of the definition as it stands, and return it; waits 10 s at most.

        Raises:
            Unavailable: the broker is away or slow; whether the change was made shows in a GET.
            Refused: what `decide` raised; nothing was written.

        """
        made: list[StoredWebhook] = []

        def make() -> bytes:
            made.append(decide(self._definitions.stored(endpoint_id)))
            return made[-1].model_dump_json(by_alias=True).encode()  # with what is null: it may stand for something else than what is absent

        await self._write(config_key(WEBHOOK, endpoint_id), make, lambda: self._definitions.raw(endpoint_id))
        return made[-1]

    async def order(self, key: str, decide: DecideOrder) -> None:
        """Write what `decide` makes of an order as it stands, None to end it; waits and raises as `change` does."""
        await self._write(key.encode(), lambda: decide(self._orders.raw(key)), lambda: self._orders.raw(key))

    async def _write(self, key: bytes, make: Callable[[], bytes | None], stands: Callable[[], bytes | None]) -> None:
        until = monotonic() + PATIENCE_S
        async with self._one_at_a_time:
            for attempt in range(1000):
                try:
                    return await self._attempt(key, make, stands, until)
                except Overtaken:
                    if monotonic() >= until:
                        break
                    await asyncio.sleep(random.uniform(0, BACKOFF_S * min(attempt + 1, 5)))  # noqa: S311  spreads load, keeps no secret
        raise Unavailable(f"The definition {key.decode()} could not be written within {PATIENCE_S:g} s: others are writing, or Kafka is slow.", retry_after_s=5)

    async def _attempt(self, key: bytes, make: Callable[[], bytes | None], stands: Callable[[], bytes | None], until: float) -> None:
        turn, self._turn = self._turn or await self._take(until), None
        try:
            mine = make()
        except XyraError:
            self._turn = turn  # nothing was written, so the turn is as good as before
            raise
        try:
            offset = await aside(turn.write, key, mine, _left(until))
        except Overtaken:
            # It may have been written all the same. The next turn settles that, and then the view shows it.
            self._turn = await self._take(until)
            if stands() == mine:
                return
            raise
        await self._followed.reached(offset + 1, _left(until))
        self._turn = turn

    async def _take(self, until: float) -> Turn:
        turn = await aside(Turn, self._settings, self._followed.topic.topic, _left(until))
        end = await aside(self._followed.topic.end, _left(until))
        await self._followed.reached(end, _left(until))
        return turn


def _left(until: float) -> float:
    return max(0.1, until - monotonic())
