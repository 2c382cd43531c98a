"""The work of `tests/bench/flows.py`, written for Quix Streams as its own documentation would have it.

Arguments: `stateless|count BOOTSTRAP TOPIC GROUP STATE_DIR`. Reads TOPIC, writes TOPIC.out. Runs in a venv of its own
(`quix.txt`): it pins another confluent-kafka than ours.
"""

import sys
from typing import Any

from quixstreams import Application, State


def transform(body: dict[str, Any]) -> dict[str, Any]:
    """Set one field of the parsed JSON object."""
    body["src"] = 1
    return body


def counted(_: bytes, state: State) -> dict[str, int]:
    """Count the records of this key; the new count is written for every record."""
    n = (state.get("n") or 0) + 1
    state.set("n", n)
    return {"n": n}


def main(mode: str, bootstrap: str, topic: str, group: str, state_dir: str) -> None:
    """Run until a signal."""
    app = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        use_changelog_topics=True,
        state_dir=state_dir,
        producer_extra_config={"compression.type": "lz4"},  # the same as ours
        loglevel="WARNING",
    )  # everything else is its default, among them the transaction every 5 s
    source = app.topic(topic, value_deserializer="json" if mode == "stateless" else "bytes")
    frame = app.dataframe(source)
    frame = frame.apply(transform) if mode == "stateless" else frame.apply(counted, stateful=True)
    frame.to_topic(app.topic(f"{topic}.out", value_serializer="json"))
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
