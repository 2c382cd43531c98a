"""A worker killed at any moment loses nothing it had applied: neither an entry, nor a timer, nor the position."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

from connectors.testing import ManualClock
from flows.core import codec
from tests.kit.state import content, opened

WRITER = """
import sys
from pathlib import Path
from flows.engine.state import PartitionState

state = PartitionState.open(Path(sys.argv[1]), 0)
while True:
    for number in range(20):
        name = b"%d" % (state.position * 7 % 1009 + number)
        state.put(name, b"%d" % state.position * 50)
        state.timers.set(name, state.position + number)
    state.apply(state.position + 1)
    print(state.position, flush=True)
"""


def holds(batches: int) -> tuple[dict[bytes, bytes], dict[bytes, int]]:
    """What the writer has put after so many batches."""
    values, timers = dict[bytes, bytes](), dict[bytes, int]()
    for position in range(batches):
        for number in range(20):
            name = b"%d" % (position * 7 % 1009 + number)
            values[name], timers[name] = b"%d" % position * 50, position + number
    return values, timers


def test_a_kill_loses_nothing_that_was_applied(tmp_path: Path) -> None:
    random, said = Random(3), 0  # noqa: S311  a fixed seed
    for _ in range(6):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(random.randrange(1, 400)):
                said = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            said = max([said, *(int(line) for line in writer.stdout.read().split("\n")[:-1])])
        shutil.copytree(tmp_path / "0", tmp_path / "copy" / "0", dirs_exist_ok=False)
        reasons: list[str] = []
        state = opened(tmp_path / "copy", ManualClock(), reasons)
        values, timers = holds(state.position)
        assert reasons == []
        assert state.position - said in {0, 1}  # the last one may have been applied and not yet said
        assert dict(state.scan()) == values
        assert state.timers.pending_count == len(timers)
        assert {row for row, _ in content(state) if row[:1] == codec.DUE} == {codec.DUE + codec.pack_time(due) + name for name, due in timers.items()}
        state.close()
        shutil.rmtree(tmp_path / "copy")
