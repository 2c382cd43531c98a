import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from flows.core.imports.jobs import JobDefinition
from flows.core.orders import StoredReplay
from flows.core.resources import WebhookDefinition
from ingress.control import routes
from ingress.routes.letter_answers import Search
from ingress.routes.upload_answers import Hints

REGISTER = "/integration/webhooks/register"
NAMED: dict[str, Any] = {"endpoint_id": "shop", "secret": "s"}
WEBHOOK_FIELDS = (
    "url, events, retry_config, delivery, preset, verification, dedupe, schema, filter, transform, target_topic, ordering_key, description, endpoint_id, secret"
)


@pytest.fixture(scope="module")
def app() -> FastAPI:
    app = routes()
    app.state.door = None  # a body that is not valid is refused before the door is asked for anything
    return app


def wrong(app: FastAPI, content: bytes | None = None, json: Any = None, path: str = REGISTER) -> list[tuple[str, str, str]]:
    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://door.invalid") as client:
            return await client.post(path, content=content, json=json)

    answer = asyncio.run(asked())
    assert answer.status_code == 422, answer.text
    return [(error["pointer"], error["code"], error["detail"]) for error in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"events": "order"}, [("/events", "not_a_list", "give a list")]),
        ({"dedupe": True}, [("/dedupe", "not_an_object", "give a JSON object"), ("/dedupe", "not_one_of", "give false")]),
        ({"evnts": []}, [("/evnts", "unknown_field", "there is no field evnts; did you mean events?")]),
        ({"shema": {}}, [("/shema", "unknown_field", "there is no field shema; did you mean schema?")]),
        ({"zzz": {}}, [("/zzz", "unknown_field", f"there is no field zzz; there are {WEBHOOK_FIELDS}")]),
        ({"retry_config": {"max_attempt": 1}}, [("/retry_config/max_attempt", "unknown_field", "there is no field max_attempt; did you mean max_attempts?")]),
        ({"retry_config": {"max_attempts": 0}}, [("/retry_config/max_attempts", "too_small", "give at least 1")]),
        ({"retry_config": {"retry_delays": []}}, [("/retry_config/retry_delays", "value_error", "give at least one delay, in seconds")]),
        ({"retry_config": {"retry_delays": [-1]}}, [("/retry_config/retry_delays/0", "too_small", "give at least 0")]),
        ({"retry_config": {"retry_delays": [1e99]}}, [("/retry_config/retry_delays/0", "too_large", "give at most 2592000")]),
        ({"retry_config": {"retry_delays": [-1e99]}}, [("/retry_config/retry_delays/0", "too_small", "give at least 0")]),
        ({"retry_config": {"max_attempts": 1e99}}, [("/retry_config/max_attempts", "too_large", "give at most 100")]),
        ({"delivery": {"rate_per_second": 1e99}}, [("/delivery/rate_per_second", "too_large", "give at most 10000")]),
        ({"retry_config": {"retry_delays": [1] * 101}}, [("/retry_config/retry_delays", "too_long", "give at most 100 element(s)")]),
        ({"transform": {"mapping": {f"/{n}": "/x" for n in range(257)}}}, [("/transform/mapping", "too_long", "give at most 256 field(s)")]),
        ({"secret": ""}, [("/secret", "too_short", "give at least 1 character(s)")]),
        ({"url": "HTP://EXAMPLE.COM"}, [("/url", "wrong_form", "give a URL that begins with http:// or https:// and has no spaces")]),
        ({"delivery": {"order": "fifo"}}, [("/delivery/order", "not_one_of", "give 'none' or 'key'")]),
        ({"filter": ""}, [("/filter", "too_short", "give at least 1 character(s)")]),
        ({"dedupe": {"window_seconds": -1}}, [("/dedupe/window_seconds", "too_small", "give at least 1")]),
        ({"dedupe": "no"}, [("/dedupe", "not_an_object", "give a JSON object"), ("/dedupe", "not_one_of", "give false")]),
        ({"ordering_key": "customer"}, [("/ordering_key", "wrong_form", "give a JSON pointer such as /order/id; write ~1 for a / in a name, and ~0 for a ~")]),
        ({"ordering_key": {"header": "a b"}}, [("/ordering_key/header", "wrong_form", "give the name of a header, such as X-Event-Id")]),
        ({"ordering_key": 5}, [("/ordering_key", "not_an_object", "give a JSON object"), ("/ordering_key", "not_text", "give text")]),
        (
            {"preset": "a", "verification": {}},
            [
                (
                    "",
                    "value_error",
                    'give either preset or verification, not both; to change a part of a preset, name it inside: {"verification": {"preset": ..., ...}}',
                )
            ],
        ),
    ],
)
def test_a_wrong_field_is_told_in_our_words(app: FastAPI, given: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    assert wrong(app, json=NAMED | given) == expected


JOBS = "/integration/import/jobs"
JOB: dict[str, Any] = {"name": "n", "job_type": "one_time", "data_format": "csv", "source_config": {"upload_id": "u-1"}}
ONE_LINE = ("wrong_form", "give text on one line, without control characters")
LINES = ("wrong_form", "give text without control characters other than tabs and line breaks")
TRUTH = ("not_a_boolean", "give true or false")


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (JOBS, JOB | {"name": "a\0b"}, [("/name", *ONE_LINE)]),
        (JOBS, JOB | {"name": "a\nb"}, [("/name", *ONE_LINE)]),
        ("/integration/import/preview", {"data_format": "csv", "source_config": {}, "name": "\x1b[31m"}, [("/name", *ONE_LINE)]),
        (REGISTER, NAMED | {"description": "a\0"}, [("/description", "wrong_form", "give text without control characters other than tabs and line breaks")]),
        (JOBS, JOB | {"incremental": {"file": "yes"}}, [("/incremental/file", *TRUTH)]),
        (JOBS, JOB | {"all_or_nothing": 1}, [("/all_or_nothing", *TRUTH)]),
        (JOBS, JOB | {"source_config": {"upload_id": "u", "header": "no"}}, [("/source_config/header", *TRUTH)]),
        (REGISTER, NAMED | {"transform": {"keep_rest": "on"}}, [("/transform/keep_rest", *TRUTH)]),
        (JOBS, JOB | {"key_columns": ["a\0b"]}, [("/key_columns/0", *LINES)]),
        (JOBS, JOB | {"incremental": {"cursor_column": "a\x07"}}, [("/incremental/cursor_column", *LINES)]),
        (JOBS, JOB | {"source_config": {"upload_id": "u", "columns": ["a", "\x1b[1m"]}}, [("/source_config/columns/1", *LINES)]),
        (
            "/integration/webhooks/shop/secrets",
            {"secret": "s", "expire_others_in_seconds": 1e99},
            [("/expire_others_in_seconds", "too_large", "give at most 315360000")],
        ),
        (REGISTER, NAMED | {"secret": "   "}, [("/secret", "value_error", "give a secret that is not blanks alone")]),
        ("/integration/webhooks/shop/secrets", {"secret": " \t"}, [("/secret", "value_error", "give a secret that is not blanks alone")]),
    ],
)
def test_control_characters_and_words_for_truths_are_refused(app: FastAPI, path: str, body: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    assert wrong(app, json=body, path=path) == expected


@pytest.mark.parametrize("time", [0, 1_700_000_000, "0", "1700000000", True])
@pytest.mark.parametrize(("path", "place"), [("/integration/replays", "/from"), ("/integration/dlq/replay", "/filter/from")])
def test_a_number_is_no_time(app: FastAPI, path: str, place: str, time: object) -> None:
    body = {"from": time}
    found = wrong(app, json={"filter": body} if place.startswith("/filter") else body, path=path)
    assert found == [(place, "not_a_time", "give a time as RFC 3339 has it, such as 2026-01-31T12:00:00Z")]


DAILY: dict[str, Any] = {"job_type": "scheduled", "schedule_config": {"frequency": "daily"}}


@pytest.mark.parametrize("value", [True, "3", "0.5"])
@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        (JOBS, JOB, "max_errors"),
        (JOBS, JOB, "max_error_ratio"),
        (JOBS, JOB, "min_rows_for_ratio"),
        (JOBS, JOB, "rows_per_record"),
        (JOBS, JOB, "source_config/chunk_size"),
        (JOBS, JOB | DAILY, "schedule_config/catch_up_most"),
        (REGISTER, NAMED, "retry_config/max_attempts"),
        (REGISTER, NAMED, "delivery/concurrency"),
        (REGISTER, NAMED, "delivery/rate_per_second"),
        ("/integration/dlq/replay", {"filter": {}}, "rate_per_second"),
        ("/integration/replays", {"from": "2026-01-01T00:00:00Z"}, "rate_per_second"),
        ("/integration/webhooks/shop/secrets", {"secret": "abcdefgh"}, "expires_in_seconds"),
        ("/integration/webhooks/shop/delivery-secrets", {}, "expire_others_in_seconds"),
    ],
)
def test_truths_and_texts_are_no_numbers(app: FastAPI, path: str, body: dict[str, Any], place: str, value: object) -> None:
    outer, _, inner = place.rpartition("/")
    given = body | ({outer: body.get(outer, {}) | {inner: value}} if outer else {inner: value})
    ((pointer, code, _),) = wrong(app, json=given, path=path)
    assert pointer == f"/{place}"
    assert code in {"not_a_number", "not_a_whole_number"}


