"""Errors, grouped by what follows from them.

XyraError
├── Refused              the caller can mend it: answered as a problem document (RFC 9457)
│   ├── BadRequest       400  malformed
│   ├── InvalidFields    422  well formed, but fields are wrong; carries a pointer for each
│   ├── Unauthorized     401  no valid key, or no valid signature
│   ├── NotFound         404
│   ├── MethodNotAllowed 405
│   ├── Conflict         409  it exists already
│   ├── Gone             410  it was deactivated
│   ├── OtherVersion     412  it speaks no version of a protocol that is spoken here
│   ├── TooLarge         413
│   ├── UnsupportedMedia 415
│   ├── Locked           423  another request has it in hand
│   ├── HeadTooLarge     431
│   └── Damaged          460  a checksum says that bytes were damaged on the way
├── OurError             500  it is an error of ours
├── Unavailable          503  a part we depend on is away: the same call works later; ends a worker with exit 8
├── WrongSetting         exit 2: the operator mends the setting and starts again
├── Busy                 exit 3: a port, a slot or a data directory is held by somebody else
└── Fatal                exit 4: the process cannot go on; it ends without committing and is started again
    ├── Fenced           another process has taken this slot over, or this one stood still
    ├── Expired          the group went on without this process
    ├── UnknownOutcome   a transaction may or may not have been committed
    ├── StateDamaged     a store cannot be read; the next start rebuilds it from its changelog
    └── StateNewer       a store or changelog was written by a newer version
"""

from dataclasses import dataclass
from typing import ClassVar, Final

PROBLEM: Final = "application/problem+json"
"""What a refusal is answered as over HTTP."""
AWAY: Final = 8
"""Exit code of a worker, or an ingress, that a part it depends on was away from; of a command that only asks it is 1, and 5 to 7 are `xyra import`'s."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field: a JSON pointer to it, a stable code, a sentence."""

    pointer: str
    code: str
    detail: str


class XyraError(Exception):
    """Anything this project raises on purpose; the text says what happened, where, and what to do."""

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "Something went wrong"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    operator: ClassVar[str] = "Read the text; it names the place."

    def __init__(self, detail: str, *, errors: tuple[FieldError, ...] = (), retry_after_s: int | None = None) -> None:
        """Take a sentence for a person, the wrong fields, and when to come back."""
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.retry_after_s = retry_after_s


class Refused(XyraError):
    """The caller can mend it."""

    code, title, status = "refused", "The request was refused", 400
    operator = "Nothing: the caller mends the request."


class BadRequest(Refused):
    """The request could not be read."""

    code, title, status = "bad_request", "The request could not be read", 400


class InvalidFields(Refused):
    """The request was read, but fields are wrong."""

    code, title, status = "invalid_fields", "Some fields are not valid", 422


class Unauthorized(Refused):
    """No valid key or signature; says no more, so that nothing can be learned from it."""

    code, title, status = "unauthorized", "Not authorized", 401


class NotFound(Refused):
    """There is no such thing."""

    code, title, status = "not_found", "Not found", 404


class MethodNotAllowed(Refused):
    """The path exists, the method does not."""

    code, title, status = "method_not_allowed", "Method not allowed", 405


class Conflict(Refused):
    """It exists already, somebody else was first, or it is not the time for it."""

    code, title, status = "conflict", "It cannot be done as things stand", 409


class Gone(Refused):
    """It was deactivated."""

    code, title, status = "gone", "It was deactivated", 410


class OtherVersion(Refused):
    """The request does not say a version of its protocol that is spoken here."""

    code, title, status = "precondition_failed", "Another version of the protocol", 412


class TooLarge(Refused):
    """More bytes than the setting allows."""

    code, title, status = "too_large", "Too large", 413


class UnsupportedMedia(Refused):
    """A content encoding or type nobody here reads."""

    code, title, status = "unsupported_media", "Unsupported content", 415


class Locked(Refused):
    """Another request has it in hand; the same call works when that one is over."""

    code, title, status = "locked", "Another request has it in hand", 423


class HeadTooLarge(Refused):
    """The head of the request has more bytes than are read."""

    code, title, status = "request_header_fields_too_large", "The head is too large", 431


class Damaged(Refused):
    """The bytes are not those that the request's checksum was made of; nothing was taken."""

    code, title, status = "checksum_mismatch", "Damaged on the way", 460  # the status is the tus protocol's own


class OurError(XyraError):
    """The request was as it should be, and failed by an error of ours."""

    code, title, status = "error", "Something went wrong", 500
    operator = "Look into the ingress's log, which has the details, and report them."


class Unavailable(XyraError):
    """A part we depend on is away or slow; nothing was accepted, and the same call works later."""

    code, title, status = "unavailable", "A part this depends on is away", 503
    operator = "Look at `GET /health` for the part that is away; senders come back by themselves."


class WrongSetting(XyraError):
    """A setting has a value that is not allowed."""

    code, title, exit_code = "wrong_setting", "A setting has a wrong value", 2
    operator = "Set the named variable to what the text allows and start again."


class Busy(XyraError):
    """A port, a worker slot or a data directory is held by another process."""

    code, title, exit_code = "busy", "Held by another process", 3
    operator = "Stop the process the text names, or choose another port, slot or directory with the setting it names."


class Fatal(XyraError):
    """The process cannot go on: it ends without committing, so that nothing is lost or doubled, and is started again."""

    code, title, exit_code = "fatal", "The process cannot go on", 4
    operator = (
        "Nothing at first: its supervisor (`xyra up`) starts it again; one that was started by hand you start again yourself. "
        "If it repeats, the text says which part to look at."
    )


class Fenced(Fatal):
    """Another process with the same slot has taken over, and its work goes on there; or this one stood still until Kafka ended its transaction."""

    code, title = "fenced", "Kafka has shut this process out"


class Expired(Fatal):
    """The process gave no sign of life for longer than its group waits, as when its machine stands still; its partitions were given away, or wait for it."""

    code, title = "expired", "The group has gone on without this process"


class UnknownOutcome(Fatal):
    """Whether a transaction was committed is not known; the next start finds out from the committed offsets."""

    code, title = "unknown_outcome", "The outcome of a transaction is unknown"


class StateDamaged(Fatal):
    """A store cannot be read; it is thrown away and rebuilt from its changelog, at once where that is possible, else on the next start."""

    code, title = "state_damaged", "A state store is damaged"


class StateNewer(Fatal):
    """A store, or its changelog, was written by a newer version of this project."""

    code, title = "state_newer", "The state was written by a newer version"
    operator = "Start the version that wrote it, or delete that state as the text says."


def ending(error: XyraError) -> tuple[int, str]:
    """Return with which exit code an error ends a worker or an ingress, and what an operator does then."""
    return (AWAY, Fatal.operator) if isinstance(error, Unavailable) else (error.exit_code, error.operator)
