"""Reaches a file over HTTP: its secrets opened, redirects followed, what was brought in already passed over."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from flows.core import topics
from flows.core.clock import Clock
from flows.core.errors import Unavailable
from flows.core.files.pieces import Piece
from flows.core.imports import fetching
from flows.core.imports.fetching import Begin, Same, Trouble
from flows.core.imports.jobs import source_context
from flows.core.imports.shelf import UPLOAD, NotAPiece, read
from flows.core.imports.staged import Brought, Later, Staged
from flows.core.outbound.egress import Failure, Outgoing
from flows.core.settings import Settings
from flows.wire.egress import Egress, Stream
from flows.wire.strand import Strand
from flows.wire.vault import Vault

LAST_OFFSET: Final = (1 << 63) - 1


class Patience(NamedTuple):
    """How long is waited, in seconds."""

    head: float = 30.0
    """For an answer's head."""
    block: float = 30.0
    """For the next bytes."""
    portion: float = 15.0
    """For a portion; what has come by then is one."""
    kept: float = 60.0
    """For somebody to ask for the portion behind it; then the connection is closed."""


USUAL: Final = Patience()


class Asked(NamedTuple):
    """A request, as `flows.steps.asks` writes it."""

    job_id: str
    upload: str
    source: Mapping[str, Any]
    data_format: str
    sealed: str | None
    staged: Mapping[str, Any]
    partition: int
    first: int
    """The offset of the file's first piece on `xyra.uploads`; -1: not known."""
    known: Mapping[str, Any]
    """`{"etag", "modified"}` of the file that an earlier run has read, or `{"version"}` of the object; as its `Staged` has them."""


class Reach:
    """Opens files for a worker, on one loop."""

    def __init__(self, egress: Egress, vault: Vault, settings: Settings, clock: Clock, agent: str, patience: Patience) -> None:
        """Take the way out, what opens secrets, the bounds, the clock, how we name ourselves, and how long is waited."""
        self._egress, self._vault, self._settings, self._clock, self._agent, self._patience = egress, vault, settings, clock, agent, patience

    def close(self) -> None:
        """Let go of the way out."""
        self._egress.close()

    async def open(self, asked: Asked, staged: Staged, at: int) -> tuple[Stream, Begin] | Same:
        """Ask for the file from `at` on, wherever that leads; each URL on the way is judged as the first one. Whoever gets a stream closes it.

        Raises:
            Trouble: there is no file.
            WrongSetting: its secrets were sealed with another key.

        """
        url, own = self._opened(asked)
        most = self._settings.batch_import_max_file_size
        for _ in range(fetching.MOST_REDIRECTS + 1):
            headers = (*own, *fetching.conditions(staged, at, asked.known))
            found = await self._egress.open(Outgoing("GET", url, headers, deadline_s=self._patience.head, keep_bytes=most + 1))
            if not isinstance(found, Stream):
                raise fetching.failed(found)
            try:
                judged = fetching.judge(url, found.status, found.headers, staged, at, most, self._clock.now_ms())
            except Trouble:
                found.close()
                raise
            if isinstance(judged, Begin):
                return found, judged
            found.close()
            if isinstance(judged, Same):
                return judged
            url, own = judged.url, own[:1] if judged.stranger else own
        raise Trouble(f"{fetching.shown(asked.source['url'])} redirects more than {fetching.MOST_REDIRECTS} times; give the URL it leads to.")

    def _opened(self, asked: Asked) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Return a job's URL and its headers as they are, how we name ourselves first; raises WrongSetting where the key is another."""
        agent = ("User-Agent", self._agent)
        if asked.sealed is None:
            return asked.source["url"], (agent,)
        found = orjson.loads(self._vault.open(asked.sealed, source_context(asked.job_id)))
        own = tuple(found["headers"].items())
        return found["url"], (*(() if any(name.lower() == "user-agent" for name, _ in own) else (agent,)), *own)

    async def passed_over(self, stream: Stream, asked: Asked, staged: Staged) -> tuple["hashlib._Hash", bytes]:
        """Read what was brought in once more; returns its sha256, and what was read behind it.

        Raises:
            Trouble: it is not what it was, or broke off.

        """
        rest = b""
        digest, left = hashlib.sha256(), staged.at
        while left:
            block = await stream.take(self._patience.block)
            if isinstance(block, Failure):
                raise fetching.failed(block)
            if not block:
                break
            digest.update(block[:left])
            rest, left = block[left:], max(0, left - len(block))
        if left or digest.hexdigest() != staged.sha256:
            raise Trouble(f"{fetching.shown(asked.source['url'])} was changed while it was fetched.", changed=True)
        return digest, rest


def read_back(settings: Settings, asked: Asked, at: int) -> "hashlib._Hash | None":
    """Return the sha256 of a file's bytes up to `at` as they stand on `xyra.uploads`, None where they do not; blocks."""
    digest, here, upload = hashlib.sha256(), 0, asked.upload.encode()
    strand = Strand(settings, topics.UPLOADS.name, asked.partition)
    try:
        for record in strand.read(asked.first, LAST_OFFSET, lambda record: record.header(UPLOAD) == upload):
            piece = read(record)
            if not isinstance(piece, Piece) or piece.start != here:
                return None
            digest.update(piece.data)
            here += len(piece.data)
            if here >= at:
                break
    except (NotAPiece, Unavailable):
        return None
    finally:
        strand.close()
    return digest if here == at else None


def troubled(trouble: Trouble, staged: Staged) -> Brought:
    """Return what comes of trouble; a file that has changed is begun anew, a few times."""
    if not trouble.changed:
        return Brought(staged, failed=None if trouble.later is not None else trouble.sentence, later=trouble.later)
    if staged.anew >= fetching.MOST_ANEW:
        return Brought(staged, failed=f"{trouble.sentence} That is so for the {staged.anew + 1}th time; retry the job when nobody writes to it.")
    return Brought(staged.afresh(), later=Later(f"{trouble.sentence} It is begun anew.", fetching.WAITS.attempts, 0))
