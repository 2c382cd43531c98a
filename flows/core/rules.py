"""What a webhook's definition asks of a record, compiled: events, schema, filter, transform. Door and flow judge with the same code."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flows.core import presets, topics
from flows.core.errors import FieldError, InvalidFields
from flows.core.expressions import Expression, FailedError, MissingError, Scope, compile_condition
from flows.core.outbound.egress import Policy, Refusal
from flows.core.resources import WebhookFields
from flows.core.schemas import InvalidSchemaError, Schema
from flows.core.transforms import Shape, compile_transform
from flows.core.verdict import Bury, Drop, Reason
from flows.core.verification import SHARED

NOT_WANTED: Final = "event_not_wanted"
FILTERED: Final = "filtered"


@dataclass(frozen=True, slots=True)
class Events:
    """Which event types are let through: exact names, and prefixes up to a full stop; with neither, all are."""

    exact: frozenset[str]
    prefixes: tuple[str, ...]

    @property
    def all(self) -> bool:
        """Whether every type is let through, so that none needs to be known."""
        return not self.exact and not self.prefixes

    def want(self, event_type: str | None) -> bool:
        """Tell whether a type is let through; one that is not known is let through only where all are."""
        return self.all or (event_type is not None and (event_type in self.exact or event_type.startswith(self.prefixes)))


EVERY: Final = Events(frozenset(), ())
"""Lets every type through, and records without one."""


@dataclass(frozen=True, slots=True)
class Rules:
    """A definition's rules, ready to run; each is None where the definition says nothing."""

    events: Events
    schema: Schema | None
    filter: Expression | None
    transform: Shape | None

    @property
    def reads_body(self) -> bool:
        """Whether a body that is not JSON has to be buried."""
        filters = self.filter is not None and "body" in self.filter.names
        return self.schema is not None or filters or (self.transform is not None and self.transform.reads_body)

    def judge(self, scope: Scope) -> Drop | Bury | None:
        """Run the filter: true keeps the record; false drops it, and so does a field that is not there, as SQL's unknown is not true."""
        if self.filter is None:
            return None
        try:
            value = self.filter.evaluate(scope)
        except MissingError as error:
            return Drop(FILTERED, f"the filter reads {str(error)!r}, which is not there")
        except FailedError as error:
            return Bury((Reason("filter_failed", f"the filter has no answer for this record: {error}"),))
        if type(value) is not bool:
            return Bury((Reason("filter_failed", f"the filter's value is {value!r:.100}, and must be true or false"),))
        return None if value else Drop(FILTERED)


def check_definition(definition: WebhookFields, calls: Policy) -> tuple[FieldError, ...]:
    """Say everything that is wrong with a definition's rules; nothing when the flow can run them, and may call its `url` as far as the text tells.

    Takes milliseconds, does no I/O and never raises. Pointers begin at the definition.
    """
    return (*_compile(definition)[1], *_url(definition.url, calls))


def _url(url: str | None, calls: Policy) -> tuple[FieldError, ...]:
    """Refuse early what would never be called; where a name leads is asked at each call."""
    found = calls.judge(url) if url is not None else None
    return (FieldError("/url", found.code, found.detail),) if isinstance(found, Refusal) else ()


def compile_rules(definition: WebhookFields) -> Rules:
    """Compile a definition's rules.

    Raises:
        InvalidFields: `check_definition` would have found something.

    """
    rules, errors = _compile(definition)
    if errors:
        raise InvalidFields("The rules of this webhook cannot be run: " + "; ".join(f"{e.pointer} {e.detail}" for e in errors), errors=errors)
    return rules


def _compile(definition: WebhookFields) -> tuple[Rules, tuple[FieldError, ...]]:
    errors: list[FieldError] = []
    events = _events(definition.events, errors)
    schema = expression = shape = None
    if definition.json_schema is not None:
        try:
            schema = Schema(definition.json_schema, quoting=not _secret_in_body(definition))
        except InvalidSchemaError as error:
            errors.append(_under("/schema", error.wrong))
    if definition.filter is not None:
        try:
            expression = compile_condition(definition.filter)
        except ValueError as error:
            errors.append(FieldError("/filter", "invalid_expression", f"{error}"))
    if definition.transform is not None:
        shape, wrong = compile_transform(definition.transform)
        errors.extend(_under("/transform", error) for error in wrong)
    errors.extend(check_topic(definition.target_topic))
    return Rules(events, schema, expression, shape), tuple(errors)


def _secret_in_body(definition: WebhookFields) -> bool:
    """Tell whether the sender puts the secret itself into the body, so that no reason may quote what stands there."""
    try:
        scheme = presets.resolve(definition.preset, definition.verification)
    except InvalidFields:  # whoever judges the verification says so
        return False
    return scheme.algorithm in SHARED and (scheme.signature.path is not None or scheme.signature.form is not None)


def _under(pointer: str, error: FieldError) -> FieldError:
    return FieldError(pointer + error.pointer, error.code, error.detail)


def _events(patterns: tuple[str, ...], errors: list[FieldError]) -> Events:
    exact, prefixes = set(), set()
    for at, pattern in enumerate(patterns):
        if pattern == "*":
            continue  # seen to below
        if pattern.endswith(".*") and "*" not in pattern[:-1]:
            prefixes.add(pattern[:-1])
        elif "*" in pattern:
            errors.append(FieldError(f"/events/{at}", "invalid_pattern", f"{pattern!r} has a * elsewhere; write NAME, PREFIX.* or *"))
        else:
            exact.add(pattern)
    return EVERY if "*" in patterns else Events(frozenset(exact), tuple(sorted(prefixes)))


_OURS: Final = re.compile(r"xyra\.|__")


def check_topic(name: str | None) -> tuple[FieldError, ...]:
    """Say what is wrong with the name of a topic that events are to go to; None is `xyra.events`."""
    if name is None or name == topics.EVENTS.name:
        return ()
    if name in {".", ".."}:
        return (FieldError("/target_topic", "invalid_topic", f"{name!r} is no name Kafka takes for a topic"),)
    if _OURS.match(name):
        detail = f"{name!r} begins like the topics that this project or Kafka reads itself; take {topics.EVENTS.name} or a name of your own"
        return (FieldError("/target_topic", "reserved_topic", detail),)
    return ()


def event_type_in(body: Any) -> str | None:
    """Return the event type that a body names itself: its `type`, else its `event`, texts only."""
    if isinstance(body, Mapping):
        for name in ("type", "event"):
            if type(body.get(name)) is str:
                return str(body[name])
    return None
