"""Deduplication: however records are cut into batches, and whenever the worker starts again, each id becomes one event."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from flows.core.case import Identity
from flows.steps.dedupe import First, key_of
from tests.kit.line import Line, values, verdicts

DEFINITIONS = ({"endpoint_id": "a"}, {"endpoint_id": "b"}, {"endpoint_id": "strict", "schema": {"properties": {"ok": {"const": True}}}})

RECORDS = st.lists(st.tuples(st.sampled_from(["a", "b", "strict"]), st.sampled_from(["1", "2", "3"]), st.booleans()), max_size=25)
CUTS = st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=25)
TEXTS = st.text(max_size=4)


@settings(max_examples=60)
@given(RECORDS, CUTS)
def test_each_id_becomes_one_event(records: list[tuple[str, str, bool]], cuts: list[tuple[int, bool]]) -> None:
    """Records are (endpoint, sender's id, valid); cuts are (size of a batch, start again behind it)."""
    with tempfile.TemporaryDirectory() as scratch:
        line = Line(Path(scratch) / "state", *DEFINITIONS)
        batches = []
        left = [line.message({"ok": ok, "of": f"{endpoint}/{sender}"}, endpoint=endpoint, x_sender_id=sender) for endpoint, sender, ok in records]
        for size, again in [*cuts, (len(left), False)]:
            batches.append(line.run(left[:size]))
            left = left[size:]
            if again:
                line.restart_from_disk()
        line.close()
    passing = [(endpoint, sender) for endpoint, sender, ok in records if ok or endpoint != "strict"]
    emitted = values(batches)
    assert len(emitted) == len(set(passing))
    assert [emitted_of(value) for value in emitted] == [f"{endpoint}/{sender}" for endpoint, sender in dict.fromkeys(passing)]
    assert len(emitted) + sum(len(verdicts(batch)) for batch in batches) == len(records)


def emitted_of(value: bytes | None) -> str:
    """Return what an event says it was made of."""
    return (value or b"").decode().split('"of":"')[1].rstrip('"}')


@given(st.tuples(TEXTS, TEXTS, TEXTS), st.tuples(TEXTS, TEXTS, TEXTS))
def test_no_two_ids_share_a_key(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """Parts never run into one another."""
    keys = [key_of(resource, Identity(kind, value)) for resource, kind, value in (one, other)]
    assert (keys[0] == keys[1]) is (one == other)
    assert len(keys[0]) < 32


@given(st.integers(0, 2**62), TEXTS)
def test_what_is_remembered_is_read_back(ingested_ms: int, event_id: str) -> None:
    """State values are what they were."""
    assert First.unpack(First(ingested_ms, event_id).pack()) == First(ingested_ms, event_id)
