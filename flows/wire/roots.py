"""Files of this machine that jobs may read: only below configured folders, by no link, and nothing but regular files.

A path is walked folder by folder, each opened inside the one before without following links. So what is judged is what is opened, whatever
somebody renames meanwhile. The roots themselves are the operator's: they may be links.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path
from re import Pattern
from re import compile as compiled
from typing import BinaryIO, Final, NamedTuple

from flows.core.errors import NotFound, Refused, TooLarge

MOST_PARTS: Final = 64
MOST_SEEN: Final = 100_000
"""Names that are looked at for one pattern."""
MOST_LINKS: Final = 10
"""Links that are told of one."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Not blocking: a pipe that was put in the file's place would be waited for."""
_WILD: Final = frozenset("*?[")


class Version(NamedTuple):
    """What tells that a file is the one it was."""

    device: int
    inode: int
    size: int
    changed_ns: int


class Opened(NamedTuple):
    """A file that may be read; who has it closes it."""

    file: BinaryIO
    version: Version


class Found(NamedTuple):
    """A file that a pattern has found."""

    path: str
    version: Version


class Matches(NamedTuple):
    """What a pattern has found, by name."""

    files: list[Found]
    links: list[str]
    """Links that stand where a file, or a folder on the way to one, would; where they lead was not looked at. The first ones only."""


@dataclass(frozen=True, slots=True)
class Roots:
    """The folders that jobs may read from. Everything here blocks for as long as the disk takes, and raises Refused with a sentence for a person."""

    folders: Sequence[Path]
    most_bytes: int
    """Of one file."""

    def open(self, path: str) -> Opened:
        """Open a file at its first byte.

        Raises:
            NotFound: there is no such file.
            TooLarge: it has more than `most_bytes`.
            Refused: it may not be read.

        """
        root, parts = self._place(path)
        with _folder(root, parts[:-1], path) as folder, _told(path):
            if not stat.S_ISREG(os.stat(parts[-1], dir_fd=folder, follow_symlinks=False).st_mode):  # before it is opened, which a device may notice
                raise _not_regular(path)
            handle = os.open(parts[-1], _FILE, dir_fd=folder)
        try:
            version = self._judged(os.fstat(handle), path)
        except Refused:
            os.close(handle)
            raise
        return Opened(os.fdopen(handle, "rb", buffering=0), version)

    def find(self, pattern: str, most: int) -> Matches:
        """Return what a pattern finds; `*`, `?` and `[...]` stand for parts of one name, none for a first dot.

        What is no regular file is passed over, and so is a folder that may not be read; links, which somebody may have meant to be read, are told.
        A file that is too large is found: it is refused when it is opened, alone.

        Raises:
            TooLarge: there are more than `most`, or more names than are looked at.
            Refused: it may not be read.

        """
        root, parts = self._place(pattern)
        if "**" in parts:
            raise Refused(f"{pattern}: ** is not read in patterns; name each folder, or put * in its place.")
        plain = next((place for place, part in enumerate(parts) if not _WILD.isdisjoint(part)), len(parts) - 1)
        wanted = [compiled(translate(part)) for part in parts[plain:]]
        walk = _Walk(pattern, wanted, tuple(part.startswith(".") for part in parts[plain:]))
        found: list[Found] = []
        with _folder(root, parts[:plain], pattern) as folder:
            for names, status in walk.files(folder, 0):
                found.append(Found(str(root.joinpath(*parts[:plain], *names)), _version(status)))
                if len(found) > most:
                    raise TooLarge(f"{pattern} finds more than {most:,} files; write it so that it finds fewer, or move away what was imported.")
        links = (str(root.joinpath(*parts[:plain], *names)) for names in sorted(walk.links)[:MOST_LINKS])
        return Matches(sorted(found), list(links))

    def check(self, path: str) -> None:
        """Do nothing where a path, or a pattern, lies under one of the folders; looks at no disk.

        Raises:
            Refused: it does not.

        """
        self._place(path)

    def _place(self, path: str) -> tuple[Path, list[str]]:
        """Return the root that a path lies under, and the names from there on; nothing is looked at, so that nothing is told of what lies elsewhere."""
        parts = path.split("/")[1:]
        if not path.startswith("/") or "\0" in path or any(part in {"", ".", ".."} for part in parts):
            raise Refused(f"{path!r} is no plain absolute path: write it from / on, without empty parts, . and ..")
        if len(parts) > MOST_PARTS:
            raise Refused(f"{path!r} has more than {MOST_PARTS} parts.")
        for root in sorted(self.folders, key=lambda folder: len(folder.parts), reverse=True):
            at = root.parts[1:]
            if tuple(parts[: len(at)]) == at and len(parts) > len(at):
                return root, parts[len(at) :]
        named = ", ".join(map(str, self.folders)) or "no folder"
        raise Refused(f"{path!r} may not be read: INTEGRATION_IMPORT_ROOTS names {named}. Move the file there, upload it, or add its folder to that setting.")

    def _judged(self, status: os.stat_result, path: str) -> Version:
        if not stat.S_ISREG(status.st_mode):
            raise _not_regular(path)
        if status.st_size > self.most_bytes:
            raise TooLarge(f"{path} has {status.st_size:,} bytes, and INTEGRATION_BATCH_IMPORT_MAX_FILE_SIZE allows {self.most_bytes:,}.")
        return _version(status)


