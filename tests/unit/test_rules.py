"""What a definition may say, what is refused when it is made, and what transforms make."""

import json
from typing import Any

import orjson
import pytest

from flows.core import rules
from flows.core.deadletters.letters import fingerprint
from flows.core.errors import InvalidFields
from flows.core.expressions import FailedError, MissingError, Scope, compile_expression, fields
from flows.core.expressions.tokens import MAX_LENGTH
from flows.core.outbound.egress import Policy
from flows.core.resources import WebhookFields
from flows.core.schemas import MAX_REASONS, Schema
from flows.core.settings import load
from flows.core.transforms import compile_transform

CALLS = Policy.of(load({}))


def wrong(**fields: Any) -> list[tuple[str, str]]:
    found = rules.check_definition(WebhookFields.model_validate(fields), CALLS)
    assert all(error.detail for error in found)
    return [(error.pointer, error.code) for error in found]


def detail(**fields: Any) -> str:
    return "; ".join(error.detail for error in rules.check_definition(WebhookFields.model_validate(fields), CALLS))


def test_the_seeds_definition_is_fine() -> None:
    assert wrong(events=["payment.completed", "subscription.created"], url="https://example.com/webhook/stripe") == []


def test_everything_that_is_wrong_is_said_at_once() -> None:
    found = wrong(events=["a", "b*c"], schema={"type": "x"}, filter="a ==", transform={"expressions": {"/a": "nope"}}, target_topic="xyra.dlq")
    assert [pointer for pointer, _ in found] == ["/events/1", "/schema/type", "/filter", "/transform/expressions/~1a", "/target_topic"]
    with pytest.raises(InvalidFields, match="/filter is not CEL"):
        rules.compile_rules(WebhookFields(filter="a =="))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("1+1", "is 2 for every record, and must be true or false"),
        ("'a'", "is 'a' for every record"),
        ("1 / 0 == 1", "has no answer for any record"),
        ("true", ""),
        ("size('ab') > 2", ""),
        ("body.a + 1", ""),
        ("[1, 2].map(n, n)", ""),
    ],
)
def test_a_filter_that_could_only_bury_is_refused_where_no_list_is_gone_through_to_know_it(source: str, says: str) -> None:
    assert detail(filter=source).startswith(says)
    assert bool(detail(filter=source)) is bool(says)


@pytest.mark.parametrize(
    ("url", "code", "says"),
    [
        ("http://127.0.0.1/", "address_not_allowed", "INTEGRATION_EGRESS_ALLOW"),
        ("http://10.0.0.1:8080/hook", "address_not_allowed", "INTEGRATION_EGRESS_ALLOW"),
        ("https://[::ffff:10.0.0.1]/", "address_not_allowed", "INTEGRATION_EGRESS_ALLOW"),
        ("http://169.254.169.254/", "address_not_allowed", "is a cloud's metadata service, which is never called"),
        ("http://[::ffff:169.254.169.254]/", "address_not_allowed", "is a cloud's metadata service, which is never called"),
        ("http://metadata.google.internal/", "address_not_allowed", "is a cloud's metadata service, which is never called"),
        ("https://8.8.8.8:9999/", "port_not_allowed", "INTEGRATION_EGRESS_PORTS"),
        ("https://example.com:9999/", "port_not_allowed", "INTEGRATION_EGRESS_PORTS"),
        ("https://user@example.com/", "url_invalid", "credentials"),
    ],
)
def test_what_could_never_be_called_is_refused_when_it_is_declared(url: str, code: str, says: str) -> None:
    assert wrong(url=url) == [("/url", code)]
    assert says in detail(url=url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://[::1]/", "https://localhost:9/", "https://intern.test/", "https://8.8.8.8/"])
def test_what_the_settings_allow_or_only_a_resolver_can_tell_is_declared(url: str) -> None:
    calls = Policy.of(load({}, egress_allow="127.0.0.0/8, ::1/128"))
    assert rules.check_definition(WebhookFields(url=url), calls) == ()


@pytest.mark.parametrize("topic", ["xyra.webhooks", "xyra.config", "xyra.webhooks.changelog", "__consumer_offsets", ".", ".."])
def test_no_topic_of_ours_is_a_target(topic: str) -> None:
    assert [pointer for pointer, _ in wrong(target_topic=topic)] == ["/target_topic"]
    assert wrong(target_topic="xyra.events") == wrong(target_topic="orders") == []


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("body.a ==", "is not CEL"),
        ("body.a = 1", "cannot be read from character 8"),
        ("nope == 1", "'nope', which is no variable; there are body,"),
        ("launch(body)", "'launch', which is no function"),
        ("body.s.matches(body.p)", "write the pattern itself"),
        ("body.s.matches('(')", "regex"),
        ("1" + " " * MAX_LENGTH, "4096 are allowed"),
        ("1" + "-1" * 600, "tokens; 1024"),
        ("(" * 33 + "1" + ")" * 33, "nests brackets deeper than 32"),
        (".".join(["body.a"] + ["map(x, x)"] * 9), "9 comprehensions"),
        ("body.a.map(x, x.map(y, y.map(z, z)))", "3 comprehensions .* inside one another|3 comprehensions inside one another"),
        ("body.a" + "+body.a" * 65, r"65 \+ signs"),
        ("'a", "cannot be read"),
        ("9223372036854775808", "is not CEL"),
    ],
)
def test_an_expression_is_refused_with_a_sentence(source: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        compile_expression(source)


def test_a_token_inside_a_text_counts_as_text() -> None:
    assert compile_expression("'a.map(b, (((' + \"// no\\\"\" + r'\\' + '''it's'''  // a remark").evaluate(Scope({})) == "a.map(b, (((// no\"\\it's"


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("body.a / 2", 2),
        ("-body.a / 2", -2),
        ("body.l.filter(x, x > 1).map(x, x * 2)", [4, 6]),
        ("size('é')", 2),
        ("timestamp('2030-01-01T01:00:00+01:00')", "2030-01-01T00:00:00Z"),
        ("duration('90s')", "90s"),
        ("b'abc'", "YWJj"),
        ("body.s.matches('^[a-z]+$')", True),
        ("has(body.a) ? {'x': body.a, 'a': 1} : null", {"x": 5, "a": 1}),
        ("string(body.a) + body.s", "5ab"),
    ],
)
def test_values_are_jsons(source: str, value: Any) -> None:
    scope = Scope({"body": {"a": 5, "l": [1, 2, 3], "s": "ab"}})
    assert json.dumps(compile_expression(source).evaluate(scope)) == json.dumps(value)


