"""One event loop in one thread, on which thousands of calls may hang."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from threading import Thread
from typing import Final

from flows.engine.work import Ended, Item, Task

END_S: Final = 1.0
"""How long calls may take to be cancelled; the worker is to be gone within two seconds."""

Call = Callable[[Task], Awaitable[bytes]]


class Loop:
    """Runs coroutines; starts its thread with the first of them. Used from one thread, which is not its own."""

    def __init__(self, tell: Callable[[Ended], object]) -> None:
        """Take whom to tell what has come of an item; called on the loop's thread."""
        self._tell = tell
        self._added: list[tuple[Item, Task, Call]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._last: list[Callable[[], None]] = []
        self._over = False

    def at_end(self, close: Callable[[], None]) -> None:
        """Call `close` on the loop when it ends."""
        self._last.append(close)

    def add(self, item: Item, task: Task, call: Call) -> None:
        """Take a call along with the next `flush`."""
        self._added.append((item, task, call))

    def flush(self) -> None:
        """Start what was added; does not block."""
        if not self._added:
            return
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = Thread(target=self._run, args=(self._loop,), name="calls", daemon=True)
            self._thread.start()
        added, self._added = self._added, []
        self._loop.call_soon_threadsafe(self._start, added)  # one wake-up for all of them

    def close(self) -> None:
        """Cancel what runs, which tells nobody, and end; blocks until that is done, for a second at most."""
        if self._loop is None or self._thread is None:
            return
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._end)
        self._thread.join(END_S)
        self._loop = None

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()
        loop.close()

    def _start(self, added: list[tuple[Item, Task, Call]]) -> None:
        for item, task, call in added:
            running = asyncio.get_running_loop().create_task(self._do(item, task, call))
            self._tasks.add(running)
            running.add_done_callback(self._tasks.discard)

    async def _do(self, item: Item, task: Task, call: Call) -> None:
        try:
            result = await call(task)
        except (Exception, asyncio.CancelledError) as error:  # whatever it is, the step that asked for the work decides what follows
            if self._over:
                raise
            self._tell(Ended(item, None, f"{type(error).__name__}: {error}"))
        else:
            self._tell(Ended(item, result, None))

    def _end(self) -> None:
        loop = asyncio.get_running_loop()
        self._over = True
        for task in self._tasks:
            task.cancel()
        self._ending = loop.create_task(self._finish())

    async def _finish(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(END_S / 2):
                await asyncio.gather(*self._tasks, return_exceptions=True)
        for close in self._last:
            close()
        await asyncio.sleep(0)  # transports that were closed say so in the next round
        asyncio.get_running_loop().stop()
