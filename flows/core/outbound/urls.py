"""URLs that are called, read by one strict grammar: what two parsers could read in two ways is refused and not mended."""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple
from urllib.parse import quote

URL_CHARACTERS: Final = 8192
NAME_CHARACTERS: Final = 253
PORT_OF: Final = {"http": 80, "https": 443}
_LAST_PORT: Final = 65535
_NEVER: Final = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")
_URL: Final = re.compile(r"(https?)://([^/?#]*)([^#]*)(#.*)?", re.IGNORECASE | re.ASCII)
_AUTHORITY: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]*)\]|([^:\[\]@%]+))(?::([1-9][0-9]{0,4}))?")
_LABEL: Final = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_DEVIATIONS: Final = frozenset("\u00df\u03c2\u200c\u200d")
"""Letters that the two IDNA standards take for different names; who means one of them writes the `xn--` form."""
_PLAIN: Final = re.compile(r"[!$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]*")
_KEPT: Final = "!$%&'()*+,-./:;=?@[]_~"


class Target(NamedTuple):
    """Where a URL leads."""

    scheme: str
    host: str
    """A name in lower case ASCII without the last dot, or an address in its shortest form, without brackets."""
    port: int
    path: str
    """As it stands in the request's first line: path and query, percent-encoded where that is needed."""
    authority: str
    """As it stands in `Host`."""
    literal: bool
    """The host is an address and no name."""


class BadUrl(ValueError):
    """Not a URL that is called; the text says why."""


def read(url: str) -> Target:
    """Read a URL.

    Raises:
        BadUrl: it is none that is called.

    """
    if len(url) > URL_CHARACTERS:
        raise BadUrl(f"The URL is longer than {URL_CHARACTERS:,} characters.")
    if _NEVER.search(url):
        raise BadUrl("The URL holds white space, a control character or a backslash; percent-encode them.")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise BadUrl("The URL does not begin with http:// or https://.")
    scheme, authority, rest, fragment = parts[1].lower(), parts[2], parts[3], parts[4]
    if fragment is not None:
        raise BadUrl("The URL has a fragment, which is never sent; leave out what begins with #.")
    host, port, literal = _authority(authority, PORT_OF[scheme])
    path = rest if rest.startswith("/") else f"/{rest}"
    shown = f"[{host}]" if ":" in host else host
    return Target(
        scheme,
        host,
        port,
        path if _PLAIN.fullmatch(path) else quote(path, safe=_KEPT),
        shown if port == PORT_OF[scheme] else f"{shown}:{port}",
        literal,
    )


def _authority(text: str, port: int) -> tuple[str, int, bool]:
    """Return host, port and whether the host is an address, where the scheme's port is `port`."""
    if "@" in text:
        raise BadUrl("The URL holds a user or a password before its host; put credentials into a header.")
    pieces = _AUTHORITY.fullmatch(text)
    if pieces is None or int(pieces[3] or port) > _LAST_PORT:
        raise BadUrl("The URL's host and port are not HOST, HOST:PORT or [IPV6]:PORT, with a port from 1 to 65535.")
    bracketed, host = pieces[1], pieces[2]
    host = _v6(bracketed) if host is None else _host(host)
    return host, int(pieces[3] or port), bracketed is not None or _is_v4(host)


def _v6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise BadUrl("What stands in brackets in the URL is no IPv6 address.") from None


def _host(text: str) -> str:
    """Return a name or an IPv4 address in the form in which it is resolved, connected to and shown to the target."""
    name = (text if text.isascii() else _punycode(text)).lower().removesuffix(".")
    if len(name) > NAME_CHARACTERS or not _NAME.fullmatch(name):
        raise BadUrl("The URL's host is no name that can be resolved; write a name outside of ASCII in its xn-- form.")
    if _NUMBER.fullmatch(name.rpartition(".")[2]) and not _is_v4(name):
        raise BadUrl("The URL's host is a number; write an IPv4 address as four decimal numbers without leading zeros.")
    return name


def _punycode(text: str) -> str:
    """Return a name in its ASCII form, nothing where it has none."""
    if len(text) > NAME_CHARACTERS or _DEVIATIONS & set(text):  # the codec takes time that grows with the square of a long text
        return ""
    try:
        return text.encode("idna").decode("ascii")
    except UnicodeError:
        return ""


def _is_v4(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True
