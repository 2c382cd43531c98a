"""Room for a few blocking calls to Kafka at once."""

import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from flows.core.errors import Unavailable
from flows.wire.aside import aside

P = ParamSpec("P")
T = TypeVar("T")


class Room:
    """Room for a few blocking calls at once: those that read much are not to crowd out the webhooks."""

    def __init__(self, places: int, what: str, retry_after_s: int) -> None:
        """Take how many there may be, what they are for a person, and when to come again."""
        self._places = threading.BoundedSemaphore(places)
        self._what, self._retry_after_s = what, retry_after_s

    async def aside(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do as `aside` does; the place is held until the call has ended, whoever still waits for it.

        Raises:
            Unavailable: all places are taken.

        """
        if not self._places.acquire(blocking=False):
            raise Unavailable(f"{self._what} at once are as many as there may be; ask again.", retry_after_s=self._retry_after_s)

        def work() -> T:
            try:
                return function(*args, **kwargs)
            finally:
                self._places.release()

        return await aside(work)
