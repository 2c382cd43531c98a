"""TCP ports: which are free, and who holds one that is not."""

import contextlib
import errno
import socket
from collections.abc import Iterable
from typing import Final, NamedTuple

import psutil

from flows.core.errors import Busy, WrongSetting

LOWEST: Final = 20_000
HIGHEST: Final = 32_000
"""Below the range that the system hands to outgoing connections, so that nobody takes one between looking and listening."""


class Wanted(NamedTuple):
    """A port a part is going to listen on, and the setting that moves it."""

    host: str
    port: int
    part: str
    setting: str


def is_free(host: str, port: int) -> bool:
    """Tell whether somebody could listen on `port` now; connections still closing do not count."""
    return _refusal(host, port) is None


def _refusal(host: str, port: int) -> OSError | None:
    """Return why nobody could listen there; None when somebody could."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host.strip("[]"), port))
    except OSError as error:
        return error
    except UnicodeError:  # a name that no resolver takes, such as one with two dots in a row
        return socket.gaierror(socket.EAI_NONAME, "no such name")
    return None


def free_port(span: int = 1) -> int:
    """Return a port that is free now, and the `span - 1` ports above it as well."""
    import random  # noqa: PLC0415  only tests and training look for free ports

    for _ in range(1000):
        port = random.randrange(LOWEST, HIGHEST, span)  # noqa: S311  so that two that look at once find different ones; no secret
        if all(is_free("127.0.0.1", port + i) for i in range(span)):
            return port
    msg = f"No {span} free ports together between {LOWEST} and {HIGHEST}. Stop something that listens there."
    raise Busy(msg)


def holder(port: int) -> str:
    """Return who listens on `port`, or calls out from it, in words; "another user's process" when the system does not say."""
    with contextlib.suppress(psutil.Error):
        found = [one for one in psutil.net_connections("tcp") if one.laddr and one.laddr.port == port]
        for connection in sorted(found, key=lambda one: one.status != psutil.CONN_LISTEN):
            if connection.pid:
                process = psutil.Process(connection.pid)
                calls = "" if connection.status == psutil.CONN_LISTEN else "a connection of "
                return f"{calls}{process.name()} (process {connection.pid}: {' '.join(process.cmdline())[:100]})"
    return "another user's process, or a connection that is just being closed"


def check_host(host: str, setting: str) -> None:
    """See that a part can listen on `host`, whatever the port.

    Raises:
        WrongSetting: it is not an address of this machine; the text names the setting.

    """
    error = _refusal(host, 0)  # 0: any port that is free
    if error:
        raise WrongSetting(
            f"{setting} is {host!r}, which is not an address of this machine: {error.strerror}. "
            "Set it to one, such as 127.0.0.1 for this machine alone or 0.0.0.0 for every network it is in."
        )


def check(wanted: Iterable[Wanted]) -> None:
    """See that every port is free.

    Raises:
        WrongSetting: two parts want the same one.
        Busy: one or more are not; the text names the part, the port, why it cannot be had and the setting.

    """
    wanted = list(wanted)
    taken: dict[int, Wanted] = {}
    for w in wanted:
        first = taken.setdefault(w.port, w)
        if first is not w:
            raise WrongSetting(f"{first.setting} and {w.setting} both lead to port {w.port}, for {first.part} and for {w.part}: set one of them to another.")
    busy = [why_not(w, error) for w in wanted if (error := _refusal(w.host, w.port)) is not None]
    if busy:
        raise Busy(". ".join(busy) + ".")


def why_not(wanted: Wanted, error: OSError) -> str:
    """Say why a part cannot have its port, and what to do."""
    if error.errno == errno.EACCES:
        return f"Port {wanted.port} for {wanted.part} is one that only root may listen on: set {wanted.setting} to one from 1024 up"
    return f"Port {wanted.port} for {wanted.part} is held by {holder(wanted.port)}: stop that, or set {wanted.setting} to another port"
