"""What a worker tells, counted by prometheus-client."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from everwhen.errors import EverwhenError, Fenced, StoreUnavailable
from everwhen.metrics.names import COUNTERS, GAUGES, HISTOGRAMS, PARTITION, TALLIED
from everwhen.metrics.standing import PartitionStanding, Standing
from everwhen.ports.clock import Clock, SystemClock
from everwhen.ports.store import Claim
from everwhen.worker import BatchReport

_BUCKETS: Final = {
    "everwhen_batch_records": (1, 10, 100, 500, 1_000, 2_500, 5_000, 10_000, 20_000),
    "everwhen_batch_refolded_versions": (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000),
    "everwhen_batch_seconds": (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
}


class Metrics(Standing):
    """An observer that counts what its worker does, for one worker and in a registry of its own.

    :param projection: the projection's name.
    :param topic: the topic's name.
    :param clock: what lag in time is measured by; the machine's clock by default.

    Thread-safe. Reading it asks neither log nor store.
    """

    content_type = CONTENT_TYPE_LATEST
    """Of what :meth:`expose` returns."""

    def __init__(self, projection: str, topic: str, clock: Clock | None = None) -> None:
        super().__init__(clock or SystemClock())
        self._worker = (projection, topic)
        self.registry = CollectorRegistry()
        """Where the metrics are, for whoever serves them in another way than :meth:`expose`."""
        registry = self.registry
        self._counters = {
            each.name: Counter(each.name, each.meaning, each.labels, registry=registry) for each in COUNTERS
        }
        self._histograms = {
            each.name: Histogram(each.name, each.meaning, each.labels, buckets=_BUCKETS[each.name], registry=registry)
            for each in HISTOGRAMS
        }
        self.registry.register(_Gauges(self, self._worker))
        ProcessCollector(registry=self.registry)

    def expose(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)

    def claimed(self, claims: Collection[Claim]) -> None:
        """Count partitions that came; from now on all their counters are there."""
        super().claimed(claims)
        self._count("everwhen_rebalances_total", "assigned")
        for claim in claims:
            for metric in COUNTERS:
                if metric.labels == PARTITION:
                    self._count(metric.name, str(claim.partition), by=0)
            self._count("everwhen_partition_claims_total", str(claim.partition))

    def revoked(self, partitions: Sequence[int], *, lost: bool) -> None:
        """Count that partitions went."""
        super().revoked(partitions, lost=lost)
        self._count("everwhen_rebalances_total", "lost" if lost else "revoked")

    def stopped(self, partition: int, error: EverwhenError) -> None:
        """Count why a partition stands still."""
        super().stopped(partition, error)
        self._count("everwhen_partition_stops_total", str(partition), type(error).__name__)
        if isinstance(error, Fenced):
            self._count("everwhen_partition_fenced_total", str(partition))

    def applied(self, report: BatchReport) -> None:
        """Count what became of a batch's records, and how long it took."""
        super().applied(report)
        partition = str(report.partition)
        for field, name in TALLIED.items():
            if count := getattr(report.tally, field):
                self._count(name, partition, by=count)
        if not report.records:
            return
        self._count("everwhen_records_read_total", partition, by=report.records)
        self._count("everwhen_batches_total", partition)
        if report.tally.refolded:
            self._histograms["everwhen_batch_refolded_versions"].labels(*self._worker).observe(report.tally.refolded)
        self._histograms["everwhen_batch_records"].labels(*self._worker).observe(report.records)
        for phase, seconds in report.seconds.items():
            self._histograms["everwhen_batch_seconds"].labels(*self._worker, phase).observe(seconds)

    def store_failed(self, error: StoreUnavailable) -> None:
        """Count it."""
        self._count("everwhen_store_errors_total", type(error).__name__)

    def log_failed(self, error: EverwhenError) -> None:
        """Count it."""
        self._count("everwhen_log_errors_total", type(error).__name__)

    def _count(self, name: str, *labels: str, by: int = 1) -> None:
        self._counters[name].labels(*self._worker, *labels).inc(by)


class _Gauges(Collector):
    """What is read off when somebody asks."""

    def __init__(self, standing: Standing, worker: tuple[str, str]) -> None:
        self._standing = standing
        self._worker = worker

    def describe(self) -> Iterator[Metric]:
        """Yield the metrics without values."""
        for each in GAUGES:
            yield GaugeMetricFamily(each.name, each.meaning, labels=each.labels)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        families = {each.name: GaugeMetricFamily(each.name, each.meaning, labels=each.labels) for each in GAUGES}
        for name, labels, value in self._values():
            families[name].add_metric([*self._worker, *labels], value)
        yield from families.values()

    def _values(self) -> Iterator[tuple[str, tuple[str, ...], float]]:
        standing, partitions = self._standing, self._standing.partitions()
        yield "everwhen_partitions_claimed", (), len(partitions)
        yield "everwhen_partitions_unclaimed", (), len(standing.unclaimed)
        yield "everwhen_store_away", (), standing.is_store_away
        for thread, age in standing.hearts().items():
            yield "everwhen_heart_age_seconds", (thread,), age
        for partition, stand in partitions.items():
            for name, value in self._of_partition(stand):
                if value is not None:
                    yield name, (str(partition),), value

    def _of_partition(self, stand: PartitionStanding) -> Iterator[tuple[str, float | None]]:
        yield "everwhen_partition_next_offset", stand.next_offset
        yield "everwhen_partition_end_offset", stand.end
        yield "everwhen_partition_gap_records", stand.gap
        yield "everwhen_partition_lag_seconds", stand.lag(self._standing.now())
        yield "everwhen_checkpoint_age_seconds", max(0.0, time.monotonic() - stand.committed_at)
        if stand.expiry is not None:
            yield "everwhen_partition_retention_seconds", stand.expiry.seconds
            yield "everwhen_partition_retention_records", stand.expiry.records
            yield "everwhen_partition_retention_close", stand.expiry.is_close
        yield "everwhen_partition_stopped", stand.stopped is not None
