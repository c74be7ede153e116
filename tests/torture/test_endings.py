"""A worker that is told to end while it stands at a point of its work."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.checker.check import check
from tests.torture import domain
from tests.torture.hooks import Plan
from tests.torture.place import Place
from tests.torture.process import Process, preload

EVENTS = 400
POINTS = ("P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A local log that holds some events."""
    made = Place(f"sqlite:///{tmp_path}/log.db", f"sqlite:///{tmp_path}/store.db", "torture", tmp_path)
    made.prepare()
    load = made.start_load(seed=1, rate=100_000, events=EVENTS)
    load.communicate()
    assert load.returncode == 0, made.said("load")
    return made


def test_a_worker_that_is_told_to_end_does_so_at_every_point(place: Place) -> None:
    """With 0, and the next one goes on: what was committed stands, what was not is done again."""
    preload()
    for point in POINTS:
        batches = 0 if point in ("P1", "P8") else 1  # all may be fetched before the first is committed
        process = Process(replace(place.task(), plan=Plan(point, batches)))
        assert process.until("at"), (point, process.said)
        process.signal(signal.SIGTERM)
        process.release()
        assert process.join() == 0, (point, process.said)
    last = Process(replace(place.task(), to_end=True, batch_records=1000))
    assert last.join() == 0, last.said
    report = check(place.log, place.topic, place.schemas, place.store, domain.PROJECTION, place.history)
    assert report.anomalies == []
    assert report.counts["records in the log"] == EVENTS
