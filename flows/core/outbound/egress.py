"""Calls out, as data and as rules: what is asked for, what came of it, and which URLs and addresses may be called. No I/O; `flows.wire.egress` calls."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from flows.core.outbound.addresses import Network, is_allowed, is_listed, is_metadata, parse
from flows.core.outbound.urls import BadUrl, Target, read
from flows.core.settings import Ports, Settings

Code = Literal[
    "url_invalid",
    "port_not_allowed",
    "address_not_allowed",
    "request_invalid",
    "dns_failed",
    "connect_failed",
    "tls_failed",
    "timed_out",
    "no_place",
    "closed",
    "bad_answer",
    "answer_head_too_large",
]


class CodeRow(NamedTuple):
    """One thing that can come of a call instead of an answer."""

    code: Code
    for_good: bool
    """The same call would come to the same, for as long as the settings stay as they are."""
    meaning: str
    operator: str


CODES: Final = (
    CodeRow("url_invalid", True, "The URL is none that may be called: scheme, user, fragment, host or port are not plain.", "Mend the URL as the text says."),
    CodeRow(
        "port_not_allowed",
        True,
        "The URL's port is not among those that may be called.",
        "Add the port to `INTEGRATION_EGRESS_PORTS`, or the network to `INTEGRATION_EGRESS_ALLOW`.",
    ),
    CodeRow(
        "address_not_allowed",
        False,
        "The host is, or resolves to, an address that is not public; nothing is sent. A name may lead elsewhere later.",
        "Where it is meant, add its network to `INTEGRATION_EGRESS_ALLOW`; a cloud's metadata is never called.",
    ),
    CodeRow("request_invalid", True, "The method or a header cannot be sent.", "Mend the header that the text names."),
    CodeRow("dns_failed", False, "The host's name was not resolved.", "Look for a misspelt name, then at the resolver of the machine."),
    CodeRow("connect_failed", False, "No connection: refused, unreachable, or this process has no descriptors left.", "Look whether the target is up."),
    CodeRow("tls_failed", False, "No TLS: the certificate was not accepted, or nothing from TLS 1.2 on was agreed on.", "Tell the target's owner."),
    CodeRow(
        "timed_out",
        False,
        "The whole call, from resolving to the answer's last byte, was not done in time; of a delivery's answer the last header counts.",
        "Look whether the target is slow.",
    ),
    CodeRow(
        "no_place",
        False,
        "As many calls as may be at once were under way for half of the call's time, to that host or in all, or look-ups of names; nothing is sent.",
        "Look which targets on that host, or name servers, are slow; lower `concurrency` or `timeout_seconds` of those.",
    ),
    CodeRow(
        "closed", False, "The target closed the connection before its answer was whole; of a delivery's answer the head counts.", "Tell the target's owner."
    ),
    CodeRow("bad_answer", False, "What came back is not HTTP/1.1.", "Look whether the URL's port and scheme are right."),
    CodeRow("answer_head_too_large", False, "The answer has more or longer headers, or more framing, than is read.", "Tell the target's owner."),
)
"""Everything that can come of a call instead of an answer; the README's table is made from it."""

METADATA_NAMES: Final = frozenset(
    "metadata metadata.google.internal metadata.goog instance-data instance-data.ec2.internal metadata.tencentyun.com metadata.azure.internal "
    "rancher-metadata metadata.packet.net metadata.platformequinix.com metadata.nicconnect.net".split()
)
NEVER_SENT: Final = frozenset(
    "host content-length transfer-encoding connection keep-alive te trailer upgrade expect proxy-authorization proxy-connection".split()
)
"""Headers that are the connection's own: the client writes them, or nobody does."""
WITH_LENGTH: Final = frozenset({"POST", "PUT", "PATCH"})
_METHOD: Final = re.compile(r"(?!CONNECT$|TRACE$)[A-Z]{1,16}")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,16384}")


class Outgoing(NamedTuple):
    """A request to make."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    """`Host`, `Content-Length` and what else is the connection's own are not the caller's."""
    body: bytes = b""
    deadline_s: float = 15.0
    """For the whole call: resolving, waiting for a place, connecting, sending, the answer to its last byte, or with `rest_s` to its last header."""
    keep_bytes: int = 64 * 1024
    """Bytes of the answer's body that are kept."""
    repeatable: bool = False
    """Whether the target may get it twice, as when it carries an idempotency key: then one that a kept connection swallowed is sent once more."""
    rest_s: float | None = None
    """How long the body is waited for once the answer's head is there. What has not come by then, or by the deadline, is done without, as is what
    follows a body that breaks off: the head's word stands. None: the body is wanted, and without its end or `keep_bytes` of it there is no answer."""


