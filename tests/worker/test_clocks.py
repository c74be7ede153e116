"""The worker's clock orders nothing and dates nothing."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from everwhen import Publisher
from everwhen.connect import open_log, open_store
from everwhen.instants import to_micros
from everwhen.worker import Worker, WorkerSettings
from tests import ledger
from tests.ledger import Noted
from tests.worker.files import StoreFile

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = 3600 * 1_000_000


class JumpingClock:
    """Is an hour off, in one direction or the other, at each look."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self.looks = 0

    def now(self) -> int:
        """Return any instant of these two hours."""
        self.looks += 1
        return to_micros(datetime.now(UTC), "now") + self._draw.randrange(-HOUR, HOUR)


def test_a_clock_that_jumps_changes_no_row(tmp_path: Path) -> None:
    """Forwards and back by up to an hour: workers with such clocks write the same rows."""
    topic, log = ledger.topic(tmp_path / "schemas"), f"sqlite:///{tmp_path}/log.db"
    stores = []
    for seed in (1, 2):
        store, clock = StoreFile(tmp_path / f"store-{seed}"), JumpingClock(seed)
        for part in range(4):
            if seed == 1:
                with Publisher(topic, log) as publisher:
                    for count in range(10):
                        instant = T0 + timedelta(minutes=(count * 7 + part) % 11)
                        publisher.publish(f"e{count % 3}", Noted(text=f"{part}.{count}"), occurred_at=instant)
            settings = WorkerSettings(batch_records=4, idle_seconds=0, depth=10_000)
            projection = ledger.projection(topic)
            with Worker(projection, open_log(log), open_store(store.url), settings, clock=clock) as worker:
                worker.run(until="end")
        assert clock.looks
        stores.append(store.rows())
    assert stores[0] == stores[1]
