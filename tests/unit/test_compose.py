"""`docker-compose.yml` against the Compose Specification's schema, and against what the local stack does."""

import json
from typing import Any

import jsonschema
import pytest
import yaml

from deploy.flows import FLOWS
from deploy.local import kafka
from flows.core.settings import Row, rows
from flows.core.topics import RECORD_BYTES
from tests.arch.tree import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SCHEMA = json.loads((ROOT / "tests/vectors/compose-spec.json").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "deploy/images/Dockerfile").read_text(encoding="utf-8")


def test_it_is_a_compose_file() -> None:
    jsonschema.validate(COMPOSE, SCHEMA, jsonschema.Draft7Validator)


def test_the_schema_refuses_what_is_none() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"services": {"a": {"imagee": "b"}}}, SCHEMA, jsonschema.Draft7Validator)


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_has_a_health_check_fewer_rights_and_data_that_stays(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["cap_drop"] == ["ALL"]
    assert service["volumes"][0].split(":")[0] in COMPOSE["volumes"]
    assert "user" in service or "USER $USER" in DOCKERFILE
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_each_flow_has_its_worker() -> None:
    assert {f"worker-{flow}" for flow in FLOWS} == {name for name in SERVICES if name.startswith("worker-")}


def test_it_sets_only_settings_there_are() -> None:
    known = {row.variable for row in rows()}
    assert {name for service in SERVICES.values() for name in service.get("environment", {}) if name.startswith("INTEGRATION_")} <= known


PASSED_ON = [row for row in rows() if row.name.startswith(("spill", "egress_", "dlq_"))]
OURS = [name for name in SERVICES if name == "ingress" or name.startswith("worker-")]


@pytest.mark.parametrize("row", PASSED_ON, ids=lambda row: row.name)
def test_what_is_set_outside_reaches_every_service_of_ours(row: Row) -> None:
    assert {SERVICES[name]["environment"].get(row.variable) for name in OURS} == {f"${{{row.variable}:-{row.default}}}"}


def test_what_can_be_set_outside_has_the_default_of_its_setting() -> None:
    defaults = {row.variable: row.default for row in rows()}
    outside = {name: value for ours in OURS for name, value in SERVICES[ours]["environment"].items() if value.startswith("${")}
    assert outside == {name: f"${{{name}:-{defaults[name]}}}" for name in outside}


def test_kafka_is_set_as_the_local_one() -> None:
    set_here = {name.removeprefix("KAFKA_").lower().replace("_", "."): value for name, value in SERVICES["kafka"]["environment"].items()}
    same = {name for name in kafka.PROPERTIES if name in set_here} - {"listener.security.protocol.map"}
    assert len(same) >= 12
    assert {name: set_here[name] for name in same} == {name: kafka.PROPERTIES[name] for name in same}
    assert set_here["message.max.bytes"] == str(RECORD_BYTES)
    assert set_here["cluster.id"] == kafka.CLUSTER_ID


def test_the_image_is_installed_from_hashes_and_runs_as_nobody_special() -> None:
    stages = DOCKERFILE.split("FROM ")[1:]
    assert [stage.split()[0] for stage in stages] == ["python:3.12-slim", "python:3.12-slim"]
    assert "--require-hashes --requirement deploy/lock/image.txt" in stages[0]
    assert "USER $USER" in stages[1]
    assert "pip install" not in stages[1]
