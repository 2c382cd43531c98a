"""The slow work that brings an object of a store in, portion by portion, each read in one request; see `fetch` for HTTP."""

import hashlib
from collections import OrderedDict
from threading import Lock
from typing import Final

import orjson

from flows.core.errors import NotFound, Refused, Unavailable
from flows.core.files.pieces import Piece
from flows.core.imports import fetching
from flows.core.imports.feed import Feed
from flows.core.imports.fetching import Trouble
from flows.core.imports.staged import Brought, Staged
from flows.core.settings import Settings
from flows.engine import Task
from flows.steps.reach import Asked, troubled
from flows.wire.stores import Found, Store

PORTION_BYTES: Final = 8 << 20
BLOCK: Final = 256 * 1024
MOST_DIGESTS: Final = 256


class Collector:
    """The handler; several objects may be brought in at once. What it remembers costs time if it is lost, and nothing else."""

    def __init__(self, settings: Settings) -> None:
        """Take how large an object may be."""
        self._most = settings.batch_import_max_file_size
        self._lock = Lock()
        self._digests: OrderedDict[str, tuple[int, hashlib._Hash]] = OrderedDict()

    def __call__(self, task: Task) -> bytes:
        """Bring the next portion in: a request in, `Brought` out; blocks."""
        asked = Asked(**orjson.loads(task.payload))
        staged = Staged.of(asked.staged)
        try:
            return self._portion(asked, staged).pack()
        except Trouble as trouble:
            return troubled(trouble, staged).pack()
        except (NotFound, Refused, Unavailable) as error:
            attempts = fetching.WAITS.attempts if isinstance(error, Unavailable) else fetching.FEW
            return troubled(fetching.later(error.detail, attempts), staged).pack()

    def _portion(self, asked: Asked, staged: Staged) -> Brought:
        url = asked.source["url"]
        store = _store(url)
        found = store.look(url)
        if list(found.version) == asked.known.get("version"):
            return Brought(staged, same=True)
        _unchanged(url, found, staged)
        if found.size > self._most:
            raise fetching.too_large(url, self._most)
        feed = Feed(url.rpartition("/")[2], asked.source, asked.data_format, staged, self._digest(asked, staged, store))
        end = min(found.size, staged.at + PORTION_BYTES)
        data = store.read(url, staged.at, end) if end > staged.at else b""
        over = end == found.size
        _unchanged(url, store.look(url), staged._replace(at=1, version=found.version))
        pieces = _cut(feed, data, over=over)
        if feed.refused is not None:
            raise Trouble(feed.refused)
        self._remember(asked.upload, feed)
        return Brought(feed.staged(staged, over=over)._replace(version=found.version, total=found.size), pieces)

    def _digest(self, asked: Asked, staged: Staged, store: Store) -> "hashlib._Hash":
        """Return the sha256 of what was brought in; one that is not remembered is made of the object once more."""
        with self._lock:
            at, kept = self._digests.get(asked.upload, (-1, hashlib.sha256()))
        if at == staged.at:
            return kept.copy()
        digest = hashlib.sha256()
        for start in range(0, staged.at, PORTION_BYTES):
            digest.update(store.read(asked.source["url"], start, min(staged.at, start + PORTION_BYTES)))
        if staged.at and digest.hexdigest() != staged.sha256:
            raise Trouble(f"{asked.source['url']} was changed while it was fetched.", changed=True)
        return digest

    def _remember(self, upload: str, feed: Feed) -> None:
        with self._lock:
            self._digests[upload] = (feed.at, feed.digest)
            self._digests.move_to_end(upload)
            if len(self._digests) > MOST_DIGESTS:
                self._digests.popitem(last=False)


def _store(url: str) -> Store:
    """Return what reads a URL; a library that is not there is there for no later attempt, so that the job fails at once."""
    try:
        return Store(url.partition("://")[0].lower())
    except Refused as error:
        raise Trouble(error.detail) from error


def _unchanged(url: str, found: Found, staged: Staged) -> None:
    if staged.at and list(found.version) != list(staged.version):
        raise Trouble(f"{url} was changed while it was fetched.", changed=True)


def _cut(feed: Feed, data: bytes, *, over: bool) -> list[Piece]:
    pieces: list[Piece] = []
    for at in range(0, len(data), BLOCK):
        pieces += feed.feed(data[at : at + BLOCK])
    return pieces + feed.finish() if over else pieces
