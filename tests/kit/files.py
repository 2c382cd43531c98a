"""Files over HTTP on this machine: a target that has one, gives parts of it or none, and breaks off where it is told to; and what fetches them."""

import asyncio
import contextlib
import hashlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.core.clock import Clock, SystemClock
from flows.core.files.pieces import Piece
from flows.core.imports.jobs import JobDefinition, StoredJob
from flows.core.imports.progress import Report
from flows.core.imports.run import Run
from flows.core.imports.staged import Brought, Staged
from flows.core.settings import Settings, load
from flows.engine import Task
from flows.steps.asks import ask_file
from flows.steps.fetch import Fetcher
from flows.steps.reach import USUAL, Patience
from flows.wire.egress import Egress
from flows.wire.vault import Vault
from ingress import jobs
from tests.kit.targets import Request, Talk, Target, read_request, target

HASTY = Patience(head=0.4, block=0.4, portion=20, kept=60)


@dataclass
class Served:
    """A file as a server has it; what is changed counts from the next request on."""

    data: bytes
    etag: str = '"one"'
    modified: str = ""
    ranges: bool = True
    length: int | None = None
    """What it says of its length; None: the truth, -1: nothing."""
    breaks: Sequence[int] = ()
    """How many bytes the first answers have before the connection breaks off."""
    status: Sequence[int] = ()
    """What the first answers say instead."""
    extra: str = ""
    """More header lines, each with its end."""
    every_s: float = 0.0
    """How long it rests behind each 64 KiB."""
    rests_at: int = sys.maxsize
    """Behind how many bytes it rests until `goes_on` is set."""
    goes_on: threading.Event = field(default_factory=threading.Event)
    asked: list[Request] = field(default_factory=list)
    sent: int = 0
    """Bytes of the body of the latest answer, so far."""

    async def talk(self, seen: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and close."""
        writer.transport.set_write_buffer_limits(1)  # so that `drain` waits until all is on its way
        request = await read_request(seen, reader)
        number, self.sent = len(self.asked), 0
        self.asked.append(request)
        if number < len(self.status):
            writer.write(b"HTTP/1.1 %d Said\r\n%sContent-Length: 6\r\n\r\nsecret" % (self.status[number], self.extra.encode()))
            await writer.drain()
            return
        at, status = self._begin(request)
        writer.write(self._head(at, status))
        end = self.breaks[number] if number < len(self.breaks) else len(self.data)
        for begin in range(at, at + end if end < len(self.data) else end, 65536):
            writer.write(self.data[begin : min(begin + 65536, at + end)])
            await writer.drain()
            self.sent = begin + 65536 - at
            await asyncio.sleep(self.every_s)
            if self.sent >= self.rests_at:
                await asyncio.to_thread(self.goes_on.wait, 60)

    def _begin(self, request: Request) -> tuple[int, int]:
        wanted = request.header("range")
        if request.header("if-none-match") == self.etag:
            return len(self.data), 304
        if wanted is None or not self.ranges or request.header("if-range") not in {self.etag, self.modified}:
            return 0, 200
        return int(wanted.removeprefix("bytes=").rstrip("-")), 206

    def _head(self, at: int, status: int) -> bytes:
        length = len(self.data) - at if self.length is None else self.length
        lines = [f"HTTP/1.1 {status} Said", *([f"Content-Length: {length}"] if length >= 0 and status != 304 else [])]
        lines += [f"Content-Range: bytes {at}-{len(self.data) - 1}/{len(self.data)}"] if status == 206 else []
        lines += [f"ETag: {self.etag}"] if self.etag else []
        lines += [f"Last-Modified: {self.modified}", "Date: Thu, 26 Nov 2026 10:00:00 GMT"] if self.modified else []
        return ("\r\n".join(lines) + "\r\n" + self.extra + "\r\n").encode()


@dataclass
class Fetching:
    """A job on a URL, and how far its file is."""

    order: StoredJob
    settings: Settings
    egress: Egress
    clock: Clock
    patience: Patience
    staged: Staged = field(default_factory=Staged)
    pieces: list[Piece] = field(default_factory=list)
    fetcher: Fetcher = field(init=False)

    def __post_init__(self) -> None:
        """Start."""
        self.again()

    def again(self) -> None:
        """Forget what a worker has in memory, as one that was killed."""
        self.fetcher = Fetcher(self.egress, Vault.load(self.settings), self.settings, self.clock, "xyra-integration/test", self.patience)

    async def portion(self, **known: str) -> Brought:
        """Fetch one portion, and take it."""
        run = Run(Report(job_id=self.order.job_id), f"{self.order.job_id}.1.{self.staged.anew}", former=known)
        payload = ask_file(self.order, run, self.staged, 0, -1)
        brought = Brought.unpack(await self.fetcher(Task(b"run", payload)))
        if brought.staged.anew != self.staged.anew:
            self.pieces.clear()
        self.staged = brought.staged
        self.pieces += brought.pieces
        return brought

    async def all(self, between: Callable[[], object] = lambda: None, most: int = 50) -> Brought:
        """Fetch portions until the file is over or the job would fail."""
        for _ in range(most):
            brought = await self.portion()
            if brought.failed is not None or brought.staged.over:
                return brought
            between()
        raise AssertionError(f"still not over after {most} portions: {self.staged}")

    @property
    def data(self) -> bytes:
        """The bytes of the pieces, which follow one another."""
        at = 0
        for piece in self.pieces:
            assert piece.start == at
            at += len(piece.data)
        return b"".join(piece.data for piece in self.pieces)


def fetching(
    url: str,
    egress: Egress,
    home: Path,
    *,
    headers: dict[str, str] | None = None,
    patience: Patience = USUAL,
    clock: Clock | None = None,
    source: dict[str, Any] | None = None,
    **settings: str,
) -> Fetching:
    """Order a job on a URL, as an ingress does."""
    made = load({}, data_dir=str(home), **settings)
    told = {"name": "j", "job_type": "one_time", "data_format": "csv", "source_config": {"url": url, "headers": headers, **(source or {})}}
    order = jobs.ordered("j-1", JobDefinition.model_validate(told), 0, Vault.load(made).seal)
    return Fetching(StoredJob.model_validate_json(jobs.text(order)), made, egress, clock or SystemClock(), patience)


@contextlib.contextmanager
def serving(talk: Talk) -> Iterator[Target]:
    """Run a target beside a test that is no coroutine."""
    loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    found: list[Target] = []

    async def run() -> None:
        async with target(talk) as seen:
            found.append(seen)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield found[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def rows(count: int, digits: int = 8) -> bytes:
    """Write a CSV of about 20 bytes a row; more digits make a large file of few rows."""
    return b"id,name,age\n" + b"".join(b"%0*d,name %d,%d\n" % (digits, n, n, n % 90) for n in range(count))


def sha256(data: bytes) -> str:
    """Return the digest that a file is known by."""
    return hashlib.sha256(data).hexdigest()
