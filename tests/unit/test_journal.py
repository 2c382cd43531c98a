"""The journal tells of what was dropped, and of nothing else."""

from pathlib import Path

import orjson

from flows.engine.journal import dropped
from tests.kit.line import Line


def test_a_drop_is_told_with_its_step_and_reason_and_nothing_else_is(tmp_path: Path) -> None:
    line = Line(tmp_path / "state", {"endpoint_id": "shop", "events": ["a.*"], "schema": True})
    batch = line.run(
        [
            line.message(b'{"type": "a.b"}', ce_id="kept"),
            line.message(b'{"type": "x"}', ce_id="unwanted"),
            line.message(b"{", ce_type="a.b", ce_id="buried"),
            line.message(b'{"type": "y"}'),
        ]
    )
    line.close()
    entries = [(output.topic, output.key, orjson.loads(output.value or b"")) for output in dropped("webhooks", batch)]
    assert [(topic, key) for topic, key, _ in entries] == [("xyra.journal", b"unwanted"), ("xyra.journal", entries[1][2]["event_id"].encode())]
    assert entries[0][2] == {
        "event_id": "unwanted",
        "flow": "webhooks",
        "at_ms": line.clock.now_ms(),
        "kind": "dropped",
        "step": "events",
        "reason": "event_not_wanted",
        "detail": "its type is 'x'",
        "origin": "xyra.webhooks/0/2",
    }
    assert len(entries[1][2]["event_id"]) == 36
