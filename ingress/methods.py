"""Which methods a path takes: what a 405 says in `Allow` and in words; and what a 404 says of a path that takes none."""

from collections.abc import Mapping
from typing import Any, Final

from flows.core.resources import RESERVED_IDS

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


def allowed(paths: Mapping[str, Mapping[str, Any]], path: str, endpoint_id: str) -> tuple[str, ...]:
    """Return, sorted, every method of a path; none when it is not in the OpenAPI document.

    Args:
        paths: those of the OpenAPI document, which has all the routes of a path together, the hot one too.
        path: the path as the document writes it, such as `/integration/webhooks/{endpoint_id}`.
        endpoint_id: what stands for `{endpoint_id}`; nobody posts to one that is reserved.

    """
    found = {method.upper() for method in paths.get(path, ())}
    if path.endswith("/webhooks/{endpoint_id}") and endpoint_id in RESERVED_IDS:
        found.discard("POST")
    return tuple(sorted(found))


def sentence(methods: tuple[str, ...]) -> str:
    """Say which methods there are."""
    *most, last = methods
    return f"This path takes {', '.join(most)} and {last}." if most else f"This path takes {last} only."


def nowhere(method: str) -> str:
    """Say that there is no such path. The path is not repeated: it is the caller's, and may hold what belongs into no log; nor is a method that is none."""
    told = f"{method} on this path" if method in METHODS else "this path"
    return f"There is no route for {told}. `GET /openapi.json` lists the routes, without a key; so does the README, under Routes."
