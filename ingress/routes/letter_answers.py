"""What the routes of dead letters are asked and answer, as the OpenAPI document shows it."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, Field, StringConstraints

from flows.core.clock import rfc3339
from flows.core.deadletters.summaries import STATUSES, Status, Summary
from flows.core.fields import Lines, Model
from flows.core.orders import MOST_IDS, MOST_RATE, Filter, LetterId
from flows.core.resources import Transform
from flows.core.verdict import Reason
from ingress import letterbox
from ingress.letters import Group
from ingress.routes.delivery_answers import Answer, time_or_none


class Search(Filter):
    """Which dead letters are asked for."""

    from_texts: ClassVar[bool] = True
    status: Status | None = None
    id: LetterId | None = None
    group: bool = False
    """Count by cause instead of listing: of all letters by flow, resource, class and fingerprint; by anything else of those that are held in full."""
    limit: Annotated[int, Field(ge=1, le=500)] | None = None
    """Letters on a page, 100 where nothing is said; an export without it has all."""
    cursor: Annotated[str, StringConstraints(pattern=r"^([0-9]{1,18}\.[0-9]{1,18}\.[0-9]{1,18})?$")] = ""
    """`next_cursor` of the page before."""


class Wanted(Model):
    """Which dead letters are meant: a filter, or ids."""

    filter: Filter | None = None
    ids: tuple[LetterId, ...] | None = Field(default=None, max_length=MOST_IDS, min_length=1)


class ReplayRequest(Wanted):
    """Dead letters that are to enter once more."""

    dry_run: bool = False
    """Say what would happen, and write nothing."""
    rate_per_second: Annotated[float, Field(gt=0, le=MOST_RATE)] | None = None
    """Letters a second, over all partitions; absent: as fast as it goes."""
    transform: Transform | None = None
    """Made of each value before it enters, as a webhook's `transform` is."""


class DiscardRequest(Wanted):
    """Dead letters that nobody needs any more."""

    reason: Annotated[Lines, StringConstraints(min_length=1, max_length=500)]
    """Why; it stays with each letter."""


class ReasonAnswer(Answer):
    """One thing that was wrong."""

    code: str
    detail: str
    pointer: str

    @classmethod
    def of(cls, reason: Reason) -> "ReasonAnswer":
        """Show a reason."""
        return cls(code=reason.code, detail=reason.detail, pointer=reason.pointer)


class LetterAnswer(Answer):
    """A dead letter in short."""

    id: str
    event_id: str
    resource: str
    flow: str
    step: str
    letter_class: str = Field(validation_alias=AliasChoices("letter_class", "class"), serialization_alias="class")
    fingerprint: str
    code: str
    reasons: tuple[ReasonAnswer, ...]
    """The first of them."""
    reason_count: int
    topic: str
    partition: int
    offset: int
    """Where the record stood."""
    attempt: int
    version: str
    buried_at: str
    bytes: int
    status: Literal["buried", "replayed", "discarded"]
    order: str | None
    """The replay or discard that decided, or tried to."""
    decided_at: str | None
    by: str | None
    note: str | None
    """Why it was discarded."""
    failure: str | None
    """Why the last replay left it buried."""
    replayed_letter: str | None
    """The letter that this record was before it was replayed and buried again."""

    @classmethod
    def fields_of(cls, letter: Summary) -> dict[str, Any]:
        """Return what is shown of a summary, by field."""
        same = ("id", "event_id", "resource", "flow", "step", "letter_class", "fingerprint", "code", "reason_count", "topic", "partition", "offset")
        found: dict[str, Any] = {name: getattr(letter, name) for name in (*same, "attempt", "version", "status")}
        found |= {name: getattr(letter, name) or None for name in ("order", "by", "note", "failure", "replayed_letter")}
        return found | {
            "reasons": tuple(map(ReasonAnswer.of, letter.reasons)),
            "buried_at": rfc3339(letter.buried_at_ms),
            "decided_at": time_or_none(letter.decided_at_ms),
            "bytes": letter.size,
        }

    @classmethod
    def of(cls, letter: Summary) -> "LetterAnswer":
        """Show a summary."""
        return cls(**cls.fields_of(letter))


