"""The target of a storm over deliveries: one for all endpoints, in a thread of this process, which answers by dice."""

import asyncio
import random
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.kit.targets import Request, Target, read_request, target

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FAILS: Final = b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"
LATER: Final = b"HTTP/1.1 429 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
ANSWERS: Final = {"ok": OK, "fails": FAILS, "refuses": FAILS, "later": LATER}
FEW_EVERY: Final = 3
"""Every how manieth endpoint has few attempts."""
REFUSED_EVERY: Final = 4
"""Every how manieth event of such an endpoint its target refuses while it is in trouble: not so many that its breaker stays open for minutes."""
FATES: Final = {"ok": 80, "fails": 7, "later": 4, "hangs up": 3, "hangs": 2, "ok unheard": 4}
"""In percent. An opened breaker seldom gets through its ramp where more calls fail, and while it is open nothing is delivered, buried or replayed."""


class Event(NamedTuple):
    """What the id of a storm's event says."""

    endpoint: int
    key: str
    number: int

    @classmethod
    def read(cls, event_id: str) -> "Event":
        """Read `e<endpoint>-<key>-<number>`."""
        name, key, number = event_id.split("-")
        return cls(int(name[1:]), key, int(number))

    @property
    def few(self) -> bool:
        """Whether its endpoint makes few attempts."""
        return self.endpoint % FEW_EVERY == 0


@dataclass(slots=True)
class Seen:
    """What the target remembers: for each `webhook-id` when it was answered with 2xx."""

    delivered: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    answers: Counter[str] = field(default_factory=Counter)


class Receiver:
    """The target; `refuses` is for those with few attempts to be in trouble, `mended` for everything to go well from then on."""

    def __init__(self, seed: int) -> None:
        """Start it."""
        self.seen, self._dice = Seen(), random.Random(seed)
        self.refuses = self.mended = False
        self._loop, self._over, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
        self.url = ""

        async def serve() -> None:
            async with target(self._talk) as made:
                self.url = made.url
                ready.set()
                await self._over.wait()

        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(serve()), daemon=True)
        self._thread.start()
        ready.wait(10)

    async def _talk(self, seen: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await read_request(seen, reader)
            seen.requests.clear()  # a storm is long
            fate = self._fate(Event.read(request.header("webhook-id") or ""))
            self.seen.answers[fate] += 1
            if fate in {"ok", "ok unheard"}:
                self._note(request)
            if fate == "hangs":
                await asyncio.sleep(5)
            if fate in {"hangs up", "hangs", "ok unheard"}:
                return
            writer.write(ANSWERS[fate])

    def _fate(self, event: Event) -> str:
        if self.mended:
            return "ok"
        if self.refuses and event.few and event.number % REFUSED_EVERY == 0:
            return "refuses"
        return self._dice.choices([*FATES], [*FATES.values()])[0]

    def _note(self, request: Request) -> None:
        self.seen.delivered[request.header("webhook-id") or ""].append(time.time())

    def close(self) -> None:
        """Stop it."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        self._loop.close()
