"""What a relay tells, counted by prometheus-client, and whether it lives and is ready."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from everwhen.errors import EverwhenError, StoreUnavailable
from everwhen.metrics.names import RELAY_COUNTERS, RELAY_GAUGES, RELAY_HISTOGRAMS
from everwhen.metrics.standing import Limits
from everwhen.outbox import RelayObserver
from everwhen.ports.clock import Clock, SystemClock
from everwhen.ports.outbox import Backlog

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SECOND: Final = 1_000_000


class RelayMetrics(RelayObserver):
    """An observer that counts what its relay does, in a registry of its own.

    :param topic: the topic's name.
    :param clock: what lag is measured by; the machine's clock by default.

    Thread-safe. Reading it asks neither log nor database.
    """

    measure_seconds = 5.0
    content_type = CONTENT_TYPE_LATEST
    """Of what :meth:`expose` returns."""

    def __init__(self, topic: str, clock: Clock | None = None) -> None:
        self._topic = topic
        self._clock = clock or SystemClock()
        self._looped_at = time.monotonic()
        self._backlog: Backlog | None = None
        self._shards = 0
        self._is_store_away = self._is_log_away = False
        self.registry = CollectorRegistry()
        """Where the metrics are, for whoever serves them in another way than :meth:`expose`."""
        self._counters = {
            each.name: Counter(each.name, each.meaning, each.labels, registry=self.registry) for each in RELAY_COUNTERS
        }
        (seconds,) = RELAY_HISTOGRAMS
        self._seconds = Histogram(
            seconds.name, seconds.meaning, seconds.labels, buckets=_BUCKETS, registry=self.registry
        )
        for each in RELAY_COUNTERS:
            if each.labels == ("topic",):
                self._count(each.name, by=0)
        self.registry.register(_Gauges(self))
        ProcessCollector(registry=self.registry)

    def expose(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)

    def deaths(self, limits: Limits) -> list[str]:
        """Say if it has taken no turn for too long; empty while it lives."""
        age = time.monotonic() - self._looped_at
        return [f"the relay took no turn for {age:.0f} s, more than {limits.loop:g}"] if age > limits.loop else []

    def obstacles(self, limits: Limits) -> list[str]:
        """Say what keeps it from being ready; empty if nothing does."""
        lag = self.lag()
        if self._is_store_away:
            return ["it waits for the database"]
        if self._is_log_away:
            return ["it waits for the log"]
        if lag is None:
            return ["how much waits is not known yet"]
        if limits.lag is not None and lag > limits.lag:
            return [f"an event has waited for {lag:.1f} s, more than {limits.lag:g}"]
        return []

    def lag(self) -> float | None:
        """Return for how many seconds the first event has waited, 0 without one; ``None`` if that is not known yet."""
        if self._backlog is None:
            return None
        oldest = self._backlog.oldest
        return 0.0 if oldest is None else max(0.0, (self._clock.now() - oldest) / _SECOND)

    def values(self) -> Iterator[tuple[str, float]]:
        """Yield what is read off when somebody asks."""
        if self._backlog is not None:
            yield "everwhen_relay_waiting_events", self._backlog.events
            yield "everwhen_relay_lag_seconds", self.lag() or 0.0
        yield "everwhen_relay_shards", self._shards
        yield "everwhen_relay_store_away", self._is_store_away
        yield "everwhen_relay_log_away", self._is_log_away
        yield "everwhen_relay_heart_age_seconds", max(0.0, time.monotonic() - self._looped_at)

    @property
    def topic(self) -> str:
        """What is relayed."""
        return self._topic

    def looped(self) -> None:
        """Note a turn."""
        self._looped_at = time.monotonic()

    def store_failed(self, error: StoreUnavailable) -> None:
        """Count it; it waits, and lives."""
        self.looped()
        self._count("everwhen_relay_store_errors_total", type(error).__name__)

    def store_away(self, *, away: bool) -> None:
        """Note whether the database is away."""
        self._is_store_away = away

    def log_away(self, *, away: bool) -> None:
        """Note whether the log is away."""
        self._is_log_away = away

    def shared(self, shards: int) -> None:
        """Note how many shards it has."""
        self._shards = shards

    def sent(self, events: int, seconds: float) -> None:
        """Count a batch."""
        self._count("everwhen_relay_events_sent_total", by=events)
        self._count("everwhen_relay_batches_total")
        self._seconds.labels(self._topic).observe(seconds)

    def fenced(self) -> None:
        """Count it."""
        self._count("everwhen_relay_fenced_total")

    def refused(self, error: EverwhenError) -> None:
        """Count it."""
        self._count("everwhen_relay_refused_total", type(error).__name__)

    def removed(self, rows: int) -> None:
        """Count them."""
        self._count("everwhen_relay_rows_removed_total", by=rows)

    def waiting(self, backlog: Backlog) -> None:
        """Note how much waits."""
        self._backlog = backlog

    def _count(self, name: str, *labels: str, by: int = 1) -> None:
        self._counters[name].labels(self._topic, *labels).inc(by)


class _Gauges(Collector):
    def __init__(self, metrics: RelayMetrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterator[Metric]:
        """Yield the metrics without values."""
        for each in RELAY_GAUGES:
            yield GaugeMetricFamily(each.name, each.meaning, labels=each.labels)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        families = {each.name: GaugeMetricFamily(each.name, each.meaning, labels=each.labels) for each in RELAY_GAUGES}
        for name, value in self._metrics.values():
            families[name].add_metric([self._metrics.topic], value)
        yield from families.values()
