"""What an adapter's tests give to the suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import pytest

from everwhen.ports.log import Log

PARTITIONS = 4
PATIENCE = 30.0
"""Seconds after which what a test waits for has failed to happen."""

JAVA_MURMUR2: Mapping[bytes, int] = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""From ``UtilsTest.testMurmur2`` of Apache Kafka."""


class LogKit(Protocol):
    """What an adapter's tests give: ways to one log."""

    def open(self) -> Log:
        """Open the log."""
        ...

    def open_narrow(self) -> Log:
        """Open the log so that its writers hold ten records at most before ``send`` blocks."""
        ...

    def opener(self) -> Callable[[], Log]:
        """Return a picklable function with which another process opens the log."""
        ...

    def topic(self) -> str:
        """Make a topic of :data:`PARTITIONS` partitions that nobody else uses; return its name."""
        ...

    def drop(self, topic: str) -> None:
        """Delete the topic; return when it is gone."""
        ...


class Suite:
    """What every part of the suite has. A subclass of the whole gives the fixture ``kit``."""

    @pytest.fixture
    def log(self, kit: LogKit) -> Iterator[Log]:
        """The log under test."""
        log = kit.open()
        yield log
        log.close()

    @pytest.fixture
    def topic(self, kit: LogKit) -> str:
        """A topic of the test's own."""
        return kit.topic()
