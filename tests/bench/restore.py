"""How fast a store that is gone comes back from its changelog."""

import shutil
import time
from collections.abc import Iterator
from typing import Final

from flows.core import codec
from flows.core.settings import load
from flows.engine.changelog import restore as replay
from flows.engine.state import PartitionState
from tests.bench import topics
from tests.bench.place import Place
from tests.bench.results import Figure, Result, Series

ENTRIES: Final = 2_400_000
TOPIC: Final = "bench.changelog"
RESTORE: Final = Figure("restore", "state of 8 partitions from their changelog into RocksDB, entries of about 120 bytes", "entries/s", 200_000, "at least")


def entry(i: int) -> tuple[bytes, bytes]:
    """Return an entry as a checkpoint writes it."""
    return codec.USER + b"agent-%012d" % i, codec.plain(
        b'{"count":%d,"total":%d,"last":"2026-01-01T00:00:00Z","plan":"business","region":"eu-west-1"}' % (i, i)
    )


def restore(place: Place) -> Iterator[Result]:
    """Restore all partitions, one after the other as a worker does, into an empty directory."""
    entries = place.amount(ENTRIES)
    place.say(f"restore: writing {entries:,} entries")
    topics.make(place.bootstrap, TOPIC, compacted=True)
    topics.fill(place.bootstrap, TOPIC, entries, entry)
    settings = load({}, kafka_bootstrap_servers=place.bootstrap)
    runs = []
    for number in range(place.rounds()):
        place.say(f"restore, round {number + 1}")
        home = place.data / "restored"
        begin, done = time.monotonic(), 0
        for partition in range(topics.PARTITIONS):
            state = PartitionState.open(home, partition)
            done += replay(settings, state, TOPIC, partition)
            state.close()
        runs.append(done / (time.monotonic() - begin))
        if done != entries:
            msg = f"{done:,} of {entries:,} entries came back"
            raise RuntimeError(msg)
        shutil.rmtree(home)
    yield Result(RESTORE, Series(tuple(runs)))
