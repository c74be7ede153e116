"""Idle partitions: ``known_at`` gets on without a record, no record is dated by it, and a broken clock is told of."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select

from everwhen import Projection, Reader, Status, Topic, Worker, WorkerSettings
from everwhen.connect import open_store
from everwhen.errors import LogUnavailable, ProjectionNotFound
from everwhen.instants import Micros, to_micros
from everwhen.local import LocalLog
from everwhen.ports.store import Claim
from everwhen.positions import Position
from everwhen.publisher import Publisher
from everwhen.sql import SqlStore
from everwhen.sql.engine import Timeouts
from everwhen.sql.tables import GenerationTables
from everwhen.worker import Worker as CoreWorker
from everwhen.worker import blueprint
from tests import ledger
from tests.ledger import Ledger, Noted

PATIENCE = 30
T0 = datetime(2026, 3, 1, tzinfo=UTC)
NOON = T0 + timedelta(hours=12)
HOUR, MINUTE, MICROSECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(microseconds=1)
ALLOWED = timedelta(seconds=WorkerSettings().clock_allowance_seconds)


class Held:
    """A clock that stands still until it is set; ``asked`` is called each time it is read."""

    def __init__(self, at: datetime, asked: Callable[[], object] = lambda: None) -> None:
        self.at = at
        self.asked = asked

    def now(self) -> Micros:
        self.asked()
        return to_micros(self.at, "at")


class Place:
    """A log and a projection of two partitions in one directory, and an empty store."""

    def __init__(self, directory: Path, store: str) -> None:
        self.topic: Topic = ledger.topic(directory / "schemas")
        self.projection: Projection[Ledger] = ledger.projection(self.topic)
        self.file = directory / "log.db"
        self.store = store
        LocalLog(self.file).create_topic(self.topic.name, self.topic.partitions)

    def publish(self, at: datetime, *entities: str) -> list[Position]:
        """Publish a note for each entity; ``at`` is what the log's clock says."""
        with Publisher(self.topic, LocalLog(self.file, clock=Held(at)), Held(at)) as publisher:
            receipts = [publisher.publish(entity, Noted(text="x"), occurred_at=T0) for entity in entities]
            return [receipt.position for receipt in receipts]

    def worker(self, clock: Held, store: str | None = None, **settings: Any) -> Worker:
        return Worker(
            self.projection,
            f"sqlite:///{self.file}",
            store or self.store,
            settings=WorkerSettings(**settings),
            clock=clock,
        )

    def project(self, clock: Held, store: str | None = None, **settings: Any) -> None:
        with self.worker(clock, store, **settings) as worker:
            worker.run(until="end")

    def claims(self, store: str | None = None, partitions: Sequence[int] = (0, 1)) -> dict[int, Claim]:
        """Take the partitions over, as another worker would."""
        opened, log = open_store(store or self.store), LocalLog(self.file)
        try:
            return opened.claim(opened.prepare(blueprint(self.projection)), partitions, log.describe(self.topic.name))
        finally:
            opened.close()
            log.close()

    def status(self, entity: str, known_at: datetime) -> Status:
        with Reader(self.projection, self.store) as reader:
            return reader.get(entity, known_at=known_at).status


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A fresh place, on each database."""
    sqlite = request.param == "sqlite"
    return Place(tmp_path, f"sqlite:///{tmp_path}/store.db" if sqlite else request.getfixturevalue("postgres_url"))


@pytest.fixture
def local(tmp_path: Path) -> Place:
    """A fresh place, for what does not depend on the database."""
    return Place(tmp_path, f"sqlite:///{tmp_path}/store.db")


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        pause.wait(0.02)


def test_known_at_is_answered_up_to_the_allowance(place: Place) -> None:
    """Exactly: after the last record, of entities that nobody knows, with a partition that never had a record."""
    place.publish(NOON, "a")
    place.project(Held(NOON + HOUR))
    reached = NOON + HOUR - ALLOWED - MICROSECOND
    for known_at in (NOON + MICROSECOND, reached):
        assert place.status("a", known_at) is Status.FOUND
        assert place.status("nobody", known_at) is Status.NEVER_EXISTED
    for known_at in (reached + MICROSECOND, NOON + HOUR):
        assert place.status("a", known_at) is Status.NOT_YET_PROJECTED
        assert place.status("nobody", known_at) is Status.NOT_YET_PROJECTED
    with Reader(place.projection, place.store) as reader:
        answer = reader.get("a")
        assert (answer.watermark, answer.basis.watermark) == (reached, to_micros(reached, "reached"))
        assert len(reader.history("a", known_at=reached)) == 1
        assert [each.entity_id for each in reader.snapshot(known_at=reached)] == ["a"]


def test_a_running_worker_looks_again_and_again(place: Place) -> None:
    """Nobody has to publish for time to pass, and what comes after a look is projected as ever."""
    clock = Held(NOON + HOUR)
    place.publish(NOON, "a")
    worker = place.worker(clock, idle_seconds=0)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        with Reader(place.projection, place.store) as reader:
            until(lambda: _is_there(reader))
            until(lambda: place.status("a", NOON + MINUTE) is Status.FOUND)
            clock.at += HOUR
            until(lambda: place.status("nobody", NOON + HOUR + MINUTE) is Status.NEVER_EXISTED)
            for position in place.publish(clock.at, "a", "b", "c"):
                reader.wait_for(position, timeout=PATIENCE)
            assert len(reader.history("a")) == 1
            assert reader.get("b", known_at=NOON + HOUR).status is Status.NEVER_EXISTED
            assert reader.get("b", known_at=clock.at).status is Status.FOUND
    finally:
        worker.stop()
        thread.join(PATIENCE)
        worker.close()


def test_a_partition_with_a_recent_record_is_left_alone(local: Place) -> None:
    """Its own watermark says more than a look could; the other partition is looked at."""
    (position,) = local.publish(NOON, "a")
    local.project(Held(NOON + ALLOWED))
    claims = local.claims()
    assert claims[position.partition].quiet_until == -1
    assert claims[1 - position.partition].quiet_until == to_micros(NOON - MICROSECOND, "noon")


def test_the_clock_is_read_before_the_log_is_asked(local: Place) -> None:
    """The other way round a record could come between the two, and the look would call the partition idle."""
    (position,) = local.publish(NOON, "a")
    local.project(Held(NOON + HOUR, asked=lambda: local.publish(NOON + HOUR, "a")))
    assert local.claims()[position.partition].quiet_until == -1
    assert local.status("a", NOON + MICROSECOND) is Status.NOT_YET_PROJECTED


def test_no_record_is_dated_by_a_look(place: Place, tmp_path: Path) -> None:
    """A rebuild from the log gives the same rows and watermarks, whatever was looked at when, by whichever clock."""
    rebuilt = f"sqlite:///{tmp_path}/rebuilt.db"
    for hours in range(4):
        # The second one is recorded before the instant that was noted, and the last one before the one in front of it.
        place.publish(NOON + hours * HOUR - (2 * HOUR if hours == 3 else timedelta()), *"abcdef")
        place.project(Held(NOON + (90 * hours + 90) * MINUTE), batch_records=3)
    place.project(Held(NOON + 1000 * HOUR), rebuilt)
    marks, again = place.claims(), place.claims(rebuilt)
    assert {p: claim.mark for p, claim in marks.items()} == {p: claim.mark for p, claim in again.items()}
    assert all(marks[p].quiet_until != again[p].quiet_until for p in marks)
    assert _rows(place.store) == _rows(rebuilt)
    assert {row["recorded_at"] for row in _rows(rebuilt)["versions"]} == {
        to_micros(NOON + hours * HOUR, "recorded") for hours in range(3)
    }


def test_a_takeover_between_the_look_and_the_note_changes_nothing(place: Place) -> None:
    """The worker that lost its partitions says nothing of them any more; the one that has them goes on."""
    place.publish(NOON, "a")
    taken: list[dict[int, Claim]] = []
    place.project(Held(NOON + HOUR, asked=lambda: taken.append(place.claims())))
    with Reader(place.projection, place.store) as reader:
        basis = reader.get("a").basis
    assert len(taken) == 1
    assert basis == type(basis).of(basis.topic, {p: claim.mark for p, claim in taken[0].items()})
    assert place.status("a", NOON + MICROSECOND) is Status.NOT_YET_PROJECTED
    assert [claim.quiet_until for claim in place.claims().values()] == [-1, -1]


@pytest.mark.parametrize(("step", "warnings"), [(timedelta(), 1), (2 * MINUTE, 2)], ids=["at once", "minutes later"])
def test_a_log_whose_clock_is_behind_is_told_of(
    local: Place, caplog: pytest.LogCaptureFixture, step: timedelta, warnings: int
) -> None:
    """With the position and by how much, once a minute, after a restart too; a pinned answer stays what it was."""
    local.publish(NOON, "a")
    local.project(Held(NOON + HOUR))
    with Reader(local.projection, local.store) as reader:
        before = reader.get("a", known_at=NOON + 30 * MINUTE)
        late = local.publish(NOON + 20 * MINUTE, "a", "a")
        clock = Held(NOON + HOUR)

        def go_on() -> None:
            clock.at += step

        clock.asked = go_on
        with caplog.at_level(logging.WARNING, logger="everwhen.worker"):
            local.project(clock, batch_records=1)
        told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("clock.behind")]
        assert len(told) == warnings
        assert f"{late[0]} was recorded 2395.000 s before" in told[0]
        after = reader.history("a")
        assert [each.recorded_at for each in after.versions] == [NOON + 20 * MINUTE]
        assert before.require().notes == ["x"]
        assert reader.get("a", known_at=NOON + 30 * MINUTE).require().notes == ["x"] * 3
        assert reader.get("a", basis=str(before.basis)).require().notes == ["x"]


def test_records_after_an_early_one_are_not_told_of(local: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Once a record is later than what was noted, an earlier clock does not change what was answered."""
    local.publish(NOON, "a")
    local.project(Held(NOON + HOUR))
    local.publish(NOON + 2 * HOUR, "a")
    local.publish(NOON + 20 * MINUTE, "a")
    with caplog.at_level(logging.WARNING, logger="everwhen.worker"):
        local.project(Held(NOON + 2 * HOUR), batch_records=1)
    assert "clock.behind" not in caplog.text


