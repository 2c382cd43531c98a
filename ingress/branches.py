"""Of what a validator says of a field that may be of several kinds, what is about the kind that was given."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

OTHER_KIND: Final = frozenset(
    {
        *("model_type", "model_attributes_type", "dict_type", "mapping_type", "tuple_type", "list_type", "string_type"),
        *("int_type", "int_parsing", "float_type", "float_parsing", "bool_type", "bool_parsing", "datetime_type"),
    }
)
"""The validator's types of error that say: this is no value of that kind at all."""

Place = tuple[str | int, ...]
"""Where something stands in a body: names and numbers from its outside inwards."""


class Branch(NamedTuple):
    """One of the kinds that a field may have, as the validator names it."""

    place: Place
    name: str


class Found(NamedTuple):
    """One thing that the validator says, and what it is about."""

    said: Mapping[str, Any]
    branches: tuple[Branch, ...]
    """The kinds that were tried on the way to it, from the outside inwards."""
    place: Place
    value: Any
    """What stands there."""

    @property
    def refuses(self) -> Branch | None:
        """The kind that the value given is not of; None: it says something else."""
        if not self.branches or self.branches[-1].place != self.place:
            return None
        return self.branches[-1] if self._other_kind() else None

    def _other_kind(self) -> bool:
        if self.said["type"] == "literal_error":  # one of some texts is text; the one `false` is a kind of its own
            return not (isinstance(self.value, str) and "'" in str(self.said.get("ctx", {}).get("expected")))
        return self.said["type"] in OTHER_KIND


def fitting(found: Iterable[Mapping[str, Any]], body: object) -> Iterator[Mapping[str, Any]]:
    """Leave out what nobody can use: that a value is not of another kind than it is, and that a list is too short which is not.

    Where a field may be an object or false, an object with a wrong field is told of that field, and not that it is not false.
    What is of none of the kinds is told them all.

    Args:
        found: what the validator says.
        body: what was read.

    """
    read = [_read(one, body) for one in found]
    refused = {one.refuses for one in read if one.refuses is not None}
    taken = {branch.place for one in read for branch in one.branches if branch not in refused}
    for one in read:
        unfit = any(branch in refused and branch.place in taken for branch in one.branches)
        if not unfit and not _long_enough(one):
            yield one.said


def _long_enough(found: Found) -> bool:
    """Tell whether a list is called too short only since some of what it holds was not valid."""
    least = found.said.get("ctx", {}).get("min_length")
    return found.said["type"] == "too_short" and isinstance(found.value, list) and isinstance(least, int) and len(found.value) >= least


def _read(said: Mapping[str, Any], body: object) -> Found:
    location = tuple(said["loc"])
    inner = location[1:] if location[:1] == ("body",) else ()
    if said["type"] == "missing":  # its last part is not in the body either, and no kind
        inner = inner[:-1]
    here, place, branches = body, Place(()), list[Branch]()
    for part in inner:
        if isinstance(here, dict) and part in here:
            here, place = here[part], (*place, part)
        elif isinstance(here, list) and part in range(len(here)):
            here, place = here[int(part)], (*place, part)
        else:
            branches.append(Branch(place, str(part)))
    return Found(said, tuple(branches), place, here)
