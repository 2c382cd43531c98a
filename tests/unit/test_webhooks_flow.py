"""What becomes of a webhook, step by step, with real state and no broker."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from flows.core.verdict import Bury, Drop
from flows.engine.batch import Batch
from tests.kit.line import Line, emitted, values, verdicts

DAY_MS = 86_400_000


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    made = Line(tmp_path / "state", {"endpoint_id": "shop"})
    yield made
    made.close()


def headers(batch: Batch) -> dict[str, str]:
    (sent,) = emitted(batch)
    return {name: value.decode() for name, value in sent.output.headers}


def detail(batch: Batch) -> str:
    (decided,) = batch.decided.values()
    match decided.verdict:
        case Drop(_, detail):
            return detail
        case Bury(reasons):
            return " | ".join(f"{reason.pointer} {reason.detail}" for reason in reasons)
    raise AssertionError(decided)


def test_without_rules_the_body_comes_out_byte_for_byte(line: Line) -> None:
    body = b'{ "type" : "a.b",\n "n":1.0, "n":2 }\xff'
    batch = line.run([line.message(body, ce_id="e-1", ce_time="2030-01-01T00:00:00Z", content_type="text/x", ce_type="t", x_http="{}", x_key_id="k")])
    (sent,) = emitted(batch)
    assert (sent.output.topic, sent.output.key, sent.output.value) == ("xyra.events", b"key", body)
    assert headers(batch) == {
        "ce_specversion": "1.0",
        "ce_id": "e-1",
        "ce_type": "t",
        "ce_time": "2030-01-01T00:00:00Z",
        "ce_source": "/webhooks/shop",
        "content-type": "text/x",
        "x-origin": "xyra.webhooks/0/1",
    }


def test_a_producers_own_record_gets_what_it_lacks(line: Line) -> None:
    found = headers(line.run([line.message(b'{"event": "order.paid"}')]))
    assert found["ce_type"] == "order.paid"
    assert found["ce_time"] == "2027-01-15T08:00:00.000Z"
    assert len(found["ce_id"]) == 36
    assert "content-type" not in found
    assert headers(line.run([line.message(b"no json")]))["ce_type"] == "xyra.webhook"


def test_attributes_and_marks_are_carried_on(line: Line) -> None:
    found = headers(line.run([line.message(ce_subject="s", traceparent="t", x_test="1", x_trace="1", x_config_offset="3")]))
    assert (found["ce_subject"], found["traceparent"], found["x-test"]) == ("s", "t", "1")
    assert "x-trace" not in found
    assert "x-config-offset" not in found


def test_unknown_and_inactive_endpoints_are_buried(line: Line) -> None:
    line.define({"endpoint_id": "old"}, "inactive")
    line.put("broken", b"{")
    line.define({"endpoint_id": "bad", "filter": "nope("})
    messages = [line.message(endpoint=name) for name in ("nobody", "old", "broken", "bad")]
    batch = line.run([*messages, line.message(endpoint=None), line.message(ce_source="/elsewhere/shop"), line.message(ce_source="/webhooks/")])
    known = ["unknown_endpoint", "inactive_endpoint", "unknown_endpoint", "unusable_definition"]
    assert verdicts(batch) == [*known, "unknown_endpoint", "unknown_endpoint", "unknown_endpoint"]


@pytest.mark.parametrize("body", [None, b"", b"\xff", b"[" * 5000, b"1e999", b'{"a":1' + b"0" * 400 + b"}", b'"\\ud800"', b"NaN", b"\xef\xbb\xbf{}"])
def test_no_body_is_too_strange(line: Line, body: bytes | None) -> None:
    line.define({"endpoint_id": "strict", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}}, "filter": "body.a > 1", "events": ["x"]})
    assert values([line.run([line.message(body)])]) == [body]
    line.run([line.message(body, endpoint="strict", ce_type="x")])


class TestDeliveries:
    def sent(self, line: Line, body: Any, **definition: Any) -> list[Any]:
        line.define({"endpoint_id": "shop", **definition})
        batch = line.run([line.message(body, ce_id="e-1", content_type="text/x", x_config_offset="7")])
        return [sent.output for sent in emitted(batch)]

    def test_without_a_url_nothing_goes_out(self, line: Line) -> None:
        assert [output.topic for output in self.sent(line, b"{}")] == ["xyra.events"]

    def test_an_event_goes_out_beside_its_topic_as_it_came_in(self, line: Line) -> None:
        body = b'{ "a": 1.0, "a": 2 }'
        event, delivery = self.sent(line, body, url="https://example.com/", transform={"mapping": {"/b": "/a"}}, target_topic="mine")
        assert (event.topic, event.key, event.value) == ("mine", b"key", b'{"b":2}')
        assert (delivery.topic, delivery.key, delivery.value) == ("xyra.deliveries", b"shop", body)
        found = dict(delivery.headers)
        assert {name: found[name] for name in ("ce_id", "x-key", "x-config-offset", "content-type")} == {
            "ce_id": b"e-1",
            "x-key": b"key",
            "x-config-offset": b"7",
            "content-type": b"text/x",
        }
        assert dict(event.headers)["content-type"] == b"application/json"

    def test_a_transformed_event_goes_out_where_the_definition_says_so(self, line: Line) -> None:
        wanted = {"url": "https://example.com/", "transform": {"mapping": {"/b": "/a"}}, "delivery": {"payload": "transformed"}}
        _, delivery = self.sent(line, b'{"a": 2}', **wanted)
        assert delivery.value == b'{"b":2}'
        assert dict(delivery.headers)["content-type"] == b"application/json"

    def test_what_does_not_become_an_event_does_not_go_out(self, line: Line) -> None:
        assert self.sent(line, b'{"a": 1}', url="https://example.com/", filter="body.a > 1") == []


class TestEvents:
    def outcome(self, line: Line, events: list[str], body: Any, **fields: str) -> list[str]:
        line.define({"endpoint_id": "shop", "events": events})
        return verdicts(line.run([line.message(body, **fields)]))

    @pytest.mark.parametrize("events", [[], ["*"], ["a.b"], ["a.*"], ["x", "a.*"]])
    def test_lets_through_what_is_named(self, line: Line, events: list[str]) -> None:
        assert self.outcome(line, events, {"type": "a.b"}) == []

    @pytest.mark.parametrize("events", [["a"], ["a.b.*"], ["b.*"], ["A.B"]])
    def test_drops_the_rest(self, line: Line, events: list[str]) -> None:
        assert self.outcome(line, events, {"type": "a.b"}) == ["event_not_wanted"]

    def test_a_type_that_is_not_known_is_not_wanted(self, line: Line) -> None:
        assert self.outcome(line, ["a"], {"type": 5}) == ["event_not_wanted"]
        assert self.outcome(line, ["a"], b"[1]") == ["event_not_wanted"]

    def test_a_body_that_is_no_json_is_buried_where_the_type_stands_in_it(self, line: Line) -> None:
        line.define({"endpoint_id": "shop", "events": ["a"]})
        batch = line.run([line.message(b'{"type": "a"')])
        assert verdicts(batch) == ["not_json"]
        assert "The type of an event stands in its body, which is not JSON" in detail(batch)
        assert self.outcome(line, ["a"], b"no json", ce_type="a") == []
        assert self.outcome(line, ["a"], b"nor this", ce_type="b") == ["event_not_wanted"]
        assert self.outcome(line, [], b"nor that") == []

    @pytest.mark.parametrize("preset", ["github", "twilio"])
    def test_a_preset_that_looks_into_headers_alone_needs_no_json(self, line: Line, preset: str) -> None:
        line.define({"endpoint_id": "hub", "preset": preset, "events": ["push"]})
        assert verdicts(line.run([line.message(b"no json", endpoint="hub")])) == ["event_not_wanted"]

    @pytest.mark.parametrize(("headers", "outcome"), [({}, ["not_json"]), ({"Linear_Event": "push"}, []), ({"Linear_Event": "pull"}, ["event_not_wanted"])])
    def test_a_preset_that_looks_into_both_needs_json_without_the_header(self, line: Line, headers: dict[str, str], outcome: list[str]) -> None:
        line.define({"endpoint_id": "hub", "preset": "linear", "events": ["push"]})
        assert verdicts(line.run([line.message(b"no json", endpoint="hub", **headers)])) == outcome

    def test_the_header_comes_first_then_the_preset_then_the_body(self, line: Line) -> None:
        assert self.outcome(line, ["a"], {"type": "b"}, ce_type="a") == []
        assert self.outcome(line, ["a"], {"type": 5, "event": "a"}) == []
        line.define({"endpoint_id": "hub", "preset": "github", "events": ["push"]})
        assert verdicts(line.run([line.message({"type": "b"}, endpoint="hub", X_GitHub_Event="push")])) == []


class TestRules:
    def one(self, line: Line, body: Any, **definition: Any) -> Batch:
        line.define({"endpoint_id": "shop", **definition})
        return line.run([line.message(body)])

    def test_every_violation_is_told_with_its_place(self, line: Line) -> None:
        schema = {"required": ["id", "n"], "properties": {"n": {"type": "integer"}, "mail": {"format": "email"}, "items": {"items": {"pattern": "^a"}}}}
        batch = self.one(line, {"n": "x", "mail": "y", "items": ["a", "b"]}, schema=schema)
        assert verdicts(batch) == ["schema schema schema schema"]
        told = detail(batch)
        for piece in ('/id "id" is a required', '/n "x"', '/mail "y"', "/items/1"):
            assert piece in told

    def test_a_body_that_is_no_json_is_buried_only_where_rules_read_it(self, line: Line) -> None:
        assert verdicts(self.one(line, b"{", schema=True)) == ["not_json"]
        assert verdicts(self.one(line, b"{", filter="body.a == 1")) == ["not_json"]
        assert verdicts(self.one(line, b"[", transform={"mapping": {"/a": "/b"}})) == ["not_json"]
        assert verdicts(self.one(line, b"}", filter="type == ''")) == []
        assert verdicts(self.one(line, b"]", transform={"expressions": {"/id": "id"}})) == []

    @pytest.mark.parametrize("number", [b"1e400", b"-" + b"1" * 400])
    @pytest.mark.parametrize("definition", [{"schema": True}, {"filter": "body.n > 1"}, {"events": ["a"]}])
    def test_a_number_that_no_double_holds_is_not_called_no_json(self, line: Line, definition: dict[str, Any], number: bytes) -> None:
        batch = self.one(line, b'{"type": "a",\n "n": ' + number + b"}", **definition)
        assert verdicts(batch) == ["number_out_of_range"]
        assert "has a number beyond what a double holds, at line 2 column 7: write it as a text" in detail(batch)

    @pytest.mark.parametrize("end", [b"", b"]", b"} {", b', "m": NaN}', b', "m": ' + b"[" * 100_000])
    def test_what_is_no_json_is_called_so_whatever_numbers_are_in_it(self, line: Line, end: bytes) -> None:
        batch = self.one(line, b'{"n": 1e400' + end, schema=True)
        assert verdicts(batch) == ["not_json"]
        assert "is not JSON: " in detail(batch)

    def test_a_filter_lets_through_what_it_says(self, line: Line) -> None:
        assert verdicts(self.one(line, {"a": 2}, filter="body.a > 1")) == []
        assert verdicts(self.one(line, {"a": 1}, filter="body.a > 1")) == ["filtered"]

    def test_what_a_filter_does_not_find_is_not_true(self, line: Line) -> None:
        batch = self.one(line, {"b": 1}, filter="!(body.a > 1)")
        assert verdicts(batch) == ["filtered"]
        assert "'a', which is not there" in detail(batch)
        assert verdicts(self.one(line, {"b": 2}, filter="!has(body.a) || body.a > 1")) == []

    @pytest.mark.parametrize("source", ["body.a > 'x'", "body.a", "body.a + 1.5 > 1.0", "body.a / 0 == 1", "size(body.a) == 1"])
    def test_a_filter_without_an_answer_buries(self, line: Line, source: str) -> None:
        assert verdicts(self.one(line, {"a": 1}, filter=source)) == ["filter_failed"]

    def test_variables_are_what_they_say(self, line: Line) -> None:
        line.define(
            {
                "endpoint_id": "shop",
                "transform": {"expressions": {"/h": "headers['x-shop']", "/t": "type", "/i": "id", "/e": "endpoint", "/r": "received_at", "/n": "body.n"}},
            }
        )
        http = orjson.dumps({"headers": {"x-shop": "de"}}).decode()
        batch = line.run([line.message({"n": 1, "type": "t"}, ce_id="i", ce_time="2030-01-01T00:00:00Z", x_http=http)])
        assert orjson.loads(values([batch])[0] or b"") == {"h": "de", "t": "t", "i": "i", "e": "shop", "r": "2030-01-01T00:00:00Z", "n": 1}
        assert headers(batch)["content-type"] == "application/json"

    def test_a_transform_that_fails_tells_every_target(self, line: Line) -> None:
        batch = self.one(line, {"a": "x"}, transform={"expressions": {"/p": "body.a > 1", "/q": "-body.a", "/r": "body.a"}})
        assert verdicts(batch) == ["transform_failed transform_failed"]
        assert "/p" in detail(batch)
        assert "/q" in detail(batch)

    def test_an_output_that_no_topic_takes_buries(self, line: Line) -> None:
        line.missing.add("mine")
        assert verdicts(self.one(line, {"a": 1}, target_topic="mine")) == ["no_such_topic"]
        line.missing.clear()
        assert verdicts(self.one(line, {"a": 1}, target_topic="mine")) == []


class TestDedupe:
    def ids(self, line: Line, *ids: str, endpoint: str = "shop") -> list[str]:
        return verdicts(line.run([line.message({"n": n}, endpoint=endpoint, x_sender_id=i) for n, i in enumerate(ids)]))

    def test_an_id_becomes_one_event(self, line: Line) -> None:
        assert self.ids(line, "a", "a", "b") == ["duplicate"]
        assert self.ids(line, "a", "c") == ["duplicate"]
        line.restart_from_disk()
        assert self.ids(line, "b", "c", "d") == ["duplicate", "duplicate"]

    def test_the_trace_names_the_first(self, line: Line) -> None:
        line.run([line.message(x_sender_id="a", ce_id="first")])
        assert "first" in detail(line.run([line.message(x_sender_id="a", ce_id="second")]))

    def test_the_window_is_measured_between_ingestions(self, line: Line) -> None:
        assert self.ids(line, "a") == []
        line.clock.advance(7 * DAY_MS - 1)
        assert self.ids(line, "a") == ["duplicate"]
        line.clock.advance(1)
        assert self.ids(line, "a", "a") == ["duplicate"]

    def test_a_late_worker_still_knows_its_duplicates(self, line: Line) -> None:
        first = line.message(x_sender_id="a")
        line.clock.advance(7 * DAY_MS - 1)
        second = line.message(x_sender_id="a")
        line.run([first])
        line.clock.advance(DAY_MS)
        assert verdicts(line.run([second])) == ["duplicate"]

    def test_endpoints_do_not_share_ids(self, line: Line) -> None:
        line.define({"endpoint_id": "two"})
        assert self.ids(line, "a") == []
        assert self.ids(line, "a", endpoint="two") == []

    def test_a_definition_registered_anew_keeps_its_memory(self, line: Line) -> None:
        assert self.ids(line, "a") == []
        line.define({"endpoint_id": "shop", "description": "another"})
        assert self.ids(line, "a") == ["duplicate"]

    def test_what_was_buried_or_dropped_was_not_seen(self, line: Line) -> None:
        line.define({"endpoint_id": "shop", "schema": {"required": ["ok"]}})
        batch = line.run([line.message({}, x_sender_id="a"), line.message({"ok": 1}, x_sender_id="a"), line.message({"ok": 2}, x_sender_id="a")])
        assert verdicts(batch) == ["schema", "duplicate"]
        assert verdicts(line.run([line.message({}, x_sender_id="b")])) == ["schema"]
        line.define({"endpoint_id": "shop"})
        assert self.ids(line, "b") == []

    def test_without_an_id_the_body_is_the_id(self, line: Line) -> None:
        assert verdicts(line.run([line.message(b"a"), line.message(b"a"), line.message(b"b")])) == ["duplicate"]
        assert verdicts(line.run([line.message(b"a", x_sender_id="new")])) == []

    def test_nothing_is_compared_where_the_definition_says_so(self, line: Line) -> None:
        line.define({"endpoint_id": "shop", "dedupe": False})
        assert self.ids(line, "a", "a") == []

    def test_the_definition_says_where_a_producers_id_stands(self, line: Line) -> None:
        line.define({"endpoint_id": "shop", "dedupe": {"path": "/meta/id"}})
        assert verdicts(line.run([line.message({"meta": {"id": 7}, "n": n}) for n in (1, 2)])) == ["duplicate"]
        line.define({"endpoint_id": "shop", "dedupe": {"header": "X-Msg", "window_seconds": 1}})
        assert verdicts(line.run([line.message({"n": n}, X_Msg="m") for n in (3, 4)])) == ["duplicate"]
        line.clock.advance(1000)
        assert verdicts(line.run([line.message({"n": 5}, X_Msg="m")])) == []

    def test_a_presets_place_is_looked_at(self, line: Line) -> None:
        line.define({"endpoint_id": "hub", "preset": "github"})
        messages = [line.message({"n": n}, endpoint="hub", X_GitHub_Delivery="d", X_GitHub_Event="push") for n in (1, 2)]
        assert verdicts(line.run(messages)) == ["duplicate"]

    def test_a_test_event_is_never_a_duplicate(self, line: Line) -> None:
        assert verdicts(line.run([line.message(b"same", x_test="1", ce_id=i, x_sender_id="s") for i in ("1", "2")])) == []
