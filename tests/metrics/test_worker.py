"""What a running worker says over HTTP, compared with what was published and done to it."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from everwhen import Projection, Publisher, Worker, WorkerSettings
from everwhen.connect import open_log, open_store
from everwhen.errors import Fenced
from everwhen.metrics import Metrics
from everwhen.ports.clock import SystemClock
from everwhen.sql import SqlStore, Timeouts
from everwhen.worker import Worker as BareWorker
from everwhen.worker import blueprint
from tests import ledger
from tests.ledger import Ledger, Noted, Poison, Skipped
from tests.metrics.asking import PATIENCE, Asked, asked
from tests.running import running

T0 = datetime(2026, 3, 1, tzinfo=UTC)


class Place:
    """A log, a store and a projection in one directory, and metrics."""

    def __init__(self, directory: Path, projection: Projection[Ledger] | None = None) -> None:
        self.topic = ledger.topic(directory / "schemas")
        self.projection = projection or ledger.projection(self.topic)
        self.log, self.store = f"sqlite:///{directory}/log.db", f"sqlite:///{directory}/store.db"
        self.metrics = Metrics(self.projection.name, self.topic.name)
        with closing(open_log(self.log)) as log:
            log.create_topic(self.topic.name, self.topic.partitions)

    def worker(self, **settings: object) -> Worker:
        """Make a worker that is watched."""
        chosen = WorkerSettings(**settings)  # type: ignore[arg-type]
        return Worker(self.projection, self.log, self.store, settings=chosen, observer=self.metrics)

    def publish(self, count: int) -> list[int]:
        """Publish notes of eight entities; return the partition of each."""
        with Publisher(self.topic, self.log) as publisher:
            receipts = [
                publisher.publish(f"e{n % 8}", Noted(text=str(n)), occurred_at=T0 + timedelta(minutes=n))
                for n in range(count)
            ]
            return [receipt.position.partition for receipt in receipts]


def test_every_count_is_that_of_what_was_published(tmp_path: Path) -> None:
    """Applied, duplicate, conflicting, ignored, late, folded again, parked, healed; batches, offsets, gap and lag."""
    place = Place(tmp_path)
    published = place.publish(80)
    with Publisher(place.topic, place.log) as publisher:

        def publish(entity: str, event: object, minutes: int, event_id: str | None = None) -> None:
            at = T0 + timedelta(minutes=minutes)
            publisher.publish(entity, event, occurred_at=at, event_id=event_id).position  # type: ignore[arg-type] # noqa: B018

        for text in ("once", "once", "another"):
            publish("d", Noted(text=text), 0, "the-id")
        for _ in range(5):
            publish("s", Skipped(), 0)
        for minute in (10, 20, 30, 5):  # the last one is late, and the three others are folded again
            publish("l", Noted(text=str(minute)), minute)
        publish("p", Poison(), 0)
        publish("p", Noted(text="waits"), 1)
    with running(place.worker(batch_records=10)) as failed, asked(place.metrics, lag=5) as ask:
        said = ask.until(
            lambda s: s.get("everwhen_records_read_total") == 94 and s.get("everwhen_partition_gap_records") == 0
        )
        assert ask.get("/readyz") == (200, "ok\n")
        one = ask.samples(partition=published[0])
    assert failed == []
    expected = {
        "events_applied": 80 + 1 + 4,
        "events_duplicate": 1,
        "events_conflicting": 1,
        "events_ignored": 5,
        "events_late": 1,
        "versions_refolded": 3,
        "records_parked": 2,
        "records_healed": 0,
        "partition_claims": 2,
        "partition_fenced": 0,
    }
    assert {name: said[f"everwhen_{name}_total"] for name in expected} == expected
    assert one["everwhen_records_read_total"] == one["everwhen_partition_next_offset"]
    assert said["everwhen_partition_next_offset"] == said["everwhen_partition_end_offset"] == 94
    assert said["everwhen_partition_lag_seconds"] == said["everwhen_partition_stopped"] == 0
    assert said["everwhen_batch_records_count"] == said["everwhen_batches_total"] >= 10
    assert said["everwhen_batch_records_sum"] == 94
    assert (said["everwhen_batch_refolded_versions_sum"], said["everwhen_batch_refolded_versions_count"]) == (3, 1)
    for phase in ("decode", "load", "fold", "write", "commit"):
        assert said[f"everwhen_batch_seconds_count[{phase}]"] == said["everwhen_batches_total"]
        assert 0 < said[f"everwhen_batch_seconds_sum[{phase}]"] < PATIENCE


def test_a_long_batch_is_no_death_and_holds_up_no_answer(tmp_path: Path) -> None:
    """While a handler stands: a gap, a lag, a heart that goes on in the thread that fetches; ready only afterwards."""
    stands, go_on = threading.Event(), threading.Event()
    topic = ledger.topic(tmp_path / "schemas")
    projection = Projection("ledger", version=1, topic=topic, state=Ledger, ignore=ledger.EVENTS[1:])

    @projection.on(Noted)
    def noted(state: Ledger | None, event: Noted) -> Ledger:
        stands.set()
        go_on.wait(PATIENCE)
        return Ledger(notes=[event.text])

    place = Place(tmp_path, projection)
    with (
        asked(place.metrics, lag=0, fetch=1.5, loop=60) as ask,
        asked(place.metrics, loop=0.1) as impatient,
        running(place.worker()) as failed,
    ):
        ask.until(lambda s: s["everwhen_partitions_claimed"] == 2)
        place.publish(8)
        assert stands.wait(PATIENCE)
        ask.until(
            lambda s: s.get("everwhen_partition_gap_records") == 8 and s["everwhen_heart_age_seconds[loop]"] > 0.2
        )
        said = ask.samples()
        assert ask.get("/livez") == (200, "ok\n")
        status, complaint = impatient.get("/livez")
        assert (status, complaint.startswith("the loop thread took no turn for ")) == (503, True)
        assert said["everwhen_heart_age_seconds[fetch]"] < 1.5
        status, complaint = ask.get("/readyz")
        assert (status, "behind" in complaint) == (503, True)
        go_on.set()
        ask.until(lambda s: s["everwhen_partition_gap_records"] == 0)
        assert ask.get("/readyz") == (200, "ok\n")
        assert ask.get("/livez", "HEAD") == (200, "")
        assert ask.get("/")[0] == 404
    assert failed == []


def test_a_store_that_is_away_is_said_and_is_no_death(tmp_path: Path) -> None:
    """Before the first partition and under load: alive all the time, not ready before it has claimed."""
    place = Place(tmp_path)
    store = SqlStore(place.store, timeouts=Timeouts(lock=0.05))
    worker = BareWorker(
        place.projection, open_log(place.log), store, WorkerSettings(), clock=SystemClock(), observer=place.metrics
    )
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None, check_same_thread=False)
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("BEGIN IMMEDIATE")
    with asked(place.metrics, fetch=0.5, loop=0.7) as ask, running(worker) as failed:
        at_start = _live_until_it_failed(ask, 4)
        assert ask.get("/readyz") == (503, "no partitions were assigned yet\n")
        other.execute("ROLLBACK")
        ask.until(lambda s: s["everwhen_partitions_claimed"] == 2 and not s["everwhen_store_away"])
        assert ask.get("/readyz") == (200, "ok\n")
        other.execute("BEGIN IMMEDIATE")
        place.publish(8)
        _live_until_it_failed(ask, at_start + 3)
        other.execute("ROLLBACK")
        said = ask.until(lambda s: s["everwhen_events_applied_total"] == 8)
        assert said["everwhen_store_away"] == 0
    other.close()
    assert failed == []


def test_a_fence_and_a_stop_are_counted(tmp_path: Path) -> None:
    """Another worker claims one of two named partitions: that one is not ready, and the other goes on."""
    place = Place(tmp_path)
    with asked(place.metrics) as ask, running(place.worker(partitions=[0, 1])) as failed:
        ask.until(lambda s: s["everwhen_partitions_claimed"] == 2)
        with closing(open_log(place.log)) as log, closing(open_store(place.store)) as store:
            generation = store.prepare(blueprint(place.projection))
            store.claim(generation, [1], log.describe(place.topic.name))
        homes = place.publish(8)
        said = ask.until(
            lambda s: s["everwhen_partition_stopped"] == 1 and s["everwhen_events_applied_total"] == homes.count(0)
        )
        fenced = ask.samples(partition=1)
        assert ask.get("/readyz") == (503, "partition 1 is stopped by Fenced\n")
        assert ask.get("/livez") == (200, "ok\n")
    assert said["everwhen_partition_fenced_total"] == fenced["everwhen_partition_fenced_total"] == 1
    assert fenced["everwhen_partition_stops_total[Fenced]"] == fenced["everwhen_partition_stopped"] == 1
    assert fenced["everwhen_events_applied_total"] == 0
    assert [type(error) for error in failed] == [Fenced]


def test_partitions_that_go_to_another_worker_are_not_spoken_of(tmp_path: Path) -> None:
    """Two workers share a topic: each says how far its own partition is, and that there was a rebalance."""
    place, second = Place(tmp_path), Place(tmp_path)
    with asked(place.metrics) as ask, asked(second.metrics) as other, running(place.worker()) as failed:
        ask.until(lambda s: s["everwhen_partitions_claimed"] == 2)
        with running(second.worker()) as also:
            ask.until(lambda s: s["everwhen_partitions_claimed"] == 1)
            other.until(lambda s: s["everwhen_partitions_claimed"] == 1)
            said = [[ask.samples(p).get("everwhen_partition_next_offset") for p in (0, 1)] for ask in (ask, other)]
        ask.until(lambda s: s["everwhen_partitions_claimed"] == 2)
    assert sorted(said, key=repr) == [[0, None], [None, 0]]
    assert ask_rebalances(place.metrics) >= 2
    assert (failed, also) == ([], [])


def ask_rebalances(metrics: Metrics) -> float:
    """How often partitions were revoked, or assigned."""
    with asked(metrics) as ask:
        return sum(value for name, value in ask.samples().items() if name.startswith("everwhen_rebalances_total"))


def _live_until_it_failed(ask: Asked, times: int) -> int:
    """Wait until the store failed so often, which takes longer than a heart may stand; return how often it did."""

    def live_and_failed(samples: dict[str, float]) -> bool:
        assert ask.get("/livez") == (200, "ok\n")
        return sum(n for name, n in samples.items() if name.startswith("everwhen_store_errors_total[")) >= times

    said = ask.until(live_and_failed)
    assert said["everwhen_store_away"] == 1
    return int(sum(n for name, n in said.items() if name.startswith("everwhen_store_errors_total[")))
