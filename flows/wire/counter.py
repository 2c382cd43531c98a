"""Counters for paths where each count counts."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from flows.core.signals import Signal


class Count:
    """One counter's value; adding to it costs a fifth of the client's own, which takes a lock and checks its labels."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        """Begin at nothing."""
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        """Count."""
        self.value += amount


class Counter(Collector):
    """A counter with its labels. Each series is counted by one thread; reading may happen in any."""

    def __init__(self, signal: Signal) -> None:
        """Take the row; a counter without labels is there from the start."""
        self._signal = signal
        self._counts: dict[tuple[str, ...], Count] = {} if signal.labels else {(): Count()}

    def labels(self, **labels: str) -> Count:
        """Return one series, made on first use."""
        key = tuple(labels[name] for name in self._signal.labels)
        found = self._counts.get(key)
        return found or self._counts.setdefault(key, Count())

    def inc(self, amount: float = 1) -> None:
        """Count in the one series of a counter without labels."""
        self._counts[()].inc(amount)

    def collect(self) -> Iterable[Metric]:
        """Show every series."""
        family = CounterMetricFamily(self._signal.name, self._signal.meaning, labels=self._signal.labels)
        for key, count in list(self._counts.items()):
            family.add_metric(key, count.value)
        return [family]
