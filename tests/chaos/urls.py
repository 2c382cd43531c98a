"""A long walk among bent URLs: `python -m tests.chaos.urls [--urls 1000000] [--seed N]`; exit code 1 when one was connected to."""

import argparse
import asyncio
import random
import time

from tests.kit.targets import counted
from tests.kit.wander import wander


def main() -> int:
    """Walk, and count who came to a listening socket."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.urls", description="Call bent URLs with lying name servers; nothing may be connected to.")
    parser.add_argument("--urls", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="chooses the URLs; a run prints its own")
    chosen = parser.parse_args()
    begin = time.monotonic()
    with counted() as (port, come):
        outcomes = asyncio.run(wander(chosen.urls, seed=chosen.seed, port=port))
    print(f"seed {chosen.seed}: {chosen.urls:,} URLs in {time.monotonic() - begin:.0f} s, {dict(outcomes)}; connections: {len(come)}")
    return 1 if come else 0


if __name__ == "__main__":
    raise SystemExit(main())
