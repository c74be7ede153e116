"""The worker on the embedded log and store: what it applies, where it stops, and how it goes on."""

from __future__ import annotations

import dataclasses
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from everwhen import Projection, Publisher, Reader, Status, Topic, Worker, WorkerSettings
from everwhen.connect import open_log, open_store
from everwhen.errors import (
    ArgumentError,
    ClosedError,
    DeclarationError,
    Fenced,
    GenerationMismatch,
    SettingsError,
    TopicNotFound,
)
from everwhen.positions import Position
from everwhen.worker import blueprint
from tests import ledger
from tests.ledger import Ledger, Noted, Skipped, Wiped
from tests.parts.watching import eventually
from tests.running import running

T0 = datetime(2026, 3, 1, tzinfo=UTC)


class Place:
    """A log, a store and a projection in one directory."""

    def __init__(self, directory: Path) -> None:
        self.topic: Topic = ledger.topic(directory / "schemas")
        self.projection: Projection[Ledger] = ledger.projection(self.topic)
        self.log = f"sqlite:///{directory}/log.db"
        self.store = f"sqlite:///{directory}/store.db"

    def publish(self, *notes: tuple[str, object], start: datetime = T0) -> list[Position]:
        with Publisher(self.topic, self.log) as publisher:
            receipts = [
                publisher.publish(entity, note, occurred_at=start + timedelta(minutes=i))  # type: ignore[arg-type]
                for i, (entity, note) in enumerate(notes)
            ]
            return [receipt.position for receipt in receipts]

    def project(self, **settings: object) -> None:
        with Worker(self.projection, self.log, self.store, settings=WorkerSettings(**settings)) as worker:  # type: ignore[arg-type]
            worker.run(until="end")

    def notes(self, entity: str) -> list[str] | None:
        with Reader(self.projection, self.store) as reader:
            state = reader.get(entity).state
            return None if state is None else state.notes


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A fresh place."""
    return Place(tmp_path)


@pytest.mark.parametrize("batch", [1, 2, 7, 1000])
def test_every_event_is_applied_once_in_order_whatever_the_batch_size(place: Place, batch: int) -> None:
    """Batches do not show in the result."""
    place.publish(*((f"e{i % 3}", Noted(text=str(i))) for i in range(30)))
    place.project(batch_records=batch)
    assert place.notes("e1") == [str(i) for i in range(30) if i % 3 == 1]


def test_a_second_run_goes_on_where_the_first_stopped(place: Place) -> None:
    """The position comes from the store; nothing is applied twice."""
    place.publish(("a", Noted(text="1")))
    place.project()
    place.project()
    place.publish(("a", Noted(text="2")), start=T0 + timedelta(hours=1))
    place.project()
    assert place.notes("a") == ["1", "2"]


def test_an_ignored_event_moves_the_checkpoint_and_changes_nothing(place: Place) -> None:
    """What the projection leaves out on purpose is read past."""
    place.publish(("a", Noted(text="1")), ("a", Skipped()))
    place.project()
    with Reader("ledger", place.store) as reader:
        assert sum(mark.next_offset for mark in reader.get("a").basis.values()) == 2
        assert len(reader.history("a")) == 1


def test_a_missing_handler_is_named_before_anything_is_read(place: Place) -> None:
    """A projection that does not say what to do with every type does not start."""
    partial = Projection("partial", version=1, topic=place.topic, state=Ledger)
    with (
        Worker(partial, place.log, place.store) as worker,
        pytest.raises(DeclarationError, match="Noted, Wiped, Reset"),
    ):
        worker.run(until="end")


def test_other_code_or_another_version_is_refused_naming_both(place: Place) -> None:
    """What one build wrote, another does not write into."""
    place.publish(("a", Noted(text="1")))
    place.project()
    newer = ledger.projection(place.topic, version=2)
    with Worker(newer, place.log, place.store) as worker, pytest.raises(GenerationMismatch) as raised:
        worker.run(until="end")
    assert "version 1" in str(raised.value)
    assert "version 2" in str(raised.value)


def test_a_topic_that_is_not_there_is_said_so(place: Place) -> None:
    """The remedy is in the message."""
    with Worker(place.projection, place.log, place.store) as worker, pytest.raises(TopicNotFound, match="topic create"):
        worker.run(until="end")


def test_explicit_partitions_are_read_and_no_others(place: Place) -> None:
    """Two workers with one partition each do together what one does."""
    place.publish(*((f"e{i}", Noted(text="x")) for i in range(20)))
    with Worker(place.projection, place.log, place.store, partitions=[1]) as worker:
        first = worker.run(until="end").records
    with Worker(place.projection, place.log, place.store, partitions=[0]) as worker:
        second = worker.run(until="end").records
    assert first > 0
    assert second > 0
    assert first + second == 20


def test_a_partition_that_another_worker_claims_is_fenced(place: Place) -> None:
    """The earlier owner of an explicit partition fails, and writes nothing more."""
    place.publish(("a", Noted(text="1")))
    worker = Worker(place.projection, place.log, place.store, partitions=[0, 1])
    reader = Reader(place.projection, place.store)
    with running(worker) as failed:
        (first,) = place.publish(("a", Noted(text="2")), start=T0 + timedelta(hours=1))
        reader.wait_for(first, timeout=20)
        store, log = open_store(place.store), open_log(place.log)
        store.claim(store.prepare(blueprint(place.projection)), [0, 1], log.describe("ledger"))
        before = reader.get("a").basis
        place.publish(("a", Noted(text="3")), ("b", Noted(text="3")), ("c", Noted(text="3")), ("d", Noted(text="3")))
        assert eventually(lambda: [type(error) for error in failed] == [Fenced])
        assert reader.get("a").basis == before


def test_stop_ends_a_run_that_has_no_end(place: Place) -> None:
    """A daemon returns after stop(), with everything committed that it had taken."""
    worker = Worker(place.projection, place.log, place.store)
    (position,) = place.publish(("a", Noted(text="1")))
    thread = threading.Thread(target=worker.run)
    thread.start()
    Reader(place.projection, place.store).wait_for(position, timeout=20)
    worker.stop()
    thread.join(20)
    assert not thread.is_alive()
    with pytest.raises(ClosedError):
        worker.run()


def test_two_workers_of_a_group_share_the_topic(place: Place) -> None:
    """A second worker takes partitions over while the first runs, and every event is applied once."""
    workers = [Worker(place.projection, place.log, place.store) for _ in range(2)]
    place.publish(("a", Noted(text="0")))
    threads = [threading.Thread(target=worker.run) for worker in workers]
    reader = Reader(place.projection, place.store)
    try:
        threads[0].start()
        for i in range(1, 40):
            if i == 10:
                threads[1].start()
            positions = place.publish(*((f"e{k}", Noted(text=str(i))) for k in range(4)), start=T0 + timedelta(hours=i))
            for position in positions:
                reader.wait_for(position, timeout=30)
    finally:
        for worker, thread in zip(workers, threads, strict=True):
            worker.stop()
            thread.join(20)
    assert all(place.notes(f"e{k}") == [str(i) for i in range(1, 40)] for k in range(4))


def test_a_late_event_changes_what_is_now_believed_and_not_what_was(place: Place) -> None:
    """The old basis gives the old answer, the present one the new."""
    place.publish(("a", Noted(text="1")), ("a", Noted(text="3")))
    place.project()
    reader = Reader(place.projection, place.store)
    before = reader.get("a", valid_at=T0 + timedelta(hours=1))
    place.publish(("a", Noted(text="2")), start=T0 + timedelta(seconds=30))
    place.project()
    now = reader.get("a", valid_at=T0 + timedelta(hours=1))
    assert now.require().notes == ["1", "2", "3"]
    assert reader.get("a", valid_at=before.valid_at, basis=str(before.basis)).require().notes == ["1", "3"]
    assert before.watermark is not None
    assert reader.get("a", valid_at=before.valid_at, known_at=before.watermark).require().notes == ["1", "3"]


def test_statuses(place: Place) -> None:
    """Each status that there is no state has its own name."""
    place.publish(("a", Noted(text="1")), ("a", Wiped()))
    place.project()
    with Reader(place.projection, place.store) as reader:
        assert reader.get("a", valid_at=T0).status is Status.FOUND
        assert reader.get("a", valid_at=T0 - timedelta(microseconds=1)).status is Status.BEFORE_FIRST
        assert reader.get("a", valid_at=T0 + timedelta(minutes=1)).status is Status.DELETED
        assert reader.get("b").status is Status.NEVER_EXISTED
        later = datetime.now(UTC) + timedelta(days=1)
        assert reader.get("a", known_at=later).status is Status.NOT_YET_PROJECTED


def test_settings_out_of_range_are_refused_by_name() -> None:
    """A setting that cannot be meant is not read as something else."""
    with pytest.raises(SettingsError, match="batch_records"):
        WorkerSettings(batch_records=0)
    with pytest.raises(SettingsError, match="partitions"):
        WorkerSettings(partitions=[])
    with pytest.raises(SettingsError, match="idle_seconds must be at least 0"):
        WorkerSettings(idle_seconds=-1)
    with pytest.raises(SettingsError, match="store_patience_seconds must be at least 0"):
        WorkerSettings(store_patience_seconds=-1)
    with pytest.raises(SettingsError, match="clock_allowance_seconds must be a number"):
        WorkerSettings(clock_allowance_seconds=float("nan"))


def test_settings_come_from_the_environment_and_a_mistake_is_named() -> None:
    """Every setting has a variable; text that cannot be read says which."""
    texts = {
        "EVERWHEN_GROUP": "g",
        "EVERWHEN_PARTITION": "0 2",
        "EVERWHEN_BATCH_RECORDS": "7",
        "EVERWHEN_BUFFER_BYTES": "8",
        "EVERWHEN_CACHE_BYTES": "9",
        "EVERWHEN_DEPTH": "1",
        "EVERWHEN_REVOKE_SECONDS": "0.5",
        "EVERWHEN_IDLE_SECONDS": "2",
        "EVERWHEN_CLOCK_ALLOWANCE_SECONDS": "0.25",
        "EVERWHEN_STORE_PATIENCE_SECONDS": "60",
        "EVERWHEN_SCHEMA_PATIENCE_SECONDS": "30",
        "EVERWHEN_QUARANTINE_LIMIT_SHARE": "0.5",
        "EVERWHEN_TAKEOVER_SECONDS": "7",
        "EVERWHEN_CHECK_HANDLERS": "yes",
        "EVERWHEN_ACCEPT_TOPIC": "yes",
    }
    read = WorkerSettings.from_environment(texts)
    assert dataclasses.astuple(read) == ("g", (0, 2), 7, 8, 9, 1, 0.5, 2.0, 0.25, 60.0, 30.0, 7.0, 0.5, True, True)
    assert len(texts) == len(dataclasses.fields(WorkerSettings))
    assert WorkerSettings.from_environment({}) == WorkerSettings()
    for variable in texts.keys() - {"EVERWHEN_GROUP"}:
        with pytest.raises(SettingsError, match=variable):
            WorkerSettings.from_environment({variable: "many"})


def test_until_is_end_or_nothing(place: Place) -> None:
    """A typo does not start a daemon."""
    with Worker(place.projection, place.log, place.store) as worker, pytest.raises(ArgumentError, match="until"):
        worker.run(until="now")  # type: ignore[arg-type]
