"""Runs work items: each lane in order of submission, a few at once."""

import inspect
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, cast

from flows.engine.loop import Loop
from flows.engine.work import Ended, Handler, Item, Task

THREADS: Final = 256
"""Handlers that are no coroutines, across all lanes; a lane has its own, much lower, limit."""
CALLS: Final = 4096
"""Coroutines, across all lanes: each holds a connection, most likely."""


class Lanes:
    """Runs items on threads of its own, coroutines on one loop in a thread of its own.

    Everything but the handlers runs on the thread that runs the flow. Nothing here keeps the process alive.
    """

    def __init__(self, slots: int) -> None:
        """Take how many items of a lane run at once where they do not say it themselves."""
        self._handlers: dict[str, Handler] = {}
        self._slots = slots
        self._lanes: dict[str, deque[Item]] = {}
        self._running: dict[str, int] = {}
        self._calling = self._labouring = self._threads = 0
        self._jobs: SimpleQueue[tuple[Item, Task]] = SimpleQueue()
        self._ended: SimpleQueue[Ended] = SimpleQueue()
        self._closing: list[Callable[[], None]] = []
        self._loop: Final = Loop(self._ended.put)

    @property
    def running(self) -> int:
        """Items that run now."""
        return self._calling + self._labouring

    def handle(self, kind: str, handler: Handler, close: Callable[[], None] | None = None) -> None:
        """Let `handler` do the items of a kind; `close` is called at the end, for what it has opened: of an `async` one on the loop, if that ever ran."""
        self._handlers[kind] = handler
        if close is not None and self._is_async(kind):
            self._loop.at_end(close)
        elif close is not None:
            self._closing.append(close)

    def add(self, item: Item) -> None:
        """Queue an item behind the others of its lane."""
        self._lanes.setdefault(item.lane, deque()).append(item)

    def start(self, task_of: Callable[[Item], Task | None]) -> None:
        """Start what has a free slot, the lanes in turn; an item that has no task any more is passed over."""
        for lane in [*self._lanes]:
            queue = self._lanes.pop(lane)
            while queue and self._free(queue[0]):
                item = queue.popleft()
                task = task_of(item)
                if task is not None:
                    self._begin(item, task)
            if queue:
                self._lanes[lane] = queue  # behind the others, so that each has its turn where all slots are taken
        self._loop.flush()

    def ended(self) -> Iterator[Ended]:
        """Give what has ended since, one at a time; what is not taken stays."""
        while True:
            try:
                ended = self._ended.get_nowait()
            except Empty:
                return
            lane = ended.item.lane
            self._running[lane] -= 1
            if not self._running[lane]:
                del self._running[lane]
            if self._is_async(ended.item.kind):
                self._calling -= 1
            else:
                self._labouring -= 1
            yield ended

    def close(self) -> None:
        """Cancel the coroutines that run and end their loop; what is on a thread ends with the process. Blocks for a second at most."""
        self._lanes.clear()
        for close in self._closing:
            close()
        self._loop.close()

    def _free(self, item: Item) -> bool:
        slots = self._slots if item.slots is None else item.slots
        all_of_them = self._calling < CALLS if self._is_async(item.kind) else self._labouring < THREADS
        return all_of_them and self._running.get(item.lane, 0) < slots

    def _is_async(self, kind: str) -> bool:
        handler = self._handlers.get(kind)
        return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004  an object whose call is async

    def _begin(self, item: Item, task: Task) -> None:
        self._running[item.lane] = self._running.get(item.lane, 0) + 1
        if self._is_async(item.kind):
            self._calling += 1
            self._loop.add(item, task, cast("Any", self._handlers[item.kind]))
            return
        self._labouring += 1
        self._jobs.put((item, task))
        if self._threads < self._labouring:
            self._threads += 1
            Thread(target=self._labour, name=f"work-{self._threads}", daemon=True).start()

    def _labour(self) -> None:
        while True:
            item, task = self._jobs.get()
            self._ended.put(_do(item, task, self._handlers))


def _do(item: Item, task: Task, handlers: Mapping[str, Handler]) -> Ended:
    handler = cast("Callable[[Task], bytes] | None", handlers.get(item.kind))
    if handler is None:
        return Ended(item, None, f"nothing in this flow does work of the kind {item.kind!r}")
    try:
        return Ended(item, handler(task), None)
    except Exception as error:  # noqa: BLE001  whatever it is, the step that asked for the work decides what follows
        return Ended(item, None, f"{type(error).__name__}: {error}")
