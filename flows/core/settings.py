"""Every setting, one row each: the field's name in capitals behind `INTEGRATION_` is its variable.

`load` reads them once; nothing else in the project reads the environment. A new setting is a new row here, and the
README's table is made from the rows (`python -m deploy.docs`).
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

from flows.core.errors import WrongSetting
from flows.core.outbound.addresses import Network, networks

PREFIX = "INTEGRATION_"
KIB = 1024
MIB = 1024 * KIB
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many per so many seconds."""

    count: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports from one to another, both included."""

    low: int
    high: int

    def __str__(self) -> str:
        """Return them as the setting has them."""
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """How a setting is read: from text to value, and the words for what is allowed."""

    read: Callable[[str], T]
    allowed: str


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as a person sees it."""

    name: str
    variable: str
    default: str
    allowed: str
    meaning: str
    secret: bool


def _whole(low: int, high: int) -> Kind[int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(text)
        return int(text)

    return Kind(read, f"a whole number from {low:,} to {high:,}")


def _bytes(low: int, high: int) -> Kind[int]:
    whole = _whole(low, high)
    return Kind(whole.read, f"{whole.allowed} (bytes)")


def _share() -> Kind[float]:
    def read(text: str) -> float:
        if not re.fullmatch(r"0|1|0?\.[0-9]{1,6}|1\.0+", text):
            raise ValueError(text)
        return float(text)

    return Kind(read, "a number from 0 to 1")


def _choice(*values: str) -> Kind[str]:
    def read(text: str) -> str:
        if text not in values:
            raise ValueError(text)
        return text

    return Kind(read, "one of " + ", ".join(values))


def _rate(text: str) -> Rate:
    units = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
    count, _, unit = text.partition("/")
    if not count.isascii() or not count.isdecimal() or int(count) < 1:
        raise ValueError(text)
    return Rate(int(count), units[unit.strip()])


def _servers(text: str) -> str:
    for server in text.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:  # noqa: PLR2004  the end of the port range
            raise ValueError(text)
    return text


def _ports(text: str) -> tuple[Ports, ...]:
    found = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        found.append(Ports(PORT.read(low), PORT.read(high if dash else low)))
        if found[-1].low > found[-1].high:
            raise ValueError(text)
    return tuple(found)


def _host(text: str) -> str:
    if not text or any(c.isspace() or c in "/:@" for c in text.strip("[]").replace(":", "")):
        raise ValueError(text)
    return text


def _text(text: str) -> str:
    return text


def _paths(text: str) -> tuple[Path, ...]:
    found = tuple(Path(part).expanduser() for part in text.split(os.pathsep) if part)
    if any(not path.is_absolute() or ".." in path.parts or path == path.parent for path in found):
        raise ValueError(text)
    return found


def _public_url(text: str) -> str:
    scheme, _, host = text.partition("://")
    if text and (scheme not in {"http", "https"} or not _host(host.rpartition(":")[0] or host)):
        raise ValueError(text)
    return text


PORT = _whole(1, 65535)
TEXT = Kind(_text, "any text")
PATH = Kind(lambda text: Path(text).expanduser(), "a path")
RATE = Kind(_rate, "COUNT/second, COUNT/minute, COUNT/hour or COUNT/day, with COUNT at least 1")
SERVERS = Kind(_servers, "HOST:PORT, or several with commas between them")
PUBLIC_URL = Kind(_public_url, "empty, or http://HOST[:PORT] or https://HOST[:PORT] without a path")
HOST = Kind(_host, "a host name or an address")
PORTS = Kind(_ports, "ports and ranges LOW-HIGH from 1 to 65,535, with commas between them")
PATHS = Kind(_paths, "absolute paths of folders with colons between them; not / itself")
NETWORKS = Kind(networks, "networks such as 10.1.0.0/16 or fd12::/48, with commas between them")


def _setting(default: str, kind: Kind[T], meaning: str, *, secret: bool = False) -> T:
    """Declare one row; typed as its value, so that a misspelt setting is a type error."""
    metadata = {"default": default, "kind": kind, "meaning": meaning, "secret": secret}
    made: T = field(metadata=metadata)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator can set."""

    http_host: str = _setting("127.0.0.1", HOST, "Address the ingress listens on.")
    http_port: int = _setting("8000", PORT, "Port the ingress listens on.")
    http_public_url: str = _setting(
        "",
        PUBLIC_URL,
        "Scheme, host and port under which senders reach the ingress, for those that sign the URL (Twilio, Square, HubSpot). "
        "Empty: what the proxy's `X-Forwarded-Proto` and `X-Forwarded-Host`, else the request itself, say.",
    )
    admin_key: str = _setting(
        "", TEXT, "The first admin key. Empty: made once on the first start and kept in `admin.key` under the data directory.", secret=True
    )
    rate_limit_default: Rate = _setting("100/minute", RATE, "What one API key may ask of the control routes. Promised: nothing reads it yet.")
    webhook_max_payload_size: int = _setting(str(10 * MIB), _bytes(KIB, 64 * MIB), "Largest webhook body, counted on the bytes read and again after inflation.")
    webhook_body_timeout_ms: int = _setting("15000", _whole(100, 600_000), "How long a sender may take to send a request's body.")
    webhook_ack_timeout_ms: int = _setting(
        "8000", _whole(100, 120_000), "How long a webhook waits for the broker's acknowledgement before the sender gets a 503."
    )
    webhook_max_held_bytes: int = _setting(
        str(256 * MIB), _bytes(MIB, 64 * 1024 * MIB), "Bytes of webhook bodies held at once, over all requests; one that would exceed it gets a 503."
    )
    webhook_max_in_flight: int = _setting("2048", _whole(1, 100_000), "Webhooks handled at once; one more gets a 503.")
    batch_import_chunk_size: int = _setting(
        "1000",
        _whole(1, 1_000_000),
        "Rows in a chunk of an import. What is read and published together, a portion, is 32 chunks but 32,000 rows at most, or 2 MiB of the file where that "
        "comes first, and an eighth of that behind one of which a quarter was rejected; of a text file no less than one piece, up to 512 KiB.",
    )
    batch_import_max_file_size: int = _setting(str(100 * MIB), _bytes(1, 1 << 50), "Largest file that is taken in.")
    batch_import_upload_dir: Path = _setting(
        "/tmp/xyra_imports",  # noqa: S108  the contract's default
        PATH,
        "Where a worker puts files together that are read as a whole; cleared away behind them.",
    )
    import_roots: tuple[Path, ...] = _setting(
        "",
        PATHS,
        "Folders that a job's `file_path` may lie under; no link is followed below them, and whoever may define jobs can read what lies there. Empty: none.",
    )
    import_max_inflated_bytes: int = _setting(
        str(10 * 1024 * MIB), _bytes(MIB, 1 << 50), "Bytes a compressed file may come to; with more of them its job fails."
    )
    import_fetch_seconds: int = _setting(
        "3600", _whole(1, 604_800), "How long it may take to fetch a job's `url`, waits between attempts left out; a retry of the job has as long again."
    )
    import_upload_expiry_seconds: int = _setting("604800", _whole(60, 31_536_000), "How long an upload is kept, whole or not.")
    import_child_memory_bytes: int = _setting(str(1024 * MIB), _bytes(64 * MIB, 1 << 40), "Memory of the process that parses a file.")
    import_child_cpu_seconds: int = _setting("60", _whole(1, 86_400), "CPU time it may take for one portion of a file.")
    kafka_bootstrap_servers: str = _setting(
        "localhost:9092", SERVERS, "The Kafka cluster. Set: that one is used. Not set: `xyra up` starts one on this machine."
    )
    kafka_replication_factor: int = _setting("0", _whole(0, 16), "Replicas of the topics made here; 0 takes the broker's default.")
    kafka_partitions: int = _setting("8", _whole(1, 1024), "Partitions of the topics that flows read. Fixed once they are made.")
    redis_host: str = _setting("localhost", HOST, "The Redis or Valkey. Set: that one is used. Not set: `xyra up` starts one on this machine.")
    redis_port: int = _setting("6379", PORT, "Its port, also of the one started here.")
    redis_password: str = _setting("", TEXT, "Its password, if it wants one.", secret=True)
    local_kafka_port: int = _setting("9092", PORT, "Port of the Kafka that `xyra up` starts; the next higher one is its controller's.")
    data_dir: Path = _setting(".xyra", PATH, "Where the local stack and the workers keep their data.")
    secret_key: str = _setting(
        "", TEXT, "Key that secrets are sealed with, 32 bytes in base64. Empty: made once, kept in `secret.key` under the data directory.", secret=True
    )
    spill: str = _setting(
        "on",
        _choice("on", "off"),
        "While Kafka is away, webhooks are kept on this machine's disk and answered with 202; `off`: with 503. What is kept is written to Kafka either way.",
    )
    spill_max_bytes: int = _setting(
        str(512 * MIB), _bytes(MIB, 1 << 50), "Bytes that one ingress keeps on the disk while Kafka is away; a webhook that would exceed it gets a 503."
    )
    spill_max_age_seconds: int = _setting(
        "86400", _whole(1, 31_536_000), "How old the oldest webhook on the disk may be for more to be kept; then they get a 503. Nothing is thrown away."
    )
    workers: int = _setting("1", _whole(1, 64), "Worker processes that `xyra up` starts for each flow.")
    worker_port: int = _setting("9100", PORT, "First port for the workers' own `/metrics` and `/health`; each slot takes the next one.")
    batch_records: int = _setting("25000", _whole(1, 100_000), "Most records a worker takes in one transaction.")
    batch_wait_ms: int = _setting("15", _whole(1, 1000), "How long a worker waits for a batch to fill.")
    dedupe_window_seconds: int = _setting("604800", _whole(1, 7_776_000), "How long a webhook's id is remembered where its definition says nothing.")
    egress_ports: tuple[Ports, ...] = _setting(
        "80,443,8080,8443", PORTS, "Ports that may be called on public addresses; networks of `INTEGRATION_EGRESS_ALLOW` are free of this rule."
    )
    egress_allow: tuple[Network, ...] = _setting(
        "",
        NETWORKS,
        "Networks that may be called although they are not public, on any port; for targets in one's own network, and for tests (`127.0.0.0/8`). "
        "What else listens there can be reached by whoever may define a URL. A cloud's metadata addresses stay closed.",
    )
    dlq_index_letters: int = _setting(
        "50000", _whole(100, 1_000_000), "Newest dead letters that each ingress holds for lists, about 1 KB each; older ones are counted, and found by id."
    )
    dlq_ratio: float = _setting("0.5", _share(), "A flow pauses itself when it buries more than this part of its records within a minute; 1: never.")
    dlq_min_count: int = _setting("100", _whole(1, 1_000_000_000), "It does so from so many dead letters within a minute on.")
    log_level: str = _setting("info", _choice("debug", "info", "warning", "error"), "Least severe log line that is written.")


def rows() -> list[Row]:
    """Return every setting as a row for documents and screens."""
    return [
        Row(f.name, PREFIX + f.name.upper(), f.metadata["default"], f.metadata["kind"].allowed, f.metadata["meaning"], f.metadata["secret"])
        for f in fields(Settings)
    ]


def load(environ: Mapping[str, str], **overrides: str) -> Settings:
    """Read every setting from `environ` (`os.environ` at the edge, a dict in tests).

    Args:
        environ: variables by name; those that are absent or empty take their default.
        overrides: text values by field name that win over `environ`, such as those of command-line options.

    Raises:
        WrongSetting: values are not allowed; the text names each variable, its value and what is allowed.

    """
    wrong: list[str] = []
    values: dict[str, Any] = {}
    for f in fields(Settings):
        variable, kind = PREFIX + f.name.upper(), f.metadata["kind"]
        text = overrides.get(f.name) or environ.get(variable) or f.metadata["default"]
        try:
            values[f.name] = kind.read(text)
        except (ValueError, KeyError):
            shown = "(hidden)" if f.metadata["secret"] else repr(text)
            wrong.append(f"{variable} is {shown}; allowed is {kind.allowed}")
    if wrong:
        raise WrongSetting(". ".join(wrong) + ".")
    return Settings(**values)


def unknown(environ: Mapping[str, str]) -> list[str]:
    """Return the variables that begin with the prefix and are no setting: a misspelling, most often."""
    known = {row.variable for row in rows()}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
