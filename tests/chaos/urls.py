"""A long walk among bent URLs, with lying name servers: nothing may be connected to."""

import asyncio

from tests.chaos.plan import Outcome
from tests.kit.targets import counted
from tests.kit.wander import wander


def walk(urls: int, seed: int) -> Outcome:
    """Walk, and count who came to a listening socket; the seed chooses the URLs."""
    with counted() as (port, come):
        outcomes = asyncio.run(wander(urls, seed=seed, port=port))
    wrong = (f"{len(come):,} connections were made, the first by {come[0]}",) if come else ()
    return Outcome(0, {"urls": urls} | dict(outcomes), wrong, "")