@pytest.mark.parametrize("source", ["{1: 2}", "1.0 + 1", "[1][5] + 'a'[0]", "body.a < 'x'", "timestamp('never')"])
def test_what_has_no_value_says_so(source: str) -> None:
    with pytest.raises((FailedError, MissingError)):
        compile_expression(source).evaluate(Scope({"body": {"a": 5}}))


def test_the_budget_bounds_what_a_record_can_cost() -> None:
    scope = Scope({"body": {"l": list(range(50_000))}})
    with pytest.raises(FailedError, match="too long"):
        compile_expression("body.l.exists(x, body.l.exists(y, x + y < 0))").evaluate(scope)
    with pytest.raises(FailedError, match="too long to go through"):
        compile_expression("body.l.map(x, string(x))").evaluate(Scope({"body": {"l": list(range(10_000))}}, body_bytes=49_000))
    assert len(compile_expression("body.l.map(x, string(x))").evaluate(Scope({"body": {"l": list(range(500))}}, body_bytes=2_000))) == 500
    with pytest.raises(FailedError, match="bytes"):
        compile_expression("string(body.n)").evaluate(Scope({"body": {"n": 1}}, body_bytes=1 << 20))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("row.a + row . b.c + body.row.d + row.a", ("a", "b")),
        ("row['a b'] + row[\"\\x63\"][0] + row['e' + 'f'] + row[body.g]", ("a b", "c")),
        ("has(row.a) && 'b' in row && !('c' in row.d) && row.exists(e, e == 'f')", ("a", "b", "d")),
        ("body.map(row, row.a)", ()),
        ("row == {} || b'a' in row || 'row.b' == '' // row.c", ()),
    ],
)
def test_which_fields_an_expression_asks_for_by_name(source: str, expected: tuple[str, ...]) -> None:
    compile_expression(source, frozenset({"row", "body"}))
    assert fields(source, "row") == expected


def test_a_long_chain_is_no_danger() -> None:
    deep: dict[str, Any] = {}
    compile_expression("body" + ".a" * 500)
    for _ in range(900):
        deep = {"a": deep}
    assert compile_expression("body.a == body.a").evaluate(Scope({"body": deep})) is True
    with pytest.raises(MissingError):
        compile_expression("body" + ".a" * 500).evaluate(Scope({"body": {}}))


