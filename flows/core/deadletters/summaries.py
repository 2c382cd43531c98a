"""The summary of a dead letter: what stands on `xyra.letters`, what lists show and filters look at."""

from dataclasses import MISSING, asdict, dataclass, fields
from sys import intern
from typing import Any, Final, Literal

import orjson

from flows.core.deadletters.letters import (
    LEFT_OUT,
    MOST_DIGITS,
    OURS,
    OURS_PREFIX,
    REPLAYED_LETTER,
    THEIRS,
    class_of,
    event_id_of,
    fingerprint,
    letter_id,
    place_of,
)
from flows.core.record import Record
from flows.core.verdict import Reason

MOST_REASONS: Final = 8
MOST_DETAIL: Final = 300
MOST_NAME: Final = 512
NONE: Final = "-"

Status = Literal["buried", "replayed", "discarded"]
BURIED: Final[Status] = "buried"
REPLAYED: Final[Status] = "replayed"
DISCARDED: Final[Status] = "discarded"


@dataclass(frozen=True, slots=True)
class Summary:
    """One dead letter. Its status changes once at most: from `buried` to `replayed`, or to `discarded`."""

    id: str
    event_id: str
    resource: str
    flow: str
    step: str
    letter_class: str
    fingerprint: str
    code: str
    reasons: tuple[Reason, ...]
    """The first of them; the letter itself has all."""
    reason_count: int
    topic: str
    """Where the record stood, with its partition and offset."""
    partition: int
    offset: int
    attempt: int
    version: str
    buried_at_ms: int
    size: int
    """Bytes of the record's value."""
    whole: bool = True
    """Whether the letter has the record's bytes, so that it can be replayed."""
    replayed_letter: str = ""
    """The letter that this record was before it was replayed and buried once more."""
    status: Status = BURIED
    order: str = ""
    """Id of the replay or discard that decided, or tried to."""
    decided_at_ms: int = 0
    by: str = ""
    """Who asked for it."""
    note: str = ""
    """Why it was discarded."""
    failure: str = ""
    """Why the last replay left it buried."""

    def text(self) -> bytes:
        """Write it as it stands on the topic; what is as it always begins is left out."""
        return orjson.dumps({name: value for name, value in asdict(self).items() if name == "status" or name not in DEFAULTS or value != DEFAULTS[name]})

    @classmethod
    def read(cls, text: bytes) -> "Summary":
        """Read what `text` wrote.

        Raises:
            ValueError: it is no summary.

        """
        try:
            found: dict[str, Any] = orjson.loads(text)
            reasons = tuple(Reason(reason["code"], reason["detail"], reason["pointer"]) for reason in found.pop("reasons"))
            known: dict[str, Any] = {name: intern(value) if name in SHARED else value for name, value in found.items() if name in KINDS}
            made = cls(reasons=reasons, **known)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no summary of a dead letter: {error!r}") from error
        wrong = [name for name, kind in KINDS.items() if type(getattr(made, name)) is not kind]
        if wrong or made.status not in STATUSES or place_of(made.id) is None:
            raise ValueError(f"no summary of a dead letter: {', '.join(wrong) or 'its id or status'} cannot be")
        return made


STATUSES: Final = (BURIED, REPLAYED, DISCARDED)
DEFAULTS: Final = {f.name: f.default for f in fields(Summary) if f.default is not MISSING}
KINDS: Final[dict[str, type]] = {f.name: f.type if isinstance(f.type, type) else str for f in fields(Summary) if f.name != "reasons"}
SHARED: Final = frozenset({"resource", "flow", "step", "letter_class", "fingerprint", "code", "topic", "version", "status", "order", "by", "note"})
"""Texts that many letters have in common; kept once."""


def summary_of(record: Record) -> Summary:
    """Make the summary of a record of `xyra.dlq`; one that is no letter of ours gets what there is, and cannot be replayed."""
    flow, step, resource = _text(record, "flow"), _text(record, "step"), _text(record, "resource")
    reasons = reasons_in(record)
    code = _text(record, "code")
    causes = reasons or (Reason(code, ""),)
    return Summary(
        id=letter_id(record.partition, record.offset),
        event_id=(record.text(OURS_PREFIX + "event-id") or event_id_of(record))[:MOST_NAME],
        resource=resource,
        flow=flow,
        step=step,
        letter_class=told if (told := _text(record, "class")) in {OURS, THEIRS} else class_of(*(reason.code for reason in causes)),
        fingerprint=(record.text(OURS_PREFIX + "fingerprint") or fingerprint(flow, step, resource, causes))[:MOST_NAME],
        code=code,
        reasons=tuple(Reason(reason.code[:MOST_NAME], reason.detail[:MOST_DETAIL], reason.pointer[:MOST_DETAIL]) for reason in reasons[:MOST_REASONS]),
        reason_count=_number(record, "reason-count"),
        topic=_text(record, "topic"),
        partition=_number(record, "partition"),
        offset=_number(record, "offset"),
        attempt=_number(record, "attempt"),
        version=_text(record, "version"),
        buried_at_ms=_number(record, "time") or max(0, record.timestamp_ms),
        size=len(record.value or b""),
        whole=record.header(LEFT_OUT) is None and record.header(OURS_PREFIX + "topic") is not None,
        replayed_letter=(record.text(REPLAYED_LETTER) or "")[:MOST_NAME],
    )


def reasons_in(record: Record) -> tuple[Reason, ...]:
    """Return every reason that a dead letter tells; none where it tells none that can be read."""
    try:
        told = orjson.loads(record.header(OURS_PREFIX + "reasons") or b"")
        return tuple(Reason(str(reason["code"]), str(reason["detail"]), str(reason["pointer"])) for reason in told)
    except (ValueError, TypeError, KeyError):
        return ()


def _text(record: Record, name: str) -> str:
    return (record.text(OURS_PREFIX + name) or NONE)[:MOST_NAME]


def _number(record: Record, name: str) -> int:
    raw = record.header(OURS_PREFIX + name) or b""
    return int(raw) if raw.isdigit() and len(raw) <= MOST_DIGITS else 0
