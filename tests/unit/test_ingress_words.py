"""Whatever is wrong with a request is said in words of ours, not in the validator's, and not as a pattern."""

import math
import re
from collections.abc import Iterator
from typing import Any, Final, get_args, get_type_hints

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from ingress.control import routes
from ingress.fields import SENTENCES, errors_of
from ingress.forms import FORMS
from ingress.routes import deliveries, flows, jobs, letters, probe, replays, secrets, uploads, webhooks

GROUPS: Final = (deliveries, flows, jobs, letters, probe, replays, secrets, uploads, webhooks)
TEXTS: Final = ("", "x", "a/b", "a" * 9000, "\x00", "2026-01-01", "2026-01-01T00:00:00", "yes", "/x", "12", "http://a b", "٣")
VALUES: Final[tuple[Any, ...]] = (
    *(None, True, 0, -1, 1.5, math.inf, math.nan, 10**30, [], [None], [[]], ["x"], [{}], {}, {"x": 1}, {"": ""}, {"/a": 5}),
    *({"path": "x"}, {"path": "/x", "header": "y"}, {"header": "bad header"}),
    *TEXTS,
)
NAMED: Final[dict[str, Any]] = {"endpoint_id": "a", "secret": "s"}
DEPTH: Final = 4


def patterns(part: Any) -> Iterator[str]:
    """Give every pattern in a document."""
    if isinstance(part, dict):
        if isinstance(part.get("pattern"), str):
            yield part["pattern"]
        yield from part.get("patternProperties", ())
        for inner in part.values():
            yield from patterns(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from patterns(inner)


def models(kind: Any) -> Iterator[type[BaseModel]]:
    """Give the models that a type is made of, not those inside of them."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for inner in get_args(kind):
        yield from models(inner)


def asked() -> list[type[BaseModel]]:
    """Return what the routes take as a body or as their query."""
    found = (
        kind
        for group in GROUPS
        for route in group.router.routes
        if isinstance(route, APIRoute)
        for name, hint in get_type_hints(route.endpoint, include_extras=True).items()
        if name != "return"
        for kind in models(hint)
    )
    return sorted(dict.fromkeys(found), key=lambda kind: (kind.__module__, kind.__name__))


def places(model: type[BaseModel], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Give where something can stand in a body."""
    yield before
    if len(before) < DEPTH:
        for name, field in model.model_fields.items():
            place = (*before, field.alias or name)
            yield place
            for inner in models(field.annotation):
                yield from places(inner, place)


def body_with(place: tuple[str, ...], value: Any, model: type[BaseModel]) -> Any:
    if not place:
        return value
    body = here = dict(NAMED) if "endpoint_id" in model.model_fields else {}
    for part in place[:-1]:
        here = here.setdefault(part, {})
    here[place[-1]] = value
    return body


def test_every_pattern_has_words() -> None:
    assert set(FORMS) == set(patterns(routes().openapi()))


@pytest.mark.parametrize("model", asked(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_no_word_of_the_validators_reaches_anybody(model: type[BaseModel]) -> None:
    kinds = {*SENTENCES, "value_error", "missing", "extra_forbidden"}
    for place in dict.fromkeys(places(model)):
        for value in VALUES:
            body = body_with(place, value, model)
            try:
                model.model_validate(body)
            except ValidationError as error:
                found = error.errors(include_url=False)
                assert {one["type"] for one in found} <= kinds, (place, value)
                for wrong in errors_of([{**one, "loc": ("body", *one["loc"])} for one in found], body, model):
                    assert wrong.detail
                    assert not re.search(r"Input should|Value error|give \^|\{[a-z_]+\}", wrong.detail), wrong