class TestSchema:
    def test_the_draft_is_what_the_schema_says(self) -> None:
        old = Schema({"$schema": "http://json-schema.org/draft-04/schema#", "maximum": 5, "exclusiveMaximum": True})
        assert old.reasons(5)
        assert wrong(schema={"maximum": 5, "exclusiveMaximum": True}) == [("/schema/exclusiveMaximum", "invalid_schema")]

    @pytest.mark.parametrize(
        ("schema", "code"),
        [
            ({"$ref": "https://example.com/a.json"}, "remote_reference"),
            ({"$ref": "file:///etc/passwd"}, "remote_reference"),
            ({"$schema": "https://example.com/draft"}, "invalid_schema"),
            ({"$ref": "#/nowhere"}, "invalid_schema"),
            ({"pattern": "(?=a)"}, "invalid_schema"),
            ({"enum": ["x" * 300_000]}, "too_large"),
        ],
    )
    def test_what_cannot_be_used_is_refused(self, schema: dict[str, Any], code: str) -> None:
        assert [found for _, found in wrong(schema=schema)] == [code]

    def test_depth_is_bounded(self) -> None:
        schema: dict[str, Any] = {}
        for _ in range(70):
            schema = {"not": schema}
        assert wrong(schema=schema) == [("/schema", "too_deep")]

    def test_reasons_are_bounded_and_short(self) -> None:
        found = Schema({"items": {"const": "y" * 1000}}).reasons(["x" * 1000] * 500)
        assert len(found) == MAX_REASONS
        assert max(len(reason.detail) for reason in found) < 400
        assert found[7].pointer == "/7"

    @pytest.mark.parametrize(("fields", "quoted"), [({"preset": "figma"}, False), ({"preset": "github"}, True), ({}, True)])
    def test_what_may_hold_the_senders_secret_is_not_quoted(self, fields: dict[str, str], quoted: bool) -> None:
        schema = {"anyOf": [{"type": "array"}, {"required": ["x"]}], "properties": {"passcode": {"type": "integer", "maxLength": 1, "const": 1}}}
        made = rules.compile_rules(WebhookFields.model_validate({"schema": schema, **fields})).schema
        assert made is not None
        found = made.reasons({"passcode": "hidden"})
        assert len(found) == 4
        assert any("hidden" in reason.detail for reason in found) is quoted

    def test_formats_are_asserted_and_patterns_do_not_backtrack(self) -> None:
        assert Schema({"format": "date-time"}).reasons("yesterday")
        assert Schema({"pattern": "^(a+)+$"}).reasons("a" * 50_000 + "b")

    def test_a_missing_field_has_a_place_and_is_a_cause_of_its_own(self) -> None:
        made = Schema({"properties": {"order": {"required": ["id", "a/b"]}}, "dependentRequired": {"order": ["mail"]}})
        found = made.reasons({"order": {}})
        assert sorted(reason.pointer for reason in found) == ["/mail", "/order/a~1b", "/order/id"]
        assert len({fingerprint("webhooks", "schema", "shop", [reason]) for reason in found}) == 3

    @pytest.mark.parametrize("closed", [{"additionalProperties": False}, {"unevaluatedProperties": False}])
    @pytest.mark.parametrize("known", [{}, {"properties": {"a": {"type": "integer"}}}, {"patternProperties": {"^a": {"type": "integer"}}}])
    def test_each_field_that_may_not_be_there_is_named_at_its_place(self, closed: dict[str, Any], known: dict[str, Any]) -> None:
        made = Schema({"properties": {"order": {"type": "object", **known, **closed}}})
        found = made.reasons({"order": {"a": "x", "b/c": 1, "d": {"e": 2}}})
        assert sorted(reason.pointer for reason in found) == ["/order/a", "/order/b~1c", "/order/d"]
        assert all(name in reason.detail for name, reason in zip(("'b/c'", "'d'"), found[-2:], strict=True))

    def test_an_object_that_may_have_no_fields_is_told_from_a_field_that_may_not_be(self) -> None:
        body = {"additionalProperties": {"x": 1}, "y": 2}
        assert [reason.pointer for reason in Schema({"additionalProperties": False}).reasons(body)] == ["/additionalProperties", "/y"]
        (found,) = Schema({"properties": {"additionalProperties": False}}).reasons(body)
        assert (found.pointer, found.detail) == ("/additionalProperties", 'False schema does not allow {"x":1}')

    @pytest.mark.parametrize("quoting", [True, False])
    @pytest.mark.parametrize(
        ("closed", "items", "places"),
        [
            ({"prefixItems": [{}], "unevaluatedItems": False}, [1, 2, "x"], [1, 2]),
            ({"prefixItems": [{}], "unevaluatedItems": False}, [1, 1, 1], [1, 2]),
            ({"unevaluatedItems": {"type": "string"}}, [True, "a", 1, 1.0], [0, 2, 3]),
            ({"contains": {"type": "integer"}, "unevaluatedItems": False}, ["a", 1, {"c": 1e20, "b": "ü"}], [0, 2]),
            ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{}], "additionalItems": False}, [1, 2, 3], [1, 2]),
        ],
    )
    def test_each_item_that_may_not_be_there_is_told_at_its_place(self, closed: dict[str, Any], items: list[Any], places: list[int], quoting: bool) -> None:
        found = Schema(closed, quoting=quoting).reasons(items)
        assert [reason.pointer for reason in found] == [f"/{at}" for at in places]
        assert all(reason.detail.endswith(f"(the one at {at} was unexpected)") for at, reason in zip(places, found, strict=True))

    def test_an_item_that_may_not_be_there_is_told_where_its_list_stands(self) -> None:
        (found,) = Schema({"properties": {"list": {"items": {"unevaluatedItems": False}}}}).reasons({"list": [[], ["x"]]})
        assert (found.pointer, found.detail) == ("/list/1/0", "Unevaluated items are not allowed (the one at 0 was unexpected)")

    def test_a_name_that_is_not_allowed_has_the_place_of_its_field(self) -> None:
        found = Schema({"propertyNames": {"maxLength": 1}}).reasons({"bb": 1, "c": 2, "dd": 3})
        assert sorted(reason.pointer for reason in found) == ["/bb", "/dd"]

    def test_fields_that_may_not_be_there_are_bounded(self) -> None:
        many = {f"{n}": n for n in range(500)}
        assert len(Schema({"additionalProperties": False}).reasons(many)) == MAX_REASONS
        assert len(Schema({"properties": {"a": {}}, "additionalProperties": False}).reasons(many)) == MAX_REASONS

    def test_a_schema_that_refers_to_itself_takes_deep_bodies(self) -> None:
        deep: Any = {}
        for _ in range(1000):
            deep = {"a": deep}
        Schema({"properties": {"a": {"$ref": "#"}}}).reasons(deep)


