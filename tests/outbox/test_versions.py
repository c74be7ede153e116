"""Expected versions: of those who decide on the same version one publishes, however they meet."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from everwhen import NEW, Outbox
from everwhen.errors import StoreConflict, StoreUnavailable, VersionConflict
from tests.ledger import Noted
from tests.outbox.conftest import Service

LEVELS = pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
SECONDS = 30.0


def test_a_version_that_is_not_so_any_more_is_a_conflict(service: Service) -> None:
    """With both versions in it; under these isolation levels the transaction can go on."""
    with service.engine.begin() as connection:
        assert service.outbox.publish(connection, "e", Noted(text="1"), expected=NEW).version == 1
        assert service.outbox.publish(connection, "f", Noted(text="1"), expected=NEW).version == 1
        for wrong in (NEW, 2):
            with pytest.raises(VersionConflict) as caught:
                service.outbox.publish(connection, "e", Noted(text="x"), expected=wrong)
            conflict = caught.value
            assert (conflict.entity_id, conflict.expected, conflict.actual) == ("e", wrong, 1)
        assert service.outbox.publish(connection, "e", Noted(text="2"), expected=1).version == 2


@LEVELS
@pytest.mark.parametrize("first_commits", [True, False])
def test_the_second_waits_for_the_first(on_postgres: Service, level: str, *, first_commits: bool) -> None:
    """It conflicts if the first one commits, and goes on if that one is rolled back."""
    engine, outbox = on_postgres.engine.execution_options(isolation_level=level), on_postgres.outbox
    with engine.connect() as first, engine.connect() as second, ThreadPoolExecutor(1) as pool:
        assert (outbox.version(first, "e"), outbox.version(second, "e")) == (NEW, NEW)
        outbox.publish(first, "e", Noted(text="first"), expected=NEW)
        waiting = pool.submit(outbox.publish, second, "e", Noted(text="second"), expected=NEW)
        _await(lambda: _waits_for_a_lock(on_postgres.engine))
        first.commit() if first_commits else first.rollback()
        if first_commits:
            conflict = waiting.exception(SECONDS)
            assert isinstance(conflict, VersionConflict)
            assert conflict.actual == (1 if level == "READ COMMITTED" else None)
        else:
            assert waiting.result(SECONDS).version == 1


@LEVELS
def test_a_snapshot_that_is_older_is_a_conflict(on_postgres: Service, level: str) -> None:
    """With nobody to wait for: the other one committed after the snapshot was taken."""
    engine, outbox = on_postgres.engine.execution_options(isolation_level=level), on_postgres.outbox
    with engine.connect() as old:
        assert outbox.version(old, "e") == NEW
        with on_postgres.engine.begin() as other:
            outbox.publish(other, "e", Noted(text="1"))
        with pytest.raises(VersionConflict):
            outbox.publish(old, "e", Noted(text="x"), expected=NEW)
        old.rollback()
        assert outbox.version(old, "e") == 1
        with on_postgres.engine.begin() as other:
            outbox.publish(other, "e", Noted(text="2"))
        if level == "READ COMMITTED":
            assert outbox.publish(old, "e", Noted(text="3")).version == 3
        else:
            with pytest.raises(StoreConflict):
                outbox.publish(old, "e", Noted(text="x"))


@pytest.mark.parametrize("expecting", [True, False])
@LEVELS
def test_many_writers_take_each_version_once(on_postgres: Service, level: str, *, expecting: bool) -> None:
    """Four at a time, with retries and roll-backs: versions have no hole, and each is of the one that was told it."""
    engine = on_postgres.engine.execution_options(isolation_level=level)
    _take_each_version_once(engine, on_postgres.outbox, expecting=expecting)


@pytest.mark.parametrize("expecting", [True, False])
def test_many_writers_of_a_file_take_each_version_once(on_sqlite: Service, *, expecting: bool) -> None:
    """As above, where one transaction writes at a time."""
    engine = create_engine(on_sqlite.url, connect_args={"timeout": SECONDS})
    _take_each_version_once(engine, on_sqlite.outbox, expecting=expecting)
    engine.dispose()


def test_a_clock_that_goes_back_changes_no_order(service: Service) -> None:
    """Relays go by the instant that a row was queued, so it must rise with the versions."""
    instants = iter([5_000_000, 3_000_000, 4_999_999, 6_000_000])

    class Clock:
        def now(self) -> int:
            return next(instants)

    outbox = Outbox(service.topic, service.engine, clock=Clock())
    with service.engine.begin() as connection:
        for number in range(4):
            outbox.publish(connection, "e", Noted(text=str(number)))
        name = "everwhen_outbox" if connection.dialect.name == "sqlite" else "everwhen.outbox"
        found = connection.execute(text(f"SELECT queued_at FROM {name} ORDER BY version")).scalars().all()
    assert found == [5_000_000, 5_000_001, 5_000_002, 6_000_000]


def _take_each_version_once(engine: Engine, outbox: Outbox, *, expecting: bool) -> None:
    told: list[tuple[int, str]] = []

    def write(writer: int) -> None:
        lots = Random(writer)
        for number in range(6):
            name = f"{writer}-{number}"
            while True:
                try:
                    with engine.connect() as connection:
                        expected = outbox.version(connection, "e") if expecting else None
                        if connection.dialect.name == "sqlite":
                            connection.rollback()  # a file cannot go from an old snapshot to writing
                        receipt = outbox.publish(connection, "e", Noted(text=name), expected=expected, event_id=name)
                        if lots.random() < 0.2:
                            connection.rollback()
                            continue
                        connection.commit()
                    told.append((receipt.version, name))
                    break
                except (VersionConflict, StoreConflict, StoreUnavailable):
                    continue
                except DBAPIError as error:  # of the commit itself, under SERIALIZABLE
                    if getattr(error.orig, "sqlstate", None) != "40001":
                        raise

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write, writer) for writer in range(4)]:
            done.result(SECONDS)
    with engine.connect() as connection:
        name = "everwhen_outbox" if connection.dialect.name == "sqlite" else "everwhen.outbox"
        found = connection.execute(text(f"SELECT version, id FROM {name} ORDER BY version")).all()
    assert [tuple(row) for row in found] == sorted(told)
    assert [version for version, _ in sorted(told)] == list(range(1, 25))


def _waits_for_a_lock(engine: Engine) -> bool:
    with engine.connect() as connection:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return bool(connection.execute(text(asked)).scalar())


def _await(condition: Callable[[], bool]) -> None:
    tick = threading.Event()
    for _ in range(int(SECONDS / 0.02)):
        if condition():
            return
        tick.wait(0.02)
    raise AssertionError("it did not come to pass")