def same(opened: Opened) -> bool:
    """Say whether a file is still as it was when it was opened; one that has been written to meanwhile is not."""
    return _version(os.fstat(opened.file.fileno())) == opened.version


def _version(status: os.stat_result) -> Version:
    return Version(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _not_regular(path: str) -> Refused:
    return Refused(f"{path} is no regular file: folders, links, pipes, sockets and devices are not read.")


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Make a sentence of what the system says."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.") from error
    except PermissionError as error:
        raise Refused(f"{path} may not be read by the account this runs under; change its owner or mode.") from error
    except OSError as error:  # ELOOP or ENOTDIR: a link; ENAMETOOLONG, EIO and the like
        raise Refused(f"{path} cannot be opened ({error.strerror}); links are not followed, name the file itself.") from error


@contextmanager
def _folder(root: Path, parts: Sequence[str], path: str) -> Iterator[int]:
    """Open the folder that `parts` lead to from `root`, one by one."""
    try:
        here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(f"The folder {root}, which INTEGRATION_IMPORT_ROOTS names, cannot be opened ({error.strerror}).") from error
    try:
        for part in parts:
            with _told(path):
                there = os.open(part, _FOLDER, dir_fd=here)
            os.close(here)
            here = there
        yield here
    finally:
        os.close(here)


class _Walk:
    """One search: the patterns of the names from the first wild one on."""

    def __init__(self, pattern: str, wanted: Sequence[Pattern[str]], hidden: Sequence[bool]) -> None:
        self._pattern = pattern
        self._wanted = wanted
        self._hidden = hidden
        self._seen = 0
        self.links: list[tuple[str, ...]] = []
        """By the names that lead to them."""

    def files(self, folder: int, depth: int, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], os.stat_result]]:
        """Yield the names below an open folder, and what each file is; `above` are those that lead to it."""
        for name in self._names(folder, depth):
            try:
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISLNK(status.st_mode):
                    self.links.append((*above, name))
                    continue
                if depth + 1 == len(self._wanted):
                    if stat.S_ISREG(status.st_mode):
                        yield (*above, name), status
                    continue
                if not stat.S_ISDIR(status.st_mode):
                    continue
                inner = os.open(name, _FOLDER, dir_fd=folder)
            except OSError:
                continue  # gone meanwhile, or not ours to read
            try:
                yield from self.files(inner, depth + 1, (*above, name))
            finally:
                os.close(inner)

    def _names(self, folder: int, depth: int) -> list[str]:
        names = []
        with os.scandir(folder) as entries:
            for entry in entries:
                self._seen += 1
                if self._seen > MOST_SEEN:
                    raise TooLarge(f"{self._pattern} leads through more than {MOST_SEEN:,} names; name the folders more closely.")
                if self._wanted[depth].fullmatch(entry.name) and (self._hidden[depth] or not entry.name.startswith(".")):
                    names.append(entry.name)
        return sorted(names)
