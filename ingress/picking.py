"""Which dead letters an order means: found by a filter, or named one by one."""

from typing import NamedTuple

from flows.core.deadletters.letters import place_of
from flows.core.deadletters.summaries import BURIED, Status, Summary
from flows.core.errors import Conflict, FieldError, InvalidFields, NotFound
from flows.core.orders import Filter
from ingress.letters import LettersView
from ingress.routes.letter_answers import Wanted


class Picked(NamedTuple):
    """The letters that are meant, and what was named without being one that can be."""

    letters: list[Summary]
    """Those that are buried now and in the index in full."""
    selected: int
    """How many are buried now; of those that a filter finds, as many as are in the index in full."""
    unknown: tuple[str, ...] = ()
    """Ids of no letter that there is."""
    decided: tuple[str, ...] = ()
    """Ids of letters that were replayed or discarded already."""


def pick(view: LettersView, wanted: Wanted) -> Picked:
    """Return the letters that are meant; the newest first, or as they were named.

    Raises:
        InvalidFields: neither a filter nor ids are given, or both.
        NotFound: of none of the ids there is a letter.
        Conflict: of none of the ids there is one that is still buried.

    """
    if (wanted.filter is None) == (wanted.ids is None):
        raise InvalidFields("Say which letters.", errors=(FieldError("", "filter_or_ids", "give filter or ids, one of them; an empty filter means all"),))
    if wanted.ids is None:
        found = [letter for letter in view.matching(wanted.filter or Filter()) if letter.status == BURIED]
        return Picked(found, len(found))
    return _named(view, wanted.ids)


def _named(view: LettersView, ids: tuple[str, ...]) -> Picked:
    stand = {one: view.status(*place) if (place := place_of(one)) is not None else None for one in ids}
    buried = [one for one, status in stand.items() if status == BURIED]
    unknown = tuple(one for one, status in stand.items() if status is None)
    decided = tuple(one for one, status in stand.items() if status not in {None, BURIED})
    if buried:
        return Picked([letter for one in buried if (letter := view.get(one)) is not None], len(buried), unknown, decided)
    wrong = tuple(_error(at, stand[one]) for at, one in enumerate(ids))
    if not decided:
        raise NotFound("There is no dead letter of any of these ids, or none any more; nothing was ordered.", errors=wrong)
    raise Conflict("What becomes of these letters is decided already; nothing was ordered, and nothing is done twice.", errors=wrong)


def _error(at: int, status: Status | None) -> FieldError:
    if status is None:
        return FieldError(f"/ids/{at}", "unknown", "the index of dead letters has none of this id")
    return FieldError(f"/ids/{at}", status, f"this letter was {status} already")
