"""`xyra up` and `xyra down`."""

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.cli import screen
from deploy.cli.output import Progress, complain, said
from deploy.cli.topics import all_topics
from deploy.flows import FLOWS
from deploy.local import broker, logs, ports, record
from deploy.local.parts import log_path, parts
from deploy.local.place import Place, check_installed, decide
from deploy.local.processes import find, stop
from deploy.local.record import StackRecord
from deploy.local.supervisor import Supervisor
from flows.core.clock import SystemClock
from flows.core.errors import Fatal, WrongSetting, XyraError
from flows.core.settings import PREFIX, Settings, unknown
from flows.wire.kafka import ensure_topics
from flows.wire.vault import Kept, Vault, admin_key

DETACHED_LOG: Final = "up"
PATIENCE_S: Final = 10.0
LEAVE_S: Final = 60.0


def foreground(environ: Mapping[str, str], data_dir: str, *, quiet: bool) -> None:
    """Run the stack until SIGINT or SIGTERM; `quiet` leaves out the screen at the end, for a run in the background.

    Raises:
        XyraError: it could not start; nothing of it runs any more.

    """
    progress = Progress()
    place = decide(environ, data_dir)
    check_installed(place)
    settings = place.settings
    ports.check_host(settings.http_host, PREFIX + "HTTP_HOST")
    for name in unknown(environ):
        complain(f"{name} is set and is no setting of this version; `xyra settings` lists them.")
    with record.exclusive(prepared(settings.data_dir)):
        key = keys(settings)
        heal(settings.data_dir, progress)
        wanted = parts(place, list(FLOWS), broker.runtime(environ, progress.say) if place.local_kafka else None, progress.say)
        ports.check(want for part in wanted for want in part.wants)

        async def on_ready(stack: StackRecord) -> None:
            if not quiet:
                await asyncio.to_thread(screen.show, settings, stack, key.text if key.made else None, progress.seconds)

        supervisor = Supervisor(place, environ, SystemClock(), progress.say)
        asyncio.run(supervisor.run(wanted, lambda: ensure_topics(settings, all_topics()), on_ready))
        progress.say("Stopped")


def prepared(data_dir: Path) -> Path:
    """Make the data directory.

    Raises:
        WrongSetting: it cannot be made or written.

    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # it is going to hold keys, and everything anybody sent
        for name in ("run", "logs"):
            (data_dir / name).mkdir(exist_ok=True)
    except OSError as error:
        raise WrongSetting(f"The data directory {data_dir} cannot be made: {error.strerror}. Set INTEGRATION_DATA_DIR to one that can.") from error
    return data_dir


def keys(settings: Settings) -> Kept:
    """Return the admin key, after seeing that the secret key can be read as well: the ingress would only say so once Kafka runs.

    Raises:
        WrongSetting: one of them cannot be used; the text names it.

    """
    Vault.load(settings)
    return admin_key(settings)


def heal(data_dir: Path, progress: Progress) -> None:
    """Stop what a supervisor that was killed left running; the caller holds the data directory."""
    found = record.read(data_dir)
    if found and any(map(find, found.identities())):
        progress.say("Stopping what an earlier run left behind")
        found.stop_parts(PATIENCE_S)


def detached(environ: Mapping[str, str], data_dir: str) -> None:
    """Start the stack in the background, print the screen when it is ready, and return.

    The supervisor is this process's fork, so that it has loaded already what it runs.

    Raises:
        XyraError: it could not start; the text carries the end of its log.

    """
    progress = Progress()
    place = decide(environ, data_dir)
    settings = place.settings
    ports.check_host(settings.http_host, PREFIX + "HTTP_HOST")
    prepared(settings.data_dir)
    key = keys(settings)
    log = log_path(settings, DETACHED_LOG)
    with record.exclusive(settings.data_dir):  # else the log is that of the one that runs
        log.write_bytes(b"")
    pid = os.fork()
    if pid == 0:
        _leave_terminal(log)
        foreground(environ, str(settings.data_dir), quiet=True)
        return
    stack = _await_ready(pid, place, log, progress)
    screen.show(settings, stack, key.text if key.made else None, progress.seconds, detached=True)


def _leave_terminal(log: Path) -> None:
    """Be a process of no terminal, which writes to `log` and reads nothing."""
    os.setsid()
    with Path(os.devnull).open("rb") as nothing, log.open("ab") as out:
        for stream, number in ((nothing, 0), (out, 1), (out, 2)):
            os.dup2(stream.fileno(), number)


def _await_ready(pid: int, place: Place, log: Path, progress: Progress) -> StackRecord:
    seen = 0
    while True:
        lines = log.read_text(errors="replace").splitlines()
        for line in lines[seen:]:
            progress.say(said(line))
        seen = len(lines)
        stack = record.read(place.settings.data_dir)
        if stack and stack.supervisor.pid == pid and stack.state == "ready":
            return stack
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            kind = next((kind for kind in XyraError.__subclasses__() if kind.exit_code == code), Fatal)
            raise kind(f"It could not start. Its log ({log}) ends: {logs.tail(log, 1).removeprefix('xyra: ')}")
        time.sleep(0.05)


def down(data_dir: Path) -> int:
    """Stop the stack that runs on a data directory, in the foreground or the background; returns how many processes there were.

    Blocks for as long as they drain, a minute at most; then they are killed.
    """
    found = record.read(data_dir)
    if not found:
        return 0
    supervisor = stop([found.supervisor], LEAVE_S)  # it stops its children in order
    orphans = found.stop_parts(PATIENCE_S)
    return len(found.parts) + 1 if supervisor else orphans
