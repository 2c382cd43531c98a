"""The state of an upload: which bytes have come, which of them stand on `xyra.uploads`, and what they were. A value in, a value out.

What is acknowledged is durable: the pieces on the topic, and behind them the tail, the bytes that a cutter holds back until their record is whole, which
stands in the upload's own record. So any ingress can go on where another ended.

hashlib keeps no state that outlives a process, and a sha256 in Python goes through a megabyte a second. So there are two digests. The **chain** is the hash
over the hashes of the pieces, 32 bytes that any process goes on from; it says that pieces read again are those that were acknowledged. The **sha256** of the
file is kept in memory by the process that takes the bytes (`Digest`); another one that goes on reads the pieces once, holds them against the chain, and has it.
"""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

import orjson

from flows.core.errors import BadRequest, Conflict, Gone, TooLarge
from flows.core.files.pieces import PIECE_BYTES, Piece

UPLOAD: Final = "upload"
"""First part of the key under which its record stands."""
MOST_TAIL: Final = 4 * PIECE_BYTES
"""What a cutter holds back, and a block that it was not given yet."""
MOST_STATE: Final = 64 * 1024
NO_PIECES: Final = hashlib.sha256(b"").hexdigest()
"""The chain before the first piece."""

Phase = Literal["receiving", "received", "expired", "terminated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One upload as it stands on a compacted topic."""

    upload_id: str
    length: int | None
    """All bytes of the file; None: the client has not said yet."""
    metadata: str = ""
    """As the client wrote it (`Upload-Metadata`)."""
    name: str = ""
    """The file's."""
    content_type: str = ""
    hints: Mapping[str, Any] = field(default_factory=dict)
    """What its sender says of how it is written (`guess.HINTS`)."""
    how: str = ""
    """How it is cut, as `Cut.text` has it; empty until enough of it has come."""
    detected: Mapping[str, Any] | None = None
    """What was found out about the whole file; None: nobody has asked."""
    offset: int = 0
    """Bytes that were acknowledged; the next ones begin here."""
    cut: int = 0
    """Of them so many stand on `xyra.uploads`; the rest is the tail."""
    tail: bytes = b""
    cutter: bytes = b""
    """What the cutter goes on from."""
    pieces: int = 0
    chain: str = NO_PIECES
    partition: int = -1
    """Where on `xyra.uploads` its pieces are; -1: there are none."""
    first: int = -1
    """The offset of its first piece there."""
    last: int = -1
    """The offset of its latest piece there."""
    sha256: str = ""
    """Of the whole file; empty until it is known."""
    announced: str = ""
    """What that will be, as its sender said when it began."""
    torn: str = ""
    """Why the file that came is not whole: it ends too early. What is there is read, and its job fails with this."""
    created_at_ms: int
    expires_at_ms: int
    """When it is given up, if the file has not come by then, and when its pieces may be gone, if it has."""
    ended_at_ms: int | None = None
    """When somebody took it back."""

    def __post_init__(self) -> None:
        """Refuse what no upload can be: raises ValueError."""
        if self.offset != self.cut + len(self.tail) or (self.length is not None and self.offset > self.length):
            raise ValueError(f"{self.offset} bytes were acknowledged, {self.cut} cut, {len(self.tail)} held back, of {self.length}")
        if len(self.tail) > MOST_TAIL or len(self.cutter) > MOST_STATE:
            raise ValueError("a cutter holds back more than a piece")

    def phase(self, now_ms: int) -> Phase:
        """Return how it stands; an upload that has come whole expires as well."""
        if self.ended_at_ms is not None:
            return "terminated"
        if now_ms >= self.expires_at_ms:
            return "expired"
        return "received" if self.offset == self.length else "receiving"

    def check_open(self, now_ms: int) -> None:
        """Do nothing where it is still there; raises Gone."""
        if self.phase(now_ms) == "terminated":
            raise Gone(f"The upload {self.upload_id} was taken back; begin another one.")
        if self.phase(now_ms) == "expired":
            raise Gone(f"The upload {self.upload_id} has expired; begin another one.")

    def text(self) -> bytes:
        """Write it as it stands on the topic."""
        return orjson.dumps(asdict(self) | {"tail": b64encode(self.tail).decode(), "cutter": b64encode(self.cutter).decode()})

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Upload":
        """Make one of the JSON that `text` wrote; raises TypeError, KeyError or ValueError when it is none."""
        return cls(**{**found, "tail": b64decode(found["tail"]), "cutter": b64decode(found["cutter"])})


def create(upload_id: str, length: int | None, metadata: str, now_ms: int, kept_ms: int, most_bytes: int) -> Upload:
    """Begin an upload; raises TooLarge when more is announced than is taken."""
    if length is not None and length > most_bytes:
        raise too_large(length, most_bytes)
    return Upload(upload_id=upload_id, length=length, metadata=metadata, created_at_ms=now_ms, expires_at_ms=now_ms + kept_ms)


def lengthen(upload: Upload, length: int, most_bytes: int) -> Upload:
    """Say how long an upload is that did not say so when it began; once said it stays.

    Raises:
        BadRequest: another length was said before, or more bytes than that have come.
        TooLarge: it is more than is taken.

    """
    if upload.length is not None and length != upload.length:
        raise BadRequest(f"The upload's length is {upload.length}, and cannot become {length}.")
    if length < upload.offset:
        raise BadRequest(f"{upload.offset} bytes have come already, so its length cannot be {length}.")
    if length > most_bytes:
        raise too_large(length, most_bytes)
    return replace(upload, length=length)


def too_large(length: int, most_bytes: int) -> TooLarge:
    """Return the refusal of a file of this length."""
    return TooLarge(f"The file has {length:,} bytes, and INTEGRATION_BATCH_IMPORT_MAX_FILE_SIZE allows {most_bytes:,}.")


def check_offset(upload: Upload, offset: int) -> None:
    """Do nothing where the next bytes begin at `offset`; raises Conflict."""
    if offset != upload.offset:
        raise Conflict(f"The upload stands at byte {upload.offset}, not at {offset}: ask with HEAD where to go on.")


def written(upload: Upload, pieces: Sequence[Piece], tail: bytes, cutter: bytes, offsets: tuple[int, int, int] | None) -> Upload:
    """Return the upload after pieces of it have been acknowledged by the broker.

    Args:
        upload: before.
        pieces: those that follow its last one.
        tail: what the cutter holds back behind them.
        cutter: its state.
        offsets: partition, and the offsets of the first and last of `pieces`; None where there are none.

    Raises:
        ValueError: they do not follow; that is a bug of the caller.

    """
    at, chain = upload.cut, upload.chain
    for piece in pieces:
        if piece.start != at:
            raise ValueError(f"a piece begins at {piece.start}, and the one before it ended at {at}")
        at, chain = at + len(piece.data), chained(chain, piece.data)
    if (offsets is None) != (not pieces) or (offsets is not None and upload.pieces and offsets[0] != upload.partition):
        raise ValueError(f"{len(pieces)} pieces stand at {offsets}, those before in partition {upload.partition}")
    if at + len(tail) < upload.offset:
        raise ValueError(f"{upload.offset} bytes were acknowledged, and only {at + len(tail)} are left")
    after = replace(upload, offset=at + len(tail), cut=at, tail=tail, cutter=cutter, pieces=upload.pieces + len(pieces), chain=chain)
    if offsets is None:
        return after
    partition, first, last = offsets
    return replace(after, partition=partition, first=first if upload.pieces == 0 else upload.first, last=last)


def hashed(upload: Upload, sha256: str) -> Upload:
    """Return the upload with the sha256 of the whole file; raises ValueError before all of it has come."""
    if upload.offset != upload.length:
        raise ValueError(f"only {upload.offset} of {upload.length} bytes have come")
    return replace(upload, sha256=sha256)


def ended(upload: Upload, now_ms: int) -> Upload:
    """Return the upload as taken back; nothing of its tail is kept."""
    return replace(upload, ended_at_ms=now_ms, tail=b"", cutter=b"", offset=upload.cut)


def chained(chain: str, data: bytes) -> str:
    """Return the chain behind one more piece."""
    return hashlib.sha256(bytes.fromhex(chain) + hashlib.sha256(data).digest()).hexdigest()


def chain_of(pieces: Iterable[bytes]) -> str:
    """Return the chain over pieces that were read again."""
    chain = NO_PIECES
    for data in pieces:
        chain = chained(chain, data)
    return chain


class Digest:
    """The sha256 of a file whose bytes come in order, in the memory of one process."""

    def __init__(self) -> None:
        """Begin before the first byte."""
        self._hash = hashlib.sha256()
        self.at = 0
        """The bytes that were taken."""

    def take(self, start: int, data: bytes) -> bool:
        """Take bytes that begin at `start`; what was taken before is passed over. False, and nothing taken: those from `at` on have to come first."""
        if start > self.at:
            return False
        fresh = memoryview(data)[self.at - start :]
        self._hash.update(fresh)
        self.at += len(fresh)
        return True

    def hex(self) -> str:
        """Return the digest of what was taken."""
        return self._hash.hexdigest()
