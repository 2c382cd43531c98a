"""The supervisor's side of `loaded`: workers are forked from a process that has loaded what they run, so each starts in a tenth of the time."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Final

import orjson

from deploy.local.processes import Identity, dying_with_parent, identify
from flows.core.errors import Unavailable
from flows.core.files.forks import CODE, NUMBER

MODULE: Final = "deploy.local.loaded"
BEGINS_S: Final = 60.0
"""The first one waits until everything is loaded."""
TOLD_S: Final = 1.0
LEAVE_S: Final = 5.0


class Forked:
    """One process; as asyncio's own, for one that is nobody's child here."""

    def __init__(self, pid: int, handle: int, channel: socket.socket) -> None:
        """Take its number, a handle of it (a pidfd), and the socket on which its exit code comes."""
        self.pid = pid
        self.returncode: int | None = None
        self._handle, self._channel = handle, channel

    def send_signal(self, number: int) -> None:
        """Send it a signal.

        Raises:
            ProcessLookupError: it has ended.

        """
        if self._handle < 0:
            raise ProcessLookupError
        signal.pidfd_send_signal(self._handle, number)

    async def wait(self) -> int:
        """Wait until it has ended, and return its exit code, -N for signal N; to be called once."""
        await _readable(self._handle)
        told = b""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(TOLD_S):
                await _readable(self._channel.fileno())
            told = self._channel.recv(CODE.size)
        # Nobody is left who knows where its parent was killed: it was told to leave then.
        self.returncode = CODE.unpack(told)[0] if told else -int(signal.SIGTERM)
        self._channel.close()
        os.close(self._handle)
        self._handle = -1
        return self.returncode or 0


class ForkServer:
    """Starts workers; lives in the supervisor's event loop. The process that forks them is started when the first is asked for, and anew when it has died."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        """Take what every process has as its environment, and where the one that loads writes what it has to say."""
        self._environment, self._log = environment, log
        self._starting = asyncio.Lock()
        self._process: Process | None = None
        self._control: socket.socket | None = None
        self._before_program = dying_with_parent()
        self.identity: Identity | None = None
        """Of the process that forks."""

    async def fork(self, arguments: Sequence[str], out: IO[bytes]) -> Forked:
        """Run `xyra` with these arguments in a process of its own, which writes to `out`; waits until it has begun.

        Raises:
            Unavailable: it could not begin; another try starts what forks it anew.

        """
        channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ExitStack() as unused:
            unused.enter_context(channel)
            try:
                with theirs:
                    await self._request(arguments, out, theirs)
                async with asyncio.timeout(BEGINS_S):
                    await _readable(channel.fileno())
                told, handles, *_ = socket.recv_fds(channel, NUMBER.size, 1)
            except (OSError, TimeoutError) as error:
                raise Unavailable(f"No process can be forked for `xyra {' '.join(arguments)}`: {str(error) or 'no answer'}. Log: {self._log}") from error
            if not told:
                raise Unavailable(f"The process that forks workers ended before `xyra {' '.join(arguments)}` had begun. Its log: {self._log}")
            unused.pop_all()
        return Forked(NUMBER.unpack(told)[0], handles[0], channel)

    async def _request(self, arguments: Sequence[str], out: IO[bytes], channel: socket.socket) -> None:
        """Ask for a process; of another one that forks, where the first has just been killed, which nobody has told us yet."""
        try:
            _ask(await self._live(), arguments, out, channel)
        except (BrokenPipeError, ConnectionResetError):
            await self.close()
            _ask(await self._live(), arguments, out, channel)

    async def close(self) -> None:
        """Let the process that forks end; what it has forked has ended."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None and self._process.returncode is None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), LEAVE_S)
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        self.identity = None

    async def _live(self) -> socket.socket:
        """Return where to ask."""
        async with self._starting:
            if self._control is None or self._process is None or self._process.returncode is not None:
                await self.close()
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                command = [sys.executable, "-P", "-m", MODULE]
                with theirs, self._log.open("ab") as out:
                    self._process = await asyncio.create_subprocess_exec(
                        *command, stdin=theirs.fileno(), stdout=out, stderr=out, env=self._environment, start_new_session=True, preexec_fn=self._before_program
                    )
                self._control, self.identity = ours, identify(self._process.pid)
            return self._control


def _ask(control: socket.socket, arguments: Sequence[str], out: IO[bytes], channel: socket.socket) -> None:
    with Path(os.devnull).open("rb") as nothing:
        request = orjson.dumps({"directory": str(Path.cwd()), "arguments": arguments})
        socket.send_fds(control, [request], [nothing.fileno(), out.fileno(), out.fileno(), channel.fileno()])


async def _readable(number: int) -> None:
    """Wait until something can be read from a file, or its other end is gone."""
    loop = asyncio.get_running_loop()
    come = asyncio.Event()
    loop.add_reader(number, come.set)
    try:
        await come.wait()
    finally:
        loop.remove_reader(number)