def test_a_whole_number_may_be_written_as_a_float_and_text_for_people_may_have_lines() -> None:
    wanted = WebhookDefinition.model_validate(NAMED | {"delivery": {"rate_per_second": 5.0}, "description": "One.\n\tTwo.", "transform": {"keep_rest": True}})
    assert (wanted.delivery.rate_per_second, wanted.description, wanted.transform and wanted.transform.keep_rest) == (5, "One.\n\tTwo.", True)
    assert JobDefinition.model_validate(JOB | {"max_error_ratio": 1}).max_error_ratio == 1.0


def test_offsets_by_partition_are_read_where_json_has_texts() -> None:
    stored = {"replay_id": "r", "until": {"3": 17}, "by": "a", "at_ms": 1}
    assert StoredReplay.model_validate(stored).until == {3: 17}


def test_words_for_truths_are_read_where_all_values_are_texts() -> None:
    assert Search.model_validate({"group": "true"}).group
    assert Hints.model_validate({"header": "false", "delimiter": ";"}).header is False


@pytest.mark.parametrize("raw", [b"[]", b"null", b"3", b'"x"'])
def test_a_body_that_is_no_object(app: FastAPI, raw: bytes) -> None:
    assert wrong(app, raw) == [("", "not_an_object", "the body must be a JSON object")]


