"""The OpenAPI document is true: whatever is sent, no answer is a 5xx, and none is one that the document does not name."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks as openapi_checks

from flows.core.imports.tusheaders import OFFSET_TYPE
from tests.kit.door import KEY, RunningDoor

schemathesis.serializer.alias(OFFSET_TYPE, "application/octet-stream")
EXAMPLES = 25
RECEIVE = "/integration/webhooks/{endpoint_id}"
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.unsupported_method,
    openapi_checks.allow_header_conformance,
]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_answer_is_a_server_error_or_undocumented(door: RunningDoor, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_dict(door.stranger.get("/openapi.json").json())
    schema.config.update(base_url=door.url)
    asked = 0
    for found in schema.exclude(path_regex="^/v1/").get_all_operations():  # under /v1 the same once more
        assert isinstance(found, Ok), found
        operation = found.ok()

        @given(operation.as_strategy(generation_mode=mode))
        @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
        def ask(case: Any) -> None:
            nonlocal asked
            asked += 1
            case.call_and_validate(headers={"x-api-key": KEY}, checks=CHECKS, timeout=30)

        can_be_wrong = bool(operation.body or operation.query) and (operation.method, operation.path) != ("post", RECEIVE)  # that takes any bytes
        if mode is GenerationMode.POSITIVE or can_be_wrong:
            ask()
    assert asked >= 4 * EXAMPLES


def test_the_document_names_every_route_under_both_prefixes(door: RunningDoor) -> None:
    found = door.stranger.get("/openapi.json").json()
    assert found["openapi"].startswith("3.1")
    plain = {path for path in found["paths"] if not path.startswith("/v1")}
    assert {"/v1" + path for path in plain} == set(found["paths"]) - plain
    seed = {
        "/integration/webhooks/register",
        "/integration/webhooks/{endpoint_id}",
        "/integration/webhooks/{endpoint_id}/status",
        "/integration/webhooks/test/{endpoint_id}",
    }
    assert seed | {"/health", "/metrics", "/integration/webhooks"} <= plain
    ids = [operation["operationId"] for methods in found["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))
    assert "post" in found["paths"][RECEIVE]
