"""The slow work that fetches a file over HTTP, portion by portion: the connection stays open between two, and what was broken off is gone on with."""

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import orjson

from flows.core.clock import Clock
from flows.core.errors import Refused, WrongSetting
from flows.core.files.pieces import Piece
from flows.core.imports import fetching
from flows.core.imports.feed import Feed
from flows.core.imports.fetching import Same, Trouble
from flows.core.imports.staged import Brought, Staged
from flows.core.outbound.egress import Failure
from flows.core.settings import Settings
from flows.engine import Task
from flows.steps.reach import USUAL, Asked, Patience, Reach, read_back, troubled
from flows.wire.aside import aside
from flows.wire.egress import Egress, Stream
from flows.wire.vault import Vault

PORTION_BYTES: Final = 8 << 20
SLOWEST_BYTES_S: Final = 1024
"""A server that sends less, over a portion's time, is left for a while."""
MOST_KEPT: Final = 16
"""Connections that wait for the portion behind; the oldest gives way, and its file is gone on with by a new one."""
MOST_DIGESTS: Final = 256


@dataclass(slots=True)
class Download:
    """A file that is coming in."""

    stream: Stream
    feed: Feed
    staged: Staged
    rest: bytes
    """What was read already, and not fed."""
    timer: asyncio.TimerHandle | None = None

    async def take(self, patience_s: float) -> bytes | Failure:
        """Return the next bytes, nothing at the end, or why there are none."""
        rest, self.rest = self.rest, b""
        return rest or await self.stream.take(patience_s)

    def close(self) -> None:
        """Close its connection."""
        if self.timer is not None:
            self.timer.cancel()
        self.stream.close()


