"""How long a worker that stands still inside a batch keeps its partition."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

from everwhen import Projection, Publisher, Worker, WorkerSettings
from everwhen.connect import open_log, open_store
from everwhen.errors import Fenced
from everwhen.sql.engine import Timeouts
from everwhen.worker import blueprint
from tests import ledger
from tests.ledger import Ledger, Noted

PATIENCE = 60


def test_the_timeouts_of_a_store_follow_from_the_bound_on_a_takeover() -> None:
    """Those of the default bound are the default timeouts."""
    assert Timeouts.within(WorkerSettings().takeover_seconds) == Timeouts()


def test_a_partition_is_taken_over_within_the_time_that_was_set(postgres_url: str, tmp_path: Path) -> None:
    """From a worker whose handler does not return; whatever that one does afterwards is fenced."""
    topic, log = ledger.topic(tmp_path / "schemas", partitions=1), f"sqlite:///{tmp_path}/log.db"
    stands, go_on = threading.Event(), threading.Event()
    projection = Projection("ledger", version=1, topic=topic, state=Ledger, ignore=ledger.EVENTS[1:])

    @projection.on(Noted)
    def noted(state: Ledger | None, event: Noted) -> Ledger:
        stands.set()
        go_on.wait(PATIENCE)
        return Ledger(notes=[event.text])

    with Publisher(topic, log) as publisher:
        publisher.publish("a", Noted(text="1"), occurred_at=datetime(2026, 3, 1, tzinfo=UTC))
    settings = WorkerSettings(partitions=[0], takeover_seconds=0.5)
    worker = Worker(projection, log, postgres_url, settings=settings)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            worker.run(until="end")
        except Fenced as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert stands.wait(PATIENCE)
    source, other = open_log(log), open_store(postgres_url)
    generation = other.prepare(blueprint(projection))
    claim = other.claim(generation, [0], source.describe(topic.name))[0]  # waits for a lock for less than the default
    go_on.set()
    thread.join(PATIENCE)
    for each in (worker, source, other):
        each.close()
    assert claim.mark.next_offset == 0
    assert len(failed) == 1
