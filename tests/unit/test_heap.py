"""Threads share heaps: what one has freed another can take."""

import subprocess
import sys

PROGRAM = """
import threading
from flows.wire import heap
{bound}
held, go = [], threading.Barrier(9)
def take():
    held.append([bytes(n % 400 + 600) for n in range(2000)])
    go.wait()
for _ in range(8):
    threading.Thread(target=take).start()
go.wait()
with open("/proc/self/maps") as maps:
    areas = [line.split() for line in maps]
arenas = [area for area in areas if int(area[0].split("-")[0], 16) % (64 << 20) == 0]
print(sum(1 for area in arenas if area[1] == "rw-p" and area[4] == "0"))
"""


def heaps(bound: str) -> int:
    """Return how many arenas there are beside the first: each begins where its address is a multiple of 64 MiB, as a library may by chance."""
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(bound=bound)], check=True, capture_output=True, text=True, timeout=30)
    return int(done.stdout)


def test_so_many_heaps_and_no_more() -> None:
    assert heaps("heap.share(2)") <= 1 < heaps("")
