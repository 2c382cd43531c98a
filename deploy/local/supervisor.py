"""The supervisor: starts the parts, starts again what dies, stops everything in order.

Its parts are its children and die with it; each of them is also written down (`record.py`), so that where one outlives a
supervisor killed by SIGKILL the next start finds and stops it. Nothing that matters is kept in here: a crash at any point
loses no record, since the parts commit to Kafka and Kafka to disk.
"""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import IO, Any, Final, get_args

from deploy.local import logs, record
from deploy.local.backoff import Backoff
from deploy.local.exits import LASTING, error_for, meaning
from deploy.local.forkserver import Forked, ForkServer
from deploy.local.parts import Part, Say, Stage, log_path
from deploy.local.place import Place
from deploy.local.processes import Identity, dying_with_parent, identify
from deploy.local.record import PartRecord, StackRecord
from flows.core.clock import Clock
from flows.core.errors import Unavailable, XyraError

START_TIMEOUT_S: Final = 90.0
PROBE_EVERY_S: Final = 0.05
RECHECK_EVERY_S: Final = 3.0
TRIM_EVERY_S: Final = 5.0
FORKSERVER: Final = "forkserver"


class Child:
    """One part as it is kept running."""

    def __init__(self, part: Part, clock: Clock) -> None:
        """Start with nothing running."""
        self.part = part
        self.backoff = Backoff(clock)
        self.process: Process | Forked | None = None
        self.record = PartRecord(part.name, "starting", url=part.url)
        self.ready = asyncio.Event()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal if it runs."""
        if self.process and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)


class Supervisor:
    """Runs the parts until it is told to stop by SIGINT, SIGTERM or `stop`; lives in one event loop."""

    def __init__(self, place: Place, environ: Mapping[str, str], clock: Clock, say: Say) -> None:
        """Nothing runs before `run`."""
        self._place = place
        self._environment = place.child_environment(environ)
        self._clock = clock
        self._say = say
        self._children: list[Child] = []
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()
        self._record = StackRecord(identify(os.getpid()) or Identity(os.getpid(), 0.0, ()), "starting", place.told())
        self._before_program = dying_with_parent()
        self._forks = ForkServer(self._environment, log_path(place.settings, FORKSERVER))

    async def run(self, parts: list[Part], between: Callable[[], object], on_ready: Callable[[StackRecord], Awaitable[None]]) -> None:
        """Start `parts`, keep them, and stop them in order when told to.

        Args:
            parts: what to run.
            between: called once the stores are ready (makes the topics); may block.
            on_ready: called once, when every part is ready.

        Raises:
            XyraError: a part could not be started; everything that was started has been stopped again.

        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        self._children = [Child(part, self._clock) for part in parts]
        began = self._clock.monotonic()
        start = asyncio.create_task(self._start(between))
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([start, stopped], return_when=asyncio.FIRST_COMPLETED)
            if start.done():
                start.result()
                self._write(state="ready", seconds_to_ready=self._clock.monotonic() - began)
                await on_ready(self._record)
                await self._housekeeping()
        finally:
            start.cancel()
            stopped.cancel()
            await self._stop_all()

    def stop(self) -> None:
        """Stop in order; told a second time, at once."""
        if self._stopping.is_set():
            for child in self._children:
                child.signal(signal.SIGKILL)
        self._stopping.set()

    async def _start(self, between: Callable[[], object]) -> None:
        # All at once: workers and door load their code while the stores come up, and wait for them by themselves.
        self._keepers = {child.part.name: asyncio.create_task(self._keep(child)) for child in self._children}
        await self._all_ready("stores")
        await asyncio.to_thread(between)
        await self._all_ready("workers", "door")

    def _of(self, *stages: Stage) -> list[Child]:
        return [child for child in self._children if child.part.stage in stages]

    async def _all_ready(self, *stages: Stage) -> None:
        for child in self._of(*stages):
            keeper, ready = self._keepers[child.part.name], asyncio.create_task(child.ready.wait())
            await asyncio.wait([ready, keeper], timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
            if keeper.done():
                keeper.result()
            if not child.ready.is_set():
                raise Unavailable(f"{child.part.name} was not ready within {START_TIMEOUT_S:.0f} s. {self._log_says(child)}")

    async def _keep(self, child: Child) -> None:
        """Run one part again and again until the supervisor stops; raises when it cannot even start once."""
        while not self._stopping.is_set():
            try:
                why, lasting = await self._once(child)
            except XyraError as error:
                why, lasting = error.detail, error
            if self._stopping.is_set():
                break
            if lasting and not child.ready.is_set():
                raise lasting
            delay = child.backoff.died()
            self._set(child, state="waiting", identity=None, restarts=child.record.restarts + 1, last_exit=why)
            when = f"in {delay:g} s" if delay else "now"
            self._say(f"{child.part.name} died ({why}); starting it again {when}. Its log: {log_path(self._place.settings, child.part.name)}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
        self._set(child, state="stopped", identity=None)

    async def _once(self, child: Child) -> tuple[str, XyraError | None]:
        """Run one part once; return why it ended, and an error if another start would not mend that."""
        command = await asyncio.to_thread(child.part.command)
        if self._stopping.is_set():
            return "", None
        log = log_path(self._place.settings, child.part.name)
        logs.trim(log)
        with log.open("ab") as out:
            child.process = process = await self._begun(child.part, command, out)
        began = self._clock.monotonic()
        self._set(child, state="starting", identity=identify(process.pid))
        watch = asyncio.create_task(self._watch(child, began))
        code = await process.wait()
        watch.cancel()
        why = meaning(code)
        return why, error_for(code, f"{child.part.name} could not start. {self._log_says(child)}") if code in LASTING else None

    async def _begun(self, part: Part, command: list[str], out: IO[bytes]) -> Process | Forked:
        if part.forked:
            return await self._forks.fork(command, out)
        return await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=out, stderr=out, env=self._environment, start_new_session=True, preexec_fn=self._before_program
        )

    async def _watch(self, child: Child, began: float) -> None:
        while not await asyncio.to_thread(child.part.ready):  # noqa: ASYNC110  another process becomes ready; nothing here could set an event
            await asyncio.sleep(PROBE_EVERY_S)
        child.backoff.ready()
        child.ready.set()
        self._set(child, state="ready")
        again = " again" if child.record.restarts else ""
        self._say(f"{child.part.name} ready{again} after {self._clock.monotonic() - began:.1f} s")
        while True:
            await asyncio.sleep(RECHECK_EVERY_S)
            ready = await asyncio.to_thread(child.part.ready)
            if self._stopping.is_set():
                return  # it leaves, and need not be ready
            if ready != (child.record.state == "ready"):
                self._set(child, state="ready" if ready else "unready")
                self._say(f"{child.part.name} is ready again" if ready else f"{child.part.name} runs, and says that it is not ready: {child.part.url}")
            if not ready and await asyncio.to_thread(child.part.hangs):
                self._say(f"{child.part.name} says that it stands still; killed")
                child.signal(signal.SIGKILL)

    async def _housekeeping(self) -> None:
        while not self._stopping.is_set():
            for child in self._children:
                logs.trim(log_path(self._place.settings, child.part.name))
                if self._keepers[child.part.name].done():
                    self._keepers[child.part.name].result()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), TRIM_EVERY_S)

    async def _stop_all(self) -> None:
        self._stopping.set()
        for stage in get_args(Stage):
            children = [child for child in self._of(stage) if child.part.name in self._keepers]
            if children:
                self._say(f"Stopping {', '.join(child.part.name for child in children)}")
            await asyncio.gather(*(self._stop(child) for child in children))
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)  # the first error was told; those of others have the same cause
        await self._forks.close()
        self._write(state="stopped")

    async def _stop(self, child: Child) -> None:
        keeper = self._keepers[child.part.name]
        child.signal(signal.SIGTERM)
        await asyncio.wait([keeper], timeout=child.part.patience_s)
        if not keeper.done():
            self._say(f"{child.part.name} did not leave within {child.part.patience_s:.0f} s; killed")
            child.signal(signal.SIGKILL)
        await asyncio.wait([keeper])

    def _log_says(self, child: Child) -> str:
        log = log_path(self._place.settings, child.part.name)
        return f"The end of its log ({log}): {logs.tail(log, 5) or 'nothing'}"

    def _set(self, child: Child, **changes: Any) -> None:
        child.record = replace(child.record, **changes)
        self._write()

    def _write(self, **changes: Any) -> None:
        parts = [child.record for child in self._children]
        if self._forks.identity:
            parts.append(PartRecord(FORKSERVER, "ready", self._forks.identity))
        self._record = replace(self._record, parts=tuple(parts), **changes)
        record.write(self._place.settings.data_dir, self._record)
