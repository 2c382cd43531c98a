"""Rows of imports, asked for by their ids: found near a time that is named, or where the jobs say that they ran."""

import hashlib
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from flows.core import topics
from flows.core.clock import SystemClock, rfc3339
from flows.core.imports.jobs import JOB, JobDefinition, StoredJob
from flows.core.imports.progress import Report
from flows.wire.kafka import ensure_topics
from tests.kit.door import RunningDoor, until
from tests.kit.log import Log

ROUTE = "/integration/events"
NOW = SystemClock().now_ms
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def log(door: RunningDoor) -> Log:
    ensure_topics(door.settings, topics.TOPICS)
    return Log(door.settings)


def row_id() -> str:
    return hashlib.sha256(f"{uuid4().hex}:7".encode()).hexdigest()


def publish(log: Log, topic: str, row: str, job_id: str, at_ms: int) -> dict[str, Any]:
    """Write a row as the flow does, and return where it stands."""
    about = {"ce_id": row, "ce_source": f"/imports/{job_id}", "ce_type": "import.row", "content_type": "application/json"}
    partition, offset = log.write(topic, "k-1", b'{"id": 1}', at_ms, **about)
    return {"topic": topic, "partition": partition, "offset": offset}


def tell(door: RunningDoor, log: Log, target: str | None, began_ms: int, ended_ms: int) -> str:
    """Let a job have run, and the ingress know of it."""
    job_id = f"j-{uuid4().hex}"
    told: dict[str, Any] = {"name": job_id, "job_type": "one_time", "data_format": "csv", "source_config": {"file_path": "/x"}, "target_topic": target}
    stored = StoredJob(job_id=job_id, definition=JobDefinition.model_validate(told), by="test", created_at_ms=began_ms, updated_at_ms=began_ms)
    log.write(topics.CONFIG.name, f"{JOB}/{job_id}", stored.model_dump_json(by_alias=True).encode())
    report = Report(job_id=job_id, status="completed", started_at_ms=began_ms, ended_at_ms=ended_ms, rows_read=1, rows_accepted=1)
    log.write(topics.STATUS.name, f"{JOB}/{job_id}", report.text())
    until(lambda: door.http.get(f"/integration/import/jobs/{job_id}").json().get("rows_read") == 1)
    return job_id


def test_a_row_is_found_near_the_time_that_is_named_and_names_its_job(door: RunningDoor, log: Log) -> None:
    row, now_ms = row_id(), NOW()
    spot = publish(log, topics.EVENTS.name, row, "a-job", now_ms)
    answer = door.http.get(f"{ROUTE}/{row}", params={"at": rfc3339(now_ms - 1000), "body": "true"})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["outcome"], found["received"], found["steps"], found["delivery"], found["incomplete"]) == ("kept", None, [], None, [])
    assert [output["record"] for output in found["outputs"]] == [spot]
    assert found["imported"] == {
        "job_id": "a-job",
        "source": "/imports/a-job",
        "type": "import.row",
        "key": "k-1",
        "content_type": "application/json",
        "size": 9,
        "body": '{"id": 1}',
        "body_encoding": "text",
    }


@pytest.mark.parametrize("at_h", [None, -0.1, 1.0, 2.1])
def test_a_row_is_found_where_its_job_ran(door: RunningDoor, log: Log, at_h: float | None) -> None:
    row, began_ms = row_id(), NOW() - 5 * HOUR_MS
    target = f"rows-{uuid4().hex}"
    ensure_topics(door.settings, [replace(topics.EVENTS, name=target)])
    job_id = tell(door, log, target, began_ms, began_ms + 2 * HOUR_MS)
    spot = publish(log, target, row, job_id, began_ms + HOUR_MS // 2)
    answer = door.http.get(f"{ROUTE}/{row}", params={} if at_h is None else {"at": rfc3339(began_ms + int(at_h * HOUR_MS))})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["imported"]["job_id"], [output["record"] for output in answer.json()["outputs"]]) == (job_id, [spot])


def test_a_row_that_is_nowhere_says_where_its_time_stands(door: RunningDoor, log: Log) -> None:
    tell(door, log, None, NOW() - 1000, NOW())
    for query in ({}, {"at": rfc3339(NOW())}):
        answer = door.http.get(f"{ROUTE}/{row_id()}", params=query)
        assert answer.status_code == 404, answer.text
        assert "xyra.events from" in answer.json()["detail"]
        assert "GET /integration/import/jobs/{job_id}" in answer.json()["detail"]
