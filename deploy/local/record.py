"""What runs, written down: one file under the data directory, from which `status`, `down` and the next `up` know it."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, TextIO

import orjson

from deploy.local.cache import replacing
from deploy.local.processes import Identity, find, stop
from flows.core.errors import Busy

STORES: Final = frozenset({"kafka", "valkey"})
State = Literal["starting", "ready", "unready", "waiting", "stopped"]


@dataclass(frozen=True, slots=True)
class PartRecord:
    """One process of the stack."""

    name: str
    state: State
    identity: Identity | None = None
    restarts: int = 0
    url: str = ""
    last_exit: str = ""


@dataclass(frozen=True, slots=True)
class StackRecord:
    """The supervisor and its parts; `settings` are the ones that a command in another terminal cannot know."""

    supervisor: Identity
    state: State
    settings: Mapping[str, str]
    parts: tuple[PartRecord, ...] = ()
    seconds_to_ready: float = 0.0

    def identities(self) -> list[Identity]:
        """Return the processes of the parts, whether they still run or not, in the order they are to be stopped in."""
        parts = sorted(self.parts, key=lambda part: part.name in STORES)
        return [part.identity for part in parts if part.identity]

    def stop_parts(self, patience_s: float) -> int:
        """Stop the parts that still run, the stores last; returns how many there were. Blocks for twice `patience_s` at most."""
        left = [identity for identity in self.identities() if find(identity)]
        stores = {part.identity for part in self.parts if part.name in STORES}
        stop([identity for identity in left if identity not in stores], patience_s)
        stop(left, patience_s)
        return len(left)

    def lives(self) -> bool:
        """Tell whether its supervisor still runs."""
        return find(self.supervisor) is not None


def path(data_dir: Path) -> Path:
    """Return where the record lies."""
    return data_dir / "run" / "stack.json"


def write(data_dir: Path, record: StackRecord) -> None:
    """Write it in one step: a reader sees the old one or the new one."""
    with replacing(path(data_dir)) as part:
        part.write_bytes(orjson.dumps(asdict(record), default=list, option=orjson.OPT_INDENT_2))


def read(data_dir: Path) -> StackRecord | None:
    """Return what was written last; None when there is nothing, or nothing that can be read."""
    try:
        data: dict[str, Any] = orjson.loads(path(data_dir).read_bytes())
        parts = tuple(PartRecord(**(part | {"identity": part["identity"] and Identity.of(part["identity"])})) for part in data.pop("parts"))
        return StackRecord(**(data | {"supervisor": Identity.of(data["supervisor"]), "parts": parts}))
    except (OSError, ValueError, TypeError, KeyError):
        return None


@contextmanager
def exclusive(data_dir: Path) -> Iterator[TextIO]:
    """Hold the data directory as its one supervisor; the system lets go of it when the process ends, however it ends.

    Raises:
        Busy: another supervisor holds it.

    """
    path(data_dir).parent.mkdir(parents=True, exist_ok=True)
    with (data_dir / "run" / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Busy(
                f"The data directory {data_dir} is in use by another `xyra up` (process {lock.read().strip() or 'unknown'}). "
                "Stop it with `xyra down`, or set INTEGRATION_DATA_DIR to another directory."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield lock