class Letters(Answer):
    """A page of dead letters, the newest first."""

    items: tuple[LetterAnswer, ...]
    next_cursor: str | None


class GroupAnswer(Answer):
    """Dead letters with one cause, which one mend would spare."""

    fingerprint: str
    flow: str
    step: str
    resource: str
    letter_class: str = Field(validation_alias=AliasChoices("letter_class", "class"), serialization_alias="class")
    code: str
    detail: str
    """What the newest of them says first."""
    reasons: tuple[ReasonAnswer, ...]
    """All that it says; letters with one fingerprint tell the same reasons, in whatever order."""
    count: int
    buried: int
    replayed: int
    discarded: int
    first_seen: str
    last_seen: str
    sample: str
    """The id of the newest."""

    @classmethod
    def of(cls, group: Group) -> "GroupAnswer":
        """Show a group."""
        names = ("fingerprint", "flow", "step", "resource", "letter_class", "code", "sample")
        found: dict[str, Any] = {name: getattr(group, name) for name in names} | dict(zip(STATUSES, group.counts, strict=True))
        found |= {"detail": group.reasons[0].detail if group.reasons else "", "reasons": tuple(map(ReasonAnswer.of, group.reasons))}
        return cls(count=sum(group.counts), first_seen=rfc3339(group.first_ms), last_seen=rfc3339(group.last_ms), **found)


class Groups(Answer):
    """Dead letters by cause."""

    items: tuple[GroupAnswer, ...]
    complete: bool
    """Whether every letter that is meant was counted; false where only the newest, which are held in full, could be looked at."""
    next_cursor: None = None


class Origin(Answer):
    """Where a record stood before it was buried."""

    topic: str
    partition: int
    offset: int
    timestamp: str | None


class Body(Answer):
    """A record's key or value: as text where it is UTF-8, else in base64."""

    text: str | None = None
    base64: str | None = None
    bytes: int
    truncated: bool
    """Whether there is more than is shown."""


def body(value: bytes | None, shown: bytes | None = None) -> Body | None:
    """Show bytes; `shown` are the same with credentials masked."""
    return None if value is None else Body(**letterbox.body_of(value if shown is None else shown, len(value)))


class HeaderAnswer(Answer):
    """A header, as text."""

    name: str
    value: str

    @classmethod
    def of(cls, header: letterbox.Shown) -> "HeaderAnswer":
        """Show a header."""
        return cls(**header._asdict())


class LetterStory(LetterAnswer):
    """A dead letter with all there is to know."""

    reasons: tuple[ReasonAnswer, ...]
    """Every one."""
    origin: Origin
    key: Body | None
    headers: tuple[HeaderAnswer, ...]
    """Those the record came with, in their order, credentials masked."""
    added: tuple[HeaderAnswer, ...]
    """Those that burying has put there, `x-dlq-*` and Kafka Connect's `__connect.errors.*`."""
    body: Body | None
    """What stands where the endpoint's definition says that its sender proves itself is masked."""
    on_log: bool
    """Whether the letter is still on `xyra.dlq`; otherwise only its summary is known."""


class Foreseen(Answer):
    """What would become of a letter."""

    id: str
    outcome: Literal["emitted", "dropped", "buried", "enters"]
    """`enters`: it goes back to its topic; what its flow makes of it is not foreseen."""
    reasons: tuple[ReasonAnswer, ...] = ()


class Selected(Answer):
    """Which letters an order has found."""

    selected: int
    """Letters that are meant and buried now, as far as they are in the index."""
    unknown: tuple[str, ...] = ()
    """Of the ids that were given, those of no letter that there is; the others are ordered all the same."""
    decided: tuple[str, ...] = ()
    """Of the ids that were given, those of letters that were replayed or discarded already, which stay as they are."""


class ReplayAnswer(Selected):
    """A replay that was ordered, or what one would do."""

    replay_id: str | None
    """None for a dry run."""
    dry_run: bool
    judged: int = 0
    """Letters of a dry run that were read and put through today's definitions, the newest ones."""
    outcomes: dict[str, int] = Field(default_factory=dict)
    """How many of them would become what; whether one is a duplicate of an event since, only the flow knows."""
    samples: tuple[Foreseen, ...] = ()


class DiscardAnswer(Selected):
    """A discard that was ordered."""

    discard_id: str
