"""The local log: the suite that every log passes, and what is special to a file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from everwhen.local import LocalLog
from everwhen.testing.log_conformance import PARTITIONS, LogConformance, LogKit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from everwhen.ports.log import Log


class LocalKit:
    """A log in a directory of the test's own."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "log.db"

    def open(self) -> Log:
        return LocalLog(self.path, session_timeout=2)

    def open_narrow(self) -> Log:
        return LocalLog(self.path, queued_records=10)

    def opener(self) -> Callable[[], Log]:
        return partial(LocalLog, self.path)

    def topic(self) -> str:
        assert LocalLog(self.path).create_topic("t", PARTITIONS)
        return "t"

    def drop(self, topic: str) -> None:
        LocalLog(self.path).delete_topic(topic)


class TestLocalLog(LogConformance):
    """The suite."""

    @pytest.fixture
    def kit(self, tmp_path: Path) -> LogKit:
        return LocalKit(tmp_path)
