"""Host names: resolved off the event loop, every address judged, and remembered for a short while."""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Thread
from typing import Final, NamedTuple

from flows.core.clock import Clock
from flows.core.outbound.egress import Failure, Policy, Refusal, Vetted

KEPT_S: Final = 30.0
"""How long an answer holds: a target that moves is found again soon, and a burst to one target asks once."""
FAILED_KEPT_S: Final = 3.0
"""How long a failure holds."""
MOST_NAMES: Final = 4096
"""Names remembered; the oldest gives way."""
MOST_LOOKUPS: Final = 32
"""Look-ups running at once, each in a thread of its own; a name whose servers never answer holds one for as long as the system's resolver tries."""

Resolve = Callable[[str], Sequence[str]]
"""Takes a name and gives all its addresses as text; blocks; raises OSError when there are none."""
Found = Vetted | Refusal | Failure


def system_addresses(name: str) -> list[str]:
    """Ask the system's resolver for all addresses of a name, in its order of preference; blocks for up to half a minute.

    Raises:
        OSError: there are none, or nobody answered.

    """
    return [str(found[4][0]) for found in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]


class _LookUp(NamedTuple):
    """A name that is being asked for, or is going to be."""

    begun: asyncio.Event
    answer: asyncio.Task[Found]


class Names:
    """Knows the addresses of names, for one event loop. What is remembered is gone with the process."""

    def __init__(self, policy: Policy, clock: Clock, resolve: Resolve = system_addresses) -> None:
        """Begin with nothing known.

        Args:
            policy: judges addresses.
            clock: says when what is known has grown old.
            resolve: asks for addresses, in a thread.

        """
        self._policy = policy
        self._monotonic = clock.monotonic
        self._resolve = resolve
        self._known: OrderedDict[str, tuple[float, Found]] = OrderedDict()
        self._asking: dict[str, _LookUp] = {}
        self._threads = asyncio.Semaphore(MOST_LOOKUPS)

    def known(self, name: str) -> Found | None:
        """Return what is known of a name, and None where it has to be asked for; does not block."""
        until, found = self._known.get(name, (0.0, None))
        return found if self._monotonic() < until else None

    async def turn(self, name: str) -> None:
        """Wait until the look-up of a name begins, which it does when few enough others are running; it goes on by itself."""
        await self._look_up(name).begun.wait()

    async def ask(self, name: str) -> Found:
        """Resolve a name and judge its addresses; those who ask for one name at once share the answer.

        Cancelling leaves the look-up running: its answer is kept for the next one who asks.
        """
        return await asyncio.shield(self._look_up(name).answer)

    def _look_up(self, name: str) -> "_LookUp":
        found = self._asking.get(name)
        if found is None:
            begun = asyncio.Event()
            found = self._asking[name] = _LookUp(begun, asyncio.create_task(self._ask(name, begun)))
            found.answer.add_done_callback(lambda _: self._asking.pop(name, None))
        return found

    async def _ask(self, name: str, begun: asyncio.Event) -> Found:
        async with self._threads:
            begun.set()
            addresses = await _in_thread(self._resolve, name)
        found: Found
        if addresses:
            found = self._policy.vet(name, addresses)
        else:
            found = Failure("dns_failed", f"The name {name} was not resolved: it does not exist, has no address, or no name server answered.")
        self._known.pop(name, None)  # to the end of the line
        while len(self._known) >= MOST_NAMES:
            self._known.popitem(last=False)
        self._known[name] = (self._monotonic() + (FAILED_KEPT_S if isinstance(found, Failure) else KEPT_S), found)
        return found


async def _in_thread(resolve: Resolve, name: str) -> Sequence[str]:
    """Resolve in a thread that does not hold up the end of the process, as those of an executor do; nothing means that it failed."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Sequence[str]] = loop.create_future()

    def done(addresses: Sequence[str]) -> None:
        if not future.done():
            future.set_result(addresses)

    def run() -> None:
        addresses: Sequence[str] = ()
        with suppress(OSError, UnicodeError):
            addresses = resolve(name)
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(done, addresses)

    Thread(target=run, name="resolve", daemon=True).start()
    return await future
