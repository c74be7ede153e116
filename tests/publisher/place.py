"""A topic in a local log, and what stands in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from everwhen import Topic
from everwhen.connect import open_log
from everwhen.ports.log import Record
from tests import ledger


class Place:
    """A topic in a local log."""

    def __init__(self, directory: Path) -> None:
        self.topic: Topic = ledger.topic(directory / "schemas")
        self.log = f"sqlite:///{directory}/log.db"

    def records(self) -> list[Record]:
        """Everything that stands in the log, by partition and offset."""
        log = open_log(self.log)
        found: list[Record] = []

        class All:
            def assigned(self, partitions: Any) -> dict[int, int]:
                return dict.fromkeys(partitions, 0)

            def revoked(self, partitions: Any, *, lost: bool) -> None:
                pass

        consumer = log.consumer("ledger", All(), group="check", partitions=[0, 1])
        ends = consumer.ends([0, 1])
        while sum(ends.values()) > len(found):
            found += consumer.poll(1000, 1.0).records
        consumer.close()
        log.close()
        return sorted(found)