class Fetcher:
    """The handler; asynchronous, on one loop. What it remembers costs time if it is lost, and nothing else."""

    def __init__(self, egress: Egress, vault: Vault, settings: Settings, clock: Clock, agent: str, patience: Patience = USUAL) -> None:
        """Take the way out, what opens secrets, the bounds, the clock, how we name ourselves, and how long is waited."""
        self._reach = Reach(egress, vault, settings, clock, agent, patience)
        self._settings, self._clock, self._patience = settings, clock, patience
        self._kept: dict[str, Download] = {}
        self._digests: OrderedDict[str, tuple[int, hashlib._Hash]] = OrderedDict()

    async def __call__(self, task: Task) -> bytes:
        """Bring the next portion in: a request in, `Brought` out; takes as long as the server does, within bounds."""
        asked = Asked(**orjson.loads(task.payload))
        staged, begun = Staged.of(asked.staged), self._clock.monotonic()
        download = self._take(asked.upload, staged.at)
        if download is None:
            staged = staged._replace(calls=staged.calls + 1)
        try:
            brought = await self._portion(asked, staged, download)
        except Trouble as trouble:
            brought = troubled(trouble, staged)
        except (Refused, WrongSetting) as error:
            brought = Brought(staged, failed=error.detail)
        spent_ms = staged.spent_ms + round(1000 * (self._clock.monotonic() - begun))
        return brought._replace(staged=brought.staged._replace(spent_ms=spent_ms)).pack()

    def close(self) -> None:
        """Close all connections."""
        for download in self._kept.values():
            download.close()
        self._kept.clear()
        self._reach.close()

    async def _portion(self, asked: Asked, staged: Staged, download: Download | None) -> Brought:
        """Go on with what comes in, or begin; within the time that is left for the file."""
        url, most_s = fetching.shown(asked.source["url"]), self._settings.import_fetch_seconds
        left_s = most_s - staged.spent_ms / 1000
        try:
            async with asyncio.timeout(left_s):
                if staged.calls > fetching.MOST_CALLS:
                    raise Trouble(f"{url} broke off {fetching.MOST_CALLS:,} times; see why, then retry the job.")
                begun = download or await self._begin(asked, staged)
                return Brought(staged, same=True) if isinstance(begun, Same) else await self._taken(asked, begun)
        except TimeoutError:
            raise Trouble(f"{url} was not fetched within the {most_s:,} s of INTEGRATION_IMPORT_FETCH_SECONDS; retry the job to go on.") from None

    async def _begin(self, asked: Asked, staged: Staged) -> Download | Same:
        """Ask for the file from where it stands; where its server gives no parts, for all of it, and pass over what was brought in."""
        digest = await self._digest(asked, staged)
        found = await self._reach.open(asked, staged, staged.at if digest is not None else 0)
        if isinstance(found, Same):
            return found
        stream, begin = found
        try:
            rest = b""
            if digest is None or begin.start < staged.at:
                digest, rest = await self._reach.passed_over(stream, asked, staged)
            staged = staged._replace(etag=begin.etag, modified=begin.modified, resumable=begin.resumable, total=begin.total)
            name = unquote(fetching.shown(asked.source["url"]).rpartition("/")[2])
            return Download(stream, Feed(name, asked.source, asked.data_format, staged, digest), staged, rest)
        except BaseException:
            stream.close()
            raise

    async def _digest(self, asked: Asked, staged: Staged) -> "hashlib._Hash | None":
        """Return the sha256 of what was brought in, where the file can be gone on with behind it; None: it has to come from its beginning."""
        at, kept = self._digests.get(asked.upload, (-1, hashlib.sha256()))
        if not staged.at:
            return hashlib.sha256()
        if not staged.resumable:
            return None
        if at == staged.at:
            return kept.copy()
        found = await aside(read_back, self._settings, asked, staged.at) if asked.first >= 0 else None
        return found if found is not None and found.hexdigest() == staged.sha256 else None

    async def _taken(self, asked: Asked, download: Download) -> Brought:
        """Take a portion of what comes."""
        try:
            pieces, over, failure = await self._pieces(asked, download)
        except BaseException:
            download.close()
            raise
        feed = download.feed
        download.staged = staged = feed.staged(download.staged, over=over)
        self._digests[asked.upload] = (feed.at, feed.digest)
        self._digests.move_to_end(asked.upload)
        if len(self._digests) > MOST_DIGESTS:
            self._digests.popitem(last=False)
        if over or failure is not None:
            download.close()
        else:
            self._keep(asked.upload, download)
        return Brought(staged, pieces, later=fetching.failed(failure).later if failure is not None else None)

    async def _pieces(self, asked: Asked, download: Download) -> tuple[list[Piece], bool, Failure | None]:
        """Return the pieces of a portion, whether the file is over, and why no more comes for now."""
        loop, feed, most = asyncio.get_running_loop(), download.feed, self._settings.batch_import_max_file_size
        begun, size, pieces = loop.time(), 0, list[Piece]()
        while size < PORTION_BYTES and loop.time() - begun < self._patience.portion:
            block = await download.take(self._patience.block)
            if isinstance(block, Failure):
                return pieces, False, block
            pieces += feed.feed(block) if block else feed.finish()
            size += len(block)
            if feed.refused is not None:
                raise Trouble(feed.refused)
            if feed.fed > most:
                raise fetching.too_large(asked.source["url"], most)
            if not block:
                return pieces, True, None
        if size < SLOWEST_BYTES_S * self._patience.portion:
            return pieces, False, Failure("timed_out", f"{download.stream.authority} sends less than {SLOWEST_BYTES_S:,} bytes a second.")
        return pieces, False, None

    def _take(self, upload: str, at: int) -> Download | None:
        """Return the connection that brings the file from `at` on, if there is one."""
        download = self._kept.pop(upload, None)
        if download is None:
            return None
        if download.timer is not None:
            download.timer.cancel()
        if download.staged.at == at:
            return download
        download.close()
        return None

    def _keep(self, upload: str, download: Download) -> None:
        """Keep a connection open for the portion behind this one."""
        while len(self._kept) >= MOST_KEPT:
            self._kept.pop(next(iter(self._kept))).close()
        self._kept[upload] = download
        download.timer = asyncio.get_running_loop().call_later(self._patience.kept, self._drop, upload, download)

    def _drop(self, upload: str, download: Download) -> None:
        download.close()
        if self._kept.get(upload) is download:
            del self._kept[upload]
