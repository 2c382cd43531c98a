"""Which of several forms an answer has: what `Accept` says (RFC 9110, 12.5.1), read in one place."""

from collections.abc import Sequence
from typing import Final

JSON: Final = "application/json"


def preferred(accept: str, offered: Sequence[str]) -> str:
    """Return the media type of those offered that a client wants most.

    The highest weight wins; of equals the one that is named more exactly, then the one that is named first, then the first offered. A type with
    the weight 0 is not wanted. Who wants none of them gets the first: an answer in another form is of more use than a refusal.
    """
    ranges = [_range(part) for part in accept.split(",") if part.strip()]
    found = list[tuple[float, int, int, int]]()
    for index, kind in enumerate(offered):
        names = ("*/*", kind.partition("/")[0] + "/*", kind)
        exactness, place, weight = max(
            ((names.index(name), -place, weight) for place, (name, weight) in enumerate(ranges) if name in names), default=(0, 0, 0.0)
        )
        if weight > 0:
            found.append((weight, exactness, place, -index))
    return offered[-max(found)[-1]] if found else offered[0]


def _range(part: str) -> tuple[str, float]:
    """Read a media range and its weight; a weight that is none counts as 1, its default."""
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            return name, _weight(value.strip())
    return name, 1.0


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 1.0
    return weight if 0 <= weight <= 1 else 1.0