def test_an_empty_body(app: FastAPI) -> None:
    assert wrong(app, b"") == [("", "missing", "the body is empty: give a JSON object")]


def test_a_wrong_secret_is_not_shown(app: FastAPI) -> None:
    assert wrong(app, json=NAMED | {"secret": "s" * 5000}) == [("/secret", "too_long", "give at most 4096 character(s)")]


def test_all_that_a_registration_lacks_is_told_at_once(app: FastAPI) -> None:
    found = wrong(app, json={})
    assert sorted((pointer, code) for pointer, code, _ in found) == [("/endpoint_id", "missing"), ("/secret", "missing")]
    assert all(detail.startswith("give this field: ") for *_, detail in found)


def test_a_list_with_a_wrong_item_is_not_called_too_short(app: FastAPI) -> None:
    path = "/integration/dlq/replay"
    assert [(pointer, code) for pointer, code, _ in wrong(app, json={"ids": ["nope"]}, path=path)] == [("/ids/0", "wrong_form")]
    assert [(pointer, code) for pointer, code, _ in wrong(app, json={"ids": []}, path=path)] == [("/ids", "too_short")]


@pytest.mark.parametrize("path", ["/integration/import/jobs", "/integration/import/preview"])
def test_all_that_is_misspelt_in_an_order_is_told_at_once_in_its_rules_too(app: FastAPI, path: str) -> None:
    order = {"name": "a", "job_type": "one_time", "data_format": "csv", "source_config": {"upload_id": "u", "delimeter": ";", "heder": True}}
    rules = {"requierd": ["a"], "data_types": {"a": {"type": "date", "format": ["%Y"]}}, "unique": {"columns": ["a"]}, "max_errors": 1}
    found = wrong(app, json=order | {"transformation_rules": rules}, path=path)
    assert [(pointer, detail.partition("did you mean ")[2]) for pointer, _, detail in found] == [
        ("/source_config/delimeter", "delimiter?"),
        ("/source_config/heder", "header?"),
        ("/transformation_rules/data_types/a/format", "formats?"),
        ("/transformation_rules/requierd", "required?"),
        ("/transformation_rules/max_errors", ""),
    ]


def test_rules_that_are_none_or_do_not_belong_there_are_told_once(app: FastAPI) -> None:
    order = {"job_type": "one_time", "data_format": "csv", "source_config": {"upload_id": "u"}, "transformation_rules": ["trim"]}
    assert [pointer for pointer, *_ in wrong(app, json=order, path="/integration/import/jobs")] == ["/name", "/transformation_rules"]
    assert [pointer for pointer, *_ in wrong(app, json=NAMED | {"transformation_rules": {"trimm": True}})] == ["/transformation_rules"]
