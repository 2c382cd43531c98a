"""A flow that buries too much pauses itself, and one that an operator has paused stands still: which records may be buried, and who stands."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from flows.core import topics
from flows.core.deadletters.burials import WINDOW_S, Burials
from flows.core.orders import PAUSE, StoredPause
from flows.core.settings import Settings
from flows.core.verdict import Await, Bury, Hold, Reason, Retry
from flows.engine.batch import Batch
from flows.engine.definitions import Definitions
from flows.engine.letters import size
from flows.engine.portion import Place
from flows.engine.share import Pause, Share

LOG: Final = logging.getLogger(__name__)
READERS: Final = {PAUSE: StoredPause.model_validate_json}
"""How orders to a flow are read; every flow follows them."""
TOO_MUCH: Final = "buried_too_much"
ORDERED: Final = "ordered"


class Brake:
    """Watches over one worker of a flow. It sees the partitions of this worker only; each worker judges by itself."""

    def __init__(self, flow: str, settings: Settings, definitions: Definitions, settle: Callable[[], None]) -> None:
        """Begin with an empty window: what was buried before the process began does not count; `settle` is called before state is touched."""
        self._flow = flow
        self._settle = settle
        self._ratio = settings.dlq_ratio
        self._burials = Burials(settings.dlq_ratio, settings.dlq_min_count)
        self._definitions = definitions
        self._bury_until_ms = 0
        self._stands: Pause | None = None
        """Why the worker has begun to stand by itself, until an order lets it go on: partitions that come meanwhile stand as well."""

    def heed(self, shares: Mapping[int, Share], now_ms: int) -> frozenset[int]:
        """Do what an operator has ordered since; returns the partitions that stand now, or go on. Part of the batch in hand."""
        order: StoredPause | None = self._definitions.get(PAUSE, self._flow)
        if self._stands is not None and self._stands.order == (order.order_id if order is not None else ""):
            return self._stand(shares, self._stands)
        self._stands = None
        if order is None:
            return frozenset()
        self._bury_until_ms = 0 if order.paused else order.bury_until_ms
        turned = set()
        for number, share in shares.items():
            if share.paused is not None and share.paused.order == order.order_id:
                continue  # it stood already when this was ordered, or has done so since
            if order.paused:
                self._turn(share, Pause(now_ms, ORDERED, order.reason or "An operator has paused the flow.", order.order_id, order.by))
                turned.add(number)
            elif share.paused is not None:
                self._turn(share, None)
                turned.add(number)
        if turned:
            self._burials.clear()
            LOG.warning("Partitions %s %s, as ordered by %s.", sorted(turned), "stand" if order.paused else "go on", order.by)
        return frozenset(turned)

    def judge(self, batch: Batch, shares: Mapping[int, Share], now_s: float) -> frozenset[int]:
        """Let a batch bury as much as may be, and have the rest wait; returns the partitions that stand from now on, none where all may be."""
        burials = [where for where, entry in batch.decided.items() if isinstance(entry.verdict, Bury)]
        waiting = sum(isinstance(entry.verdict, Retry | Await | Hold) for entry in batch.decided.values())
        decided = sum(map(len, batch.taken.fresh.values())) + len(batch.taken.again) - waiting
        if batch.now_ms < self._bury_until_ms:
            return frozenset()
        allowed = self._burials.allow(now_s, decided, len(burials))
        if allowed == len(burials):
            return frozenset()
        why = self._why(batch, burials[allowed:])
        for where in burials[allowed:]:
            entry = batch.decided[where]
            if size(entry.record) <= topics.RECORD_BYTES:
                tried = isinstance(entry.verdict, Bury) and entry.verdict.counts
                batch.decided[where] = entry._replace(verdict=Retry(batch.now_ms, Reason(TOO_MUCH, why), counts=tried))
        known: StoredPause | None = self._definitions.get(PAUSE, self._flow)
        LOG.error("The flow pauses itself. %s", why)
        self._stands = Pause(batch.now_ms, TOO_MUCH, why, known.order_id if known is not None else "", "")
        self._stand(shares, self._stands)
        return frozenset(shares)

    def _stand(self, shares: Mapping[int, Share], why: Pause) -> frozenset[int]:
        """Let all partitions of the worker stand; returns those that did not yet."""
        moving = frozenset(number for number, share in shares.items() if share.paused is None)
        for number in moving:
            self._turn(shares[number], why)
        return moving

    def _turn(self, share: Share, why: Pause | None) -> None:
        self._settle()
        share.pause(why)

    def _why(self, batch: Batch, held: Sequence[Place]) -> str:
        verdict = batch.decided[held[0]].verdict
        first = verdict.reasons[0] if isinstance(verdict, Bury) else Reason("unknown", "")
        decided, buried = self._burials.decided + len(held), self._burials.buried + len(held)
        return (
            f"Of {decided:,} records decided within {WINDOW_S} s, {buried:,} were to be buried, more than {self._ratio:.0%}; {len(held):,} of them wait. "
            f"The first says {first.code}: {first.detail[:200].rstrip('.')}. Mend the cause and resume the flow, or resume it and let it bury: "
            f"POST /integration/flows/{self._flow}/resume."
        )
