"""Histograms for paths where each observation counts."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from flows.core.signals import Signal


class Series:
    """One histogram's counts; an observation costs a fifth of the client's own, and a hot path makes two for each request."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Take the upper bounds of the buckets; one without a bound is added."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, amount: float) -> None:
        """Put a value in its bucket."""
        self._counts[bisect_left(self._bounds, amount)] += 1
        self._sum += amount

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        """Show the counts as Prometheus has them: each bucket holds those below it too."""
        bounds = [*map(floatToGoString, self._bounds), "+Inf"]
        family.add_metric(labels, list(zip(bounds, accumulate(self._counts), strict=True)), self._sum)


class Histogram(Collector):
    """A histogram with its labels. Each series is counted by one thread; reading may happen in any."""

    def __init__(self, signal: Signal) -> None:
        """Take the row; a histogram without labels is there from the start."""
        self._signal = signal
        self._series: dict[tuple[str, ...], Series] = {} if signal.labels else {(): Series(signal.buckets)}

    def labels(self, **labels: str) -> Series:
        """Return one series, made on first use."""
        key = tuple(labels[name] for name in self._signal.labels)
        found = self._series.get(key)
        return found or self._series.setdefault(key, Series(self._signal.buckets))

    def observe(self, amount: float) -> None:
        """Put a value into the one series of a histogram without labels."""
        self._series[()].observe(amount)

    def collect(self) -> Iterable[Metric]:
        """Show every series."""
        family = HistogramMetricFamily(self._signal.name, self._signal.meaning, labels=self._signal.labels)
        for key, series in list(self._series.items()):
            series.add_to(family, key)
        return [family]
