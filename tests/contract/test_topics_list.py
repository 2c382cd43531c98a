"""`xyra topics list` against a real cluster."""

import json
from dataclasses import replace
from uuid import uuid4

from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.local.place import KAFKA
from deploy.local.ports import free_port
from flows.core.errors import Unavailable
from flows.core.settings import Settings
from flows.core.topics import CONFIG
from flows.wire.kafka import ensure_topics


def test_a_topic_that_only_a_definition_names_is_listed(settings: Settings) -> None:
    target = f"target-{uuid4()}"
    ensure_topics(settings, [replace(CONFIG, name=target)])
    done = CliRunner(env={KAFKA: settings.kafka_bootstrap_servers}).invoke(app, ["topics", "list", "--json"])
    rows = {row["topic"]: row for row in json.loads(done.stdout)}
    assert rows[target] == {
        "topic": target,
        "partitions": 1,
        "kept": "as it was made",
        "writer": "flows, or you",
        "readers": "you",
        "meaning": "Named by a definition, or yours.",
    }
    assert CONFIG.name in rows
    assert not [name for name in rows if name.startswith("__")]


def test_a_cluster_that_is_away_is_named() -> None:
    away = f"127.0.0.1:{free_port()}"
    done = CliRunner(env={KAFKA: away}).invoke(app, ["topics", "list"])
    assert isinstance(done.exception, Unavailable)
    assert f"Kafka at {away} does not" in done.exception.detail
