"""A worker that is watched, and what it says over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection

from prometheus_client.parser import text_string_to_metric_families

from everwhen.cli.http import serving
from everwhen.metrics import Limits, Metrics

PATIENCE = 30
Samples = dict[str, float]
"""By name, with the labels that are no worker's in brackets; those of all partitions are added up."""


class Asked:
    """Asks a port of the loopback interface."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Return status and body; an answer has to come within a second."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def samples(self, partition: int | None = None) -> Samples:
        """Scrape.

        :param partition: only what is said of this one.
        """
        found: Samples = {}
        for family in text_string_to_metric_families(self.get("/metrics")[1]):
            for name, labels, value, *_ in family.samples:
                if partition is None or labels.get("partition") == str(partition):
                    more = [v for k, v in labels.items() if k not in ("projection", "topic", "partition")]
                    key = f"{name}[{','.join(more)}]" if more else name
                    found[key] = found.get(key, 0) + value
        return found

    def until(self, condition: Callable[[Samples], bool]) -> Samples:
        """Scrape until the condition holds; return the samples."""
        deadline = time.monotonic() + PATIENCE
        while not condition(samples := self.samples()):
            assert time.monotonic() < deadline, samples
            time.sleep(0.02)
        return samples


@contextmanager
def asked(metrics: Metrics, **limits: float) -> Iterator[Asked]:
    """Serve metrics on a free port."""
    with serving("0", metrics, Limits(**limits)) as port:
        yield Asked(port)
