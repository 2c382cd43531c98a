"""What the test route sends is something the endpoint lets through."""

import pytest

from flows.core import presets
from flows.core.resources import WebhookDefinition
from flows.core.rules import compile_rules
from flows.core.verification import Verification
from ingress.samples import sample_of


@pytest.mark.parametrize("events", [(), ("*",), ("payment.completed",), ("payment.*", "order.made"), ("xyra.*",), ("xyra.test", "a")])
@pytest.mark.parametrize("preset", [None, "stripe", "github"])
def test_a_sample_has_a_type_the_endpoint_wants(events: tuple[str, ...], preset: str | None) -> None:
    definition = WebhookDefinition(endpoint_id="demo", events=events, preset=preset)
    sample = sample_of(definition, presets.resolve(definition.preset, definition.verification), None, None, "01")
    rules = compile_rules(definition)
    assert rules.events.want(sample.event_type)


def test_the_callers_type_is_sent_as_it_is() -> None:
    sample = sample_of(WebhookDefinition(endpoint_id="demo", events=("a",)), Verification(), None, "b", "01")
    assert sample.event_type == "b"


@pytest.mark.parametrize(("events", "wanted"), [(("*",), True), (("*", "a"), True), (("a",), False), (("a.*",), False), ((), True)])
def test_only_an_endpoint_that_takes_all_takes_an_event_without_a_type(events: tuple[str, ...], wanted: bool) -> None:
    rules = compile_rules(WebhookDefinition(endpoint_id="demo", events=events))
    assert rules.events.want(None) is wanted
