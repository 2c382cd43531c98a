"""Counts what the table of signals declares, and writes it as Prometheus text or as JSON."""

from collections.abc import Callable, Iterable
from threading import Lock
from typing import Final, Protocol, cast

from prometheus_client import CollectorRegistry, Gauge, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flows.core.signals import Signal
from flows.wire.counter import Counter
from flows.wire.histogram import Histogram

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Child(Protocol):
    """One time series, its labels already filled in: for paths where looking it up each time would cost too much."""

    def inc(self, amount: float = 1) -> None:
        """Count."""
        ...

    def set(self, value: float) -> None:
        """Set a gauge."""
        ...

    def observe(self, amount: float) -> None:
        """Put a value into a histogram."""
        ...


Reading = tuple[Signal, dict[str, str], float]
"""One value that is counted elsewhere: its signal, its labels, what it is now."""


class Telemetry:
    """The metrics of one process: those it uses, each from its first use on, and the process's own (CPU, memory, open files).

    Never blocks, never raises for a value. A series is counted in one thread and may be read in any. All of it is gone with the process.
    """

    def __init__(self) -> None:
        """Start with the process's own metrics."""
        self._registry = CollectorRegistry()
        self._metrics: dict[str, Counter | Gauge | Histogram] = {}
        self._making = Lock()
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def count(self, signal: Signal, n: float = 1, **labels: object) -> None:
        """Add `n` to a counter; the labels are those of its row."""
        self.child(signal, **labels).inc(n)

    def gauge(self, signal: Signal, value: float, **labels: object) -> None:
        """Set a gauge; the labels are those of its row."""
        self.child(signal, **labels).set(value)

    def observe(self, signal: Signal, value: float, **labels: object) -> None:
        """Put `value`, in the signal's unit, into a histogram; the labels are those of its row."""
        self.child(signal, **labels).observe(value)

    def forget(self, signal: Signal, **labels: object) -> None:
        """Show a series of a gauge no more, since it is somebody else's now; one that there is not is no error."""
        metric = self._metrics.get(signal.name)
        if isinstance(metric, Gauge):
            metric.remove(*(labels[name] for name in signal.labels))

    def child(self, signal: Signal, **labels: object) -> Child:
        """Return one time series to keep and use often; the labels are those of its row."""
        metric = self._metrics.get(signal.name) or self._made(signal)
        return cast("Child", metric.labels(**{name: str(value) for name, value in labels.items()}) if labels else metric)

    def _made(self, signal: Signal) -> Counter | Gauge | Histogram:
        with self._making:
            found = self._metrics.get(signal.name)
            if found is None:
                found = self._metrics[signal.name] = _metric(signal, self._registry)
            return found

    def mirror(self, read: Callable[[], Iterable[Reading]]) -> None:
        """Show what `read` gives, asked for at each reading; its signals must not be counted here as well."""
        self._registry.register(_Mirror(read))

    def render(self) -> bytes:
        """Return every metric as Prometheus text (`CONTENT_TYPE`)."""
        return generate_latest(self._registry)

    def as_json(self) -> dict[str, list[dict[str, object]]]:
        """Return every sample by its name: `{"name": [{"labels": {...}, "value": 1.0}]}`."""
        found: dict[str, list[dict[str, object]]] = {}
        for metric in self._registry.collect():
            for sample in metric.samples:
                if not sample.name.endswith("_created"):
                    found.setdefault(sample.name, []).append({"labels": dict(sample.labels), "value": sample.value})
        return found


class _Mirror(Collector):
    def __init__(self, read: Callable[[], Iterable[Reading]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for signal, labels, value in self._read():
            family = families.get(signal.name)
            if family is None:
                kind = CounterMetricFamily if signal.kind == "counter" else GaugeMetricFamily
                family = families[signal.name] = kind(signal.name, signal.meaning, labels=signal.labels)
            family.add_metric([labels[name] for name in signal.labels], value)
        return families.values()


def _metric(signal: Signal, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if signal.kind == "gauge":
        return Gauge(signal.name, signal.meaning, signal.labels, registry=registry)
    made = Histogram(signal) if signal.kind == "histogram" else Counter(signal)
    registry.register(made)
    return made