class Silent(LocalLog):
    """A log that does not say where it ends until it is told to."""

    silent = threading.Event()
    asked = 0

    def ends(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        if self.silent.is_set():
            self.asked += 1
            raise LogUnavailable("the log does not answer")
        return super().ends(topic, partitions)


def test_a_log_that_does_not_answer_is_asked_again(local: Place, caplog: pytest.LogCaptureFixture) -> None:
    """The worker goes on projecting, warns once, and catches up with the next look that succeeds."""
    log, store = Silent(local.file), open_store(local.store)
    log.silent.set()
    worker = CoreWorker(local.projection, log, store, WorkerSettings(idle_seconds=0), clock=Held(NOON + HOUR))
    thread = threading.Thread(target=worker.run)
    with caplog.at_level(logging.WARNING, logger="everwhen.worker"):
        thread.start()
        try:
            until(lambda: log.asked > 1)
            (position,) = local.publish(NOON, "a")
            with Reader(local.projection, local.store) as reader:
                reader.wait_for(position, timeout=PATIENCE)
            log.silent.clear()
            until(lambda: local.status("nobody", NOON + MINUTE) is Status.NEVER_EXISTED)
        finally:
            worker.stop()
            thread.join(PATIENCE)
            worker.close()
    assert [record.getMessage().partition(" ")[0] for record in caplog.records] == ["idle.unknown"]


def test_a_database_that_is_busy_is_asked_again(local: Place, caplog: pytest.LogCaptureFixture) -> None:
    """What is projected is safe already, so the run ends as it should."""
    local.publish(NOON, "a")
    local.project(Held(NOON))
    other = sqlite3.connect(local.store.removeprefix("sqlite:///"), isolation_level=None)
    store = SqlStore(local.store, timeouts=Timeouts(lock=0.05))
    clock = Held(NOON + HOUR, asked=lambda: other.execute("BEGIN IMMEDIATE"))
    worker = CoreWorker(local.projection, LocalLog(local.file), store, WorkerSettings(), clock=clock)
    with worker, caplog.at_level(logging.WARNING, logger="everwhen.worker"):
        worker.run(until="end")
    other.close()
    assert "idle.unknown" in caplog.text
    assert local.status("a", NOON + MICROSECOND) is Status.NOT_YET_PROJECTED


def _rows(store: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of the generation's tables, in the order of its key."""
    engine = create_engine(store)
    tables = GenerationTables(engine.dialect.name, "ledger", 1)
    rows: dict[str, list[dict[str, Any]]] = {}
    with engine.connect() as connection:
        for table in tables.metadata.sorted_tables:
            ordered = select(table).order_by(*table.primary_key.columns)
            name = table.name.rpartition("__1_")[2]
            rows[name] = [dict(row._mapping) for row in connection.execute(ordered)]
    engine.dispose()
    return rows


def _is_there(reader: Reader[Ledger]) -> bool:
    try:
        return reader.generation.number == 1
    except ProjectionNotFound:
        return False
