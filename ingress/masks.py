"""What is not shown of a request that was kept, whoever wrote it down."""

import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlencode

import orjson

from ingress.envelope import CREDENTIALS

MASK: Final = "***"
SECRET: Final = re.compile(r"auth(?!ors?\b)|cookie|secret|token|passw|signature|credential|api[-_]?key|session|hmac|(?<![a-z])sig(?![a-z])", re.IGNORECASE)
"""Names of headers and parameters; what a sender signed with them is known to be good or bad from the verdict."""


class Request(NamedTuple):
    """A request as it may be shown."""

    method: str
    path: str
    query: str
    headers: dict[str, str]


def masked(name: str) -> bool:
    """Tell whether the value of a header or parameter of that name is not shown."""
    return name.lower().encode("utf-8", "replace") in CREDENTIALS or SECRET.search(name) is not None


def request(raw: bytes | None) -> Request | None:
    """Read `x-http` with credentials masked; None where it is not as the door writes it. A producer may have written it: the door leaves credentials out."""
    try:
        found = orjson.loads(raw or b"")
        headers = {str(name): MASK if masked(str(name)) else str(value) for name, value in found["headers"].items()}
        query = [(name, MASK if masked(name) else value) for name, value in parse_qsl(str(found["query"]), keep_blank_values=True)]
        return Request(str(found["method"]), str(found["path"]), urlencode(query, safe="*"), headers)
    except (KeyError, TypeError, AttributeError, ValueError):
        return None
