"""Find a value in a record by the places that a verification scheme names."""

from collections.abc import Iterable, Mapping
from typing import Any

from flows.core import pointer
from flows.core.verification import Location


def find(places: Iterable[Location], headers: Mapping[str, str], document: Any, *, numbers: bool = False) -> str | None:
    """Return the first text that stands at one of `places`; None when there is none.

    Only headers as a whole and places in the body are looked at: a record has no query, and no id stands inside of a signature's list.

    Args:
        places: in order of preference.
        headers: by name in lower case.
        document: the body as JSON; `pointer.ABSENT` where it is none.
        numbers: whole numbers count as texts, as they do for ids.

    """
    for at in places:
        value: Any = None
        if at.header is not None and at.element is None:
            value = headers.get(at.header.lower())
        elif at.path is not None:
            value = pointer.get(document, pointer.parse(at.path))
        if (type(value) is str and value) or (numbers and type(value) is int):
            return str(value)
    return None
