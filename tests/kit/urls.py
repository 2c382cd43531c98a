"""URLs that try to lead a client astray: the published list, and as many more as are wanted."""

import json
import random
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple

CORPUS = Path(__file__).parents[1] / "vectors" / "egress_urls.jsonl"


class Bypass(NamedTuple):
    """One URL of the list."""

    why: str
    url: str
    resolves: tuple[str, ...]
    """What name servers say of its host."""


def corpus() -> list[Bypass]:
    """Return the published list."""
    rows = map(json.loads, CORPUS.read_text(encoding="utf-8").splitlines())
    return [Bypass(row["why"], row["url"], tuple(row.get("resolves", ("127.0.0.1",)))) for row in rows]


PUBLIC: Sequence[str] = ("8.8.8.8", "1.1.1.1", "2606:4700:4700::1111")
INSIDE: Sequence[str] = (
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.5", "172.20.1.1", "192.168.3.3", "169.254.169.254", "100.64.1.1", "224.0.0.1", "168.63.129.16"),  # noqa: S104  nothing is bound to it
    *("::1", "::", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "fe80::1", "fe80::1%lo", "fd00::1", "fec0::1", "ff02::1"),
)

_SPELLINGS: Sequence[Callable[[int, str], str]] = (
    lambda _, text: text,
    lambda number, _: str(number),
    lambda number, _: hex(number),
    lambda number, _: f"0{number:o}",
    lambda number, _: f"{number >> 24}.{number & 0xFFFFFF}",
    lambda number, _: f"{number >> 24}.{number >> 16 & 255}.{number & 0xFFFF}",
    lambda _, text: ".".join(f"0{int(part):o}" for part in text.split(".")),
    lambda _, text: ".".join(hex(int(part)) for part in text.split(".")),
    lambda _, text: f"[::ffff:{text}]",
    lambda _, text: f"[::{text}]",
    lambda _, text: f"[64:ff9b::{text}]",
    lambda _, text: text.replace(".", "\u3002"),
    lambda _, text: "".join(chr(ord(c) + 0xFEE0) for c in text),
    lambda _, text: text.replace(".", "%2e"),
    lambda _, text: f"{text}.",
    lambda _, text: f"{text}.nip.test",
    lambda _, text: f"good.test@{text}",
    lambda _, text: f"{text}@good.test",
    lambda _, text: f"good.test\\@{text}",
    lambda _, text: f"good.test#@{text}",
    lambda _, text: f"good.test:80@{text}",
    lambda _, text: f"{text}%00.good.test",
    lambda _, text: f"{text}\t",
)
_PIECES = [
    *"/:@#?[]\\.%&;= \t\r\n\0x017afF-_|<>",
    "//",
    "::",
    "%2f",
    "%40",
    "%00",
    "\u3002",
    "\uff0e",
    "\u200b",
    "\u00ad",
    "\u24db",
    "http",
    "localhost",
    "good.test",
]


def fuzzed(random_: random.Random, port: int) -> str:
    """Return a URL: most often one of `port` on an inside address in some spelling, now and then bent out of shape."""
    address = str(IPv4Address(random_.getrandbits(32))) if random_.random() < 0.2 else random_.choice(["127.0.0.1", "0.0.0.0", "10.0.0.5", "169.254.169.254"])  # noqa: S104  as above
    host = random_.choice(_SPELLINGS)(int(IPv4Address(address)), address)
    url = f"{random_.choice(['http', 'https', 'HTTP'])}://{host}:{port}/{random_.choice(['', 'x', '?a=b', '//y'])}"
    for _ in range(random_.choice([0, 0, 1, 2, 4])):
        at, piece = random_.randrange(len(url) + 1), random_.choice(_PIECES)
        url = url[:at] + piece + url[at + random_.choice([0, 0, 1]) :]
    return url


class Rebinding:
    """A name server that says something else each time: public, inside, or both at once."""

    def __init__(self, random_: random.Random) -> None:
        """Take the dice."""
        self._random = random_

    def __call__(self, _: str) -> list[str]:
        """Answer for a name."""
        kind = self._random.randrange(3)
        inside, public = self._random.choice(INSIDE), self._random.choice(PUBLIC)
        return [[inside], [public, inside], [inside, public]][kind]