class Answer(NamedTuple):
    """What came back, whatever its status says; redirects are not followed."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """In the order they came, names in lower case."""
    body: bytes
    """The first `keep_bytes`, as they came: a content encoding is left as it is."""
    truncated: bool
    """Whether there was more, or with `rest_s` may have been."""
    seconds: float
    address: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """It was not called: nothing was connected to. Whether it may be later is its row's to say (`CODES`). The sentence holds no query and no address."""

    code: Code
    detail: str


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer this time; the same call may work later. The sentence holds nothing that the target said."""

    code: Code
    detail: str
    sent: bool = False
    """Whether the target may have got the request, in part or as a whole."""


class Vetted(NamedTuple):
    """The addresses of a host, each of which may be called."""

    addresses: tuple[str, ...]
    listed: bool
    """All are in the networks of the setting, so that any port may be called."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be called, as the settings say."""

    ports: tuple[Ports, ...]
    allow: tuple[Network, ...]

    @classmethod
    def of(cls, settings: Settings) -> "Policy":
        """Return the policy of the settings."""
        return cls(settings.egress_ports, settings.egress_allow)

    def judge(self, url: str) -> Target | Refusal:
        """Return where a URL leads, or why it is not called; a name is not resolved for it, an address is judged at once."""
        try:
            target = _read(url)
        except BadUrl as error:
            return Refusal("url_invalid", str(error))
        address = parse(target.host) if target.literal else None
        if target.host in METADATA_NAMES or (address is not None and is_metadata(address)):
            return Refusal("address_not_allowed", f"{target.host} is a cloud's metadata service, which is never called.")
        if target.literal:
            vetted = self.vet(target.host, (target.host,))
            return vetted if isinstance(vetted, Refusal) else self.port(target, vetted) or target
        return target if self.allow else self.port(target, None) or target

    def vet(self, host: str, addresses: Sequence[str]) -> Vetted | Refusal:
        """Return the addresses of a host if every one of them may be called; one that may not refuses the whole host."""
        found = [parse(text) for text in addresses]
        read = [address for address in found if address is not None]
        if not read or len(read) < len(found) or not all(is_allowed(address, self.allow) for address in read):
            return Refusal(
                "address_not_allowed",
                f"{host} is or resolves to an address that is not public. If it is meant to be called, add its network to INTEGRATION_EGRESS_ALLOW.",
            )
        return Vetted(tuple(dict.fromkeys(map(str, read))), all(is_listed(address, self.allow) for address in read))

    def port(self, target: Target, vetted: Vetted | None) -> Refusal | None:
        """Return why a target's port may not be called, if so."""
        if (vetted and vetted.listed) or any(ports.low <= target.port <= ports.high for ports in self.ports):
            return None
        return Refusal("port_not_allowed", f"Port {target.port} of {target.host} is not among INTEGRATION_EGRESS_PORTS ({', '.join(map(str, self.ports))}).")


@lru_cache(maxsize=1024)  # the same few targets again and again
def _read(url: str) -> Target:
    return read(url)


def sendable(name: str, value: str) -> bool:
    """Tell whether a header can be sent: a name that is not the connection's own, and a value of one line."""
    return bool(_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)) and name.lower() not in NEVER_SENT


def head(target: Target, request: Outgoing) -> bytes | Refusal:
    """Return the request's line and headers as they are sent, or why they cannot be."""
    if not _METHOD.fullmatch(request.method):
        return Refusal("request_invalid", f"The method {request.method[:32]!r} cannot be sent; methods are capital letters, and neither CONNECT nor TRACE.")
    lines = [f"{request.method} {target.path} HTTP/1.1\r\nHost: {target.authority}\r\n"]
    own = set()
    for name, value in request.headers:
        own.add(name.lower())
        if not sendable(name, value):
            return Refusal(
                "request_invalid",
                f"The header {name[:64]!r} cannot be sent: a name is a token and not one of the connection's own, "
                "a value is at most 16,384 characters of Latin-1 in one line.",
            )
        lines.append(f"{name}: {value}\r\n")
    if "accept-encoding" not in own:
        lines.append("Accept-Encoding: identity\r\n")
    if request.body or request.method in WITH_LENGTH:
        lines.append(f"Content-Length: {len(request.body)}\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("latin-1")
