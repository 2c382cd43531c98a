"""The slow work that brings a file of a worker's machine in: cut into pieces, portion by portion, as an ingress cuts what is sent to it."""

import hashlib
from collections.abc import Mapping
from typing import IO, Any, Final

import orjson

from flows.core.errors import Refused
from flows.core.files.guess import HINTS, SAMPLE, Cut, guess
from flows.core.files.pieces import Cutter, Piece
from flows.core.imports.staged import Brought, Staged
from flows.core.settings import Settings
from flows.engine import Task
from flows.wire.roots import Opened, Roots, same

PORTION_BYTES: Final = 8 << 20
BLOCK: Final = 256 * 1024
RENAME: Final = "write it under another name, rename it when it is whole, and retry the job or let its next run take it."


class Stager:
    """The handler."""

    def __init__(self, settings: Settings) -> None:
        """Take which folders may be read, and how large a file may be."""
        self._roots = Roots(settings.import_roots, settings.batch_import_max_file_size)

    def __call__(self, task: Task) -> bytes:
        """Bring the next portion in: a request of `ask_file` in, `Brought` out; blocks for as long as the disk takes."""
        asked: Mapping[str, Any] = orjson.loads(task.payload)
        staged = Staged.of(asked["staged"])
        try:
            opened = self._roots.open(asked["source"]["file_path"])
            with opened.file:
                return _portion(opened, staged, asked["source"], asked["data_format"]).pack()
        except Refused as error:
            return Brought(staged, (), error.detail).pack()


def _portion(opened: Opened, staged: Staged, source: Mapping[str, Any], data_format: str) -> Brought:
    path = source["file_path"]
    if staged.version and list(opened.version) != list(staged.version):
        return Brought(staged, (), f"{path} was written to while it was brought in; {RENAME}")
    cut = Cut.of(staged.cut) if staged.cut else _guessed(opened.file, path, source, data_format)
    cutter = cut.cutter(staged.state or None)
    opened.file.seek(staged.at)
    pieces, over = _cut(opened.file, cutter)
    torn = cutter.refused.torn if cutter.refused is not None else ""
    if cutter.refused is not None and not torn:
        return Brought(staged, (), cutter.refused.detail)
    if not same(opened):
        return Brought(staged, (), f"{path} is being written to; {RENAME}")
    at = pieces[-1].start + len(pieces[-1].data) if pieces else staged.at
    state = b"" if over else cutter.state()
    digest = _digest(opened.file) if over else ""
    return Brought(Staged(at, state, cut.text().decode(), tuple(opened.version), over, digest, torn=torn), pieces)


def _guessed(file: IO[bytes], path: str, source: Mapping[str, Any], data_format: str) -> Cut:
    hints = {name: source[name] for name in HINTS if source.get(name) is not None} | {"data_format": data_format}
    return guess(file.read(SAMPLE), path.rpartition("/")[2], "", hints)


def _cut(file: IO[bytes], cutter: Cutter) -> tuple[list[Piece], bool]:
    """Return pieces of about a portion, and whether the file is over."""
    pieces: list[Piece] = []
    for _ in range(PORTION_BYTES // BLOCK):
        block = file.read(BLOCK)
        if not block:
            return pieces + cutter.finish(), True
        pieces += cutter.feed(block)
        if cutter.refused is not None:
            break
    return pieces, False


def _digest(file: IO[bytes]) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # it reads into a buffer, as any file does