class TestTransform:
    def make(self, body: Any, **fields: Any) -> Any:
        definition = WebhookFields.model_validate({"transform": fields})
        assert rules.check_definition(definition, CALLS) == ()
        assert definition.transform is not None
        shape, _ = compile_transform(definition.transform)
        made = shape.apply(Scope({"body": body, "type": "t"}))
        return orjson.loads(made) if isinstance(made, bytes) else [(reason.pointer, reason.code) for reason in made]

    def test_takes_places_expressions_and_constants(self) -> None:
        made = self.make(
            {"data": {"id": 7, "cents": 1050}},
            mapping={"/order/id": "/data/id", "/gone": "/nope"},
            expressions={"/order/euros": "body.data.cents / 100", "/vip": "body.vip"},
            constants={"/source": "shop", "/tags/0": "a"},
        )
        assert made == {"order": {"id": 7, "euros": 10}, "source": "shop", "tags": ["a"]}

    def test_keeps_the_rest_and_does_not_mix_places_up(self) -> None:
        made = self.make({"a": {"x": 1}, "b": 2}, keep_rest=True, mapping={"/copy": "/a"}, constants={"/a/y": 3})
        assert made == {"a": {"x": 1, "y": 3}, "b": 2, "copy": {"x": 1}}
        assert self.make([1], keep_rest=True) == [1]
        assert self.make({"a": 1}, keep_rest=True, constants={"/a/b": 1}) == [("/a/b", "transform_failed")]

    def test_arrays_are_filled_in_their_order(self) -> None:
        assert self.make({"a": [5, 6]}, mapping={f"/l/{n}": f"/a/{n % 2}" for n in range(12)}) == {"l": [5, 6] * 6}
        assert self.make({"b": 1}, mapping={"/l/0": "/a", "/l/1": "/b"}) == {"l": [None, 1]}

    def test_nothing_found_is_an_empty_object(self) -> None:
        assert self.make({}, mapping={"/a": "/b"}) == {}

    @pytest.mark.parametrize(
        "fields",
        [
            {"mapping": {"/a": "/x"}, "constants": {"/a": 1}},
            {"constants": {"/a": 1, "/a/b": 2}},
            {"constants": {"/a/0": 1, "/a/b": 2}},
            {"constants": {"/a/999": 1}},
        ],
    )
    def test_targets_that_clash_are_refused(self, fields: dict[str, Any]) -> None:
        assert wrong(transform=fields) == [("/transform", "conflict")]

    def test_a_transform_that_makes_nothing_is_refused(self) -> None:
        assert wrong(transform={}) == [("/transform", "empty_transform")]
        assert detail(transform={"expressions": {"/a": "b"}}).startswith("names 'b'")
