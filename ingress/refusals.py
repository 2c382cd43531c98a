"""The refusals that routes may answer with, as the OpenAPI document tells of them."""

from collections.abc import Iterable
from typing import Any, Final

from flows.core.errors import PROBLEM

REF: Final = "#/components/schemas/"
AS_PROBLEM: Final = {PROBLEM: {"schema": {"$ref": REF + "ProblemAnswer"}}}
MEANING: Final = {
    "400": "The request could not be read.",
    "401": "No valid key.",
    "404": "There is no such thing.",
    "405": "The path exists, the method does not.",
    "408": "The body did not come in time.",
    "409": "It exists already, it is the last one, or it is not the time for it.",
    "410": "It was deactivated.",
    "412": "`Tus-Resumable` does not say a version that is spoken here; `Tus-Version` says which are.",
    "413": "Too large.",
    "415": "A content type or encoding nobody here reads.",
    "422": "Fields are wrong; each is named.",
    "423": "Another request writes to the same upload.",
    "460": "The body does not come to its checksum; nothing was taken.",
    "503": "A part this depends on is away; the same call works later.",
}
BODY: Final = ("400", "408", "413", "415", "422")
"""What may be wrong with a body."""


def refusals(statuses: Iterable[str], **otherwise: str) -> dict[str, Any]:
    """Return the answers of these statuses, in their order.

    Args:
        statuses: which, as text.
        otherwise: what a status means here, where that is something else: `s401="..."`.

    """
    return {status: {"description": otherwise.get(f"s{status}", MEANING[status]), "content": AS_PROBLEM} for status in sorted(set(statuses))}
