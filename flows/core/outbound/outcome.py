"""What follows from a call to a target: one row for each kind of answer and each way in which there is none.

A row that is *retried* may come out well later without anybody changing the record; one that is *buried* will not. Codes are stable:
they stand in dead letters, in metrics and in the README, whose table is made from these rows.
"""

from dataclasses import dataclass
from typing import Final, Literal

from flows.core.verdict import Reason

Consequence = Literal["delivered", "retried", "buried", "deactivated"]
"""`deactivated`: deliveries of the endpoint are, and the record is buried."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One way a call can end."""

    code: str
    when: str
    consequence: Consequence
    failing: bool
    """Whether it counts against the target in its breaker: it is the target that fails, or is not there, and not the record."""
    meaning: str
    """What happened and what follows, for a person."""
    counts: bool = True
    """Whether it was an attempt; where the target was not even turned to none is spent, and nothing is learnt of the target."""

    def reason(self, seen: str) -> Reason:
        """Return the reason a record is retried or buried for; `seen` is what there was to see, such as `HTTP 404`."""
        return Reason(self.code, f"{seen}: {self.meaning}")


DELIVERED: Final = Outcome("delivered", "2xx", "delivered", False, "The target has it.")
REDIRECTED: Final = Outcome(
    "redirected", "3xx", "retried", True,
    "The target points elsewhere. No redirect is followed, since nobody has vetted where it leads; targets move back and definitions are mended, "
    "so it is tried again. Set `url` to the new place.",
)  # fmt: skip
REQUEST_TIMEOUT: Final = Outcome("request_timeout", "408", "retried", True, "The target did not get the whole request in its time.")
CONFLICT: Final = Outcome("conflict", "409", "retried", False, "The target is busy with the same thing.")
GONE: Final = Outcome("gone", "410", "deactivated", False, "The target wants nothing any more: its deliveries are switched off. Enable them to go on.")
TOO_EARLY: Final = Outcome("too_early", "425", "retried", False, "The target does not take this yet.")
THROTTLED: Final = Outcome("throttled", "429", "retried", True, "The target takes no more for now. A lower `rate_per_second` avoids this.")
REFUSED: Final = Outcome(
    "refused", "any other 4xx", "buried", False, "The target refuses this request, and would again. Mend the target or the definition, then replay."
)
TARGET_FAILED: Final = Outcome("target_failed", "5xx", "retried", True, "The target failed.")
UNEXPECTED_STATUS: Final = Outcome("unexpected_status", "any other status", "retried", True, "The target answered with a status that is none of HTTP's.")

TIMED_OUT: Final = Outcome(
    "timed_out", "no answer in time", "retried", True, "The target did not answer within `timeout_seconds`; it may have the request nevertheless."
)
NO_PLACE: Final = Outcome(
    "no_place", "nothing, for want of a place among the calls", "retried", False,
    "As many calls as may be at once were under way, to its host or in all. Nothing was sent, and no attempt is spent.", counts=False,
)  # fmt: skip
DNS_FAILED: Final = Outcome("dns_failed", "a name that is not resolved", "retried", True, "The target's name could not be resolved; nothing was sent.")
ADDRESS_NOT_ALLOWED: Final = Outcome(
    "address_not_allowed", "an address that is not public", "retried", True,
    "The target's name leads into a network that is not public, so nothing was sent; names are mended, so it is tried again.",
)  # fmt: skip
URL_INVALID: Final = Outcome("url_invalid", "a URL that is never called", "buried", False, "This URL is not called. Mend `url`, then replay.")
PORT_NOT_ALLOWED: Final = Outcome("port_not_allowed", "a port that is never called", "buried", False, "This port is not called. Mend `url`, then replay.")
REQUEST_INVALID: Final = Outcome("request_invalid", "a request that cannot be sent", "buried", False, "A header of this request cannot be sent.")
CONNECT_FAILED: Final = Outcome("connect_failed", "no connection", "retried", True, "The target took no connection; nothing was sent.")
TLS_FAILED: Final = Outcome(
    "tls_failed", "no trusted TLS connection", "retried", True, "The target's certificate is not valid, or it speaks no TLS; nothing was sent."
)
CLOSED: Final = Outcome(
    "closed", "a connection closed before the answer", "retried", True, "The target closed the connection; it may have the request nevertheless."
)
BAD_ANSWER: Final = Outcome("bad_answer", "an answer that is no HTTP", "retried", True, "The target's answer could not be read; it may have the request.")
ANSWER_HEAD_TOO_LARGE: Final = Outcome(
    "answer_head_too_large", "an answer with too many headers", "retried", True, "The target's answer has more headers than are read; it may have the request."
)
UNKNOWN_ERROR: Final = Outcome("unknown_error", "any other error", "retried", True, "The call failed for a reason that is not known.")

SECRET_UNUSABLE: Final = Outcome(
    "secret_unusable", "a secret that cannot be opened", "retried", False, "The delivery could not be signed with the key here; nothing was sent."
)

ATTEMPTS_SPENT: Final = Outcome("attempts_spent", "the last attempt failed", "buried", False, "All attempts were made. Mend the target, then replay.")
TIME_SPENT: Final = Outcome(
    "time_spent", "the next attempt would be too late", "buried", False, "The time for all attempts is over. Mend the target, then replay."
)

BY_STATUS: Final = {408: REQUEST_TIMEOUT, 409: CONFLICT, 410: GONE, 425: TOO_EARLY, 429: THROTTLED}
BY_CLASS: Final = {2: DELIVERED, 3: REDIRECTED, 4: REFUSED, 5: TARGET_FAILED}
ERRORS: Final = {
    row.code: row
    for row in (
        *(TIMED_OUT, NO_PLACE, DNS_FAILED, ADDRESS_NOT_ALLOWED, URL_INVALID, PORT_NOT_ALLOWED, REQUEST_INVALID),
        *(CONNECT_FAILED, TLS_FAILED, CLOSED, BAD_ANSWER, ANSWER_HEAD_TOO_LARGE, UNKNOWN_ERROR, SECRET_UNUSABLE),
    )
}
"""Ways in which there is no answer, by the code that the caller of the target gives."""
OUTCOMES: Final = tuple(value for value in dict(globals()).values() if isinstance(value, Outcome))


def of_status(status: int) -> Outcome:
    """Return what follows from an answer's status, whatever number it is."""
    return BY_STATUS.get(status) or BY_CLASS.get(status // 100, UNEXPECTED_STATUS)


def of_error(code: str) -> Outcome:
    """Return what follows from an error's code; one that has no row is `unknown_error`."""
    return ERRORS.get(code, UNKNOWN_ERROR)
