"""The metrics of several workers of one process, as if there were one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from everwhen.metrics.metrics import Metrics
from everwhen.metrics.standing import Limits


class Joined:
    """Answers for several workers; labels tell them apart, and what is of the process comes once.

    :param workers: by the projection's name.

    Thread-safe.
    """

    content_type = CONTENT_TYPE_LATEST
    """Of what :meth:`expose` returns."""

    def __init__(self, workers: Mapping[str, Metrics]) -> None:
        self._workers = workers
        self._registry = CollectorRegistry()
        self._registry.register(_Families(workers))

    def expose(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)

    def deaths(self, limits: Limits) -> list[str]:
        """Say which threads of which worker have taken no turn for too long."""
        return [f"{name}: {line}" for name, worker in self._workers.items() for line in worker.deaths(limits)]

    def obstacles(self, limits: Limits) -> list[str]:
        """Say what keeps which worker from being ready."""
        return [f"{name}: {line}" for name, worker in self._workers.items() for line in worker.obstacles(limits)]


class _Families(Collector):
    def __init__(self, workers: Mapping[str, Metrics]) -> None:
        self._workers = workers

    def describe(self) -> Iterator[Metric]:
        """Name nothing beforehand: each worker's registry has seen to it that names are its own."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield each family once, with the samples of all workers."""
        families: dict[str, Metric] = {}
        seen = set()
        for worker in self._workers.values():
            for family in worker.registry.collect():
                joined = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    known = (sample.name, tuple(sorted(sample.labels.items())))
                    if known not in seen:
                        seen.add(known)
                        joined.samples.append(sample)
        yield from families.values()
