"""Our own tables from version to version: an upgraded store is one made fresh, and an interrupted upgrade nothing."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, event

from everwhen import Reader
from everwhen.errors import StoreMismatch
from everwhen.ports.log import TopicDescription
from everwhen.ports.schema import Built
from everwhen.positions import Mark
from everwhen.projection.rows import Changes
from everwhen.sql import SqlStore
from everwhen.sql.migrations import BASELINE, STEPS
from everwhen.sql.tables import SCHEMA_VERSION
from everwhen.testing.parts.postgres import PostgresAddress
from everwhen.testing.store_samples import head, version
from tests.forkserver import PROCESSES
from tests.store import old_stores

LEDGER = TopicDescription("ledger", 2, "cluster-1", "topic-1")
ENTITIES = ("a", "c", "deep", "gone", "parked", "never")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Iterator[str]]:
    """URLs of empty databases, as many as are asked for."""
    if request.param == "sqlite":
        yield (f"sqlite:///{tmp_path}/store-{number}.db" for number in count())
        return
    postgres: PostgresAddress = request.getfixturevalue("postgres")
    made: list[str] = []

    def more() -> Iterator[str]:
        while True:
            made.append(postgres.database())
            yield made[-1]

    yield more()
    for url in made:
        postgres.drop(url)


def look(url: str) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """All that a database says of tables and rows."""
    engine = create_engine(url)
    try:
        return old_stores.shape(engine), old_stores.rows(engine)
    finally:
        engine.dispose()


def upgraded(url: str) -> str:
    """Make the store of version 2, and upgrade it."""
    with closing(SqlStore(old_stores.make(url))) as store:
        done = store.schema().upgrade()
        assert (done.found, done.reached) == (BASELINE, SCHEMA_VERSION)
    return url


def fresh(url: str) -> str:
    """Make a store with the same projections, and nothing in it."""
    with closing(SqlStore(url)) as store:
        for each in old_stores.BLUEPRINTS:
            store.prepare(each)
    return url


def test_steps_lead_from_the_baseline_to_this_version() -> None:
    """One by one, with none left out."""
    assert [step.version for step in STEPS] == list(range(BASELINE + 1, SCHEMA_VERSION + 1))


def test_the_tables_of_an_upgraded_store_are_those_of_a_fresh_one(urls: Iterator[str]) -> None:
    """Columns and their order, types, defaults, keys, indexes, options, comments, views. Again, it does nothing."""
    old = upgraded(next(urls))
    assert look(old)[0] == look(fresh(next(urls)))[0]
    with closing(SqlStore(old)) as store:
        found = store.schema().check()
        assert (found.version, found.problems) == (SCHEMA_VERSION, [])
        assert found.generations == [
            Built("ledger", 1, 1, "live", "ledger"),
            Built("other_one", 1, 1, "live", "few"),
        ]
        assert store.schema().upgrade().statements == []


def test_no_row_is_changed_but_for_the_fence(urls: Iterator[str]) -> None:
    """What was in a column is there; every claim is of an earlier epoch and another owner."""
    url = old_stores.make(next(urls))
    _, before = look(url)
    with closing(SqlStore(url)) as store:
        store.schema().upgrade()
    _, after = look(url)
    assert after.pop("meta") == [{"schema_version": SCHEMA_VERSION}]
    assert [row["epoch"] - 1 for row in after["checkpoints"]] == [row["epoch"] for row in before["checkpoints"]]
    assert {row["owner"] for row in after["checkpoints"]} == {"nobody"}
    for table, rows in before.items():
        if table != "meta":
            kept = [name for name in rows[0] if name not in {"owner", "epoch"}] if rows else []
            assert [[row[name] for name in kept] for row in after[table]] == [[r[name] for name in kept] for r in rows]
            assert len(after[table]) == len(rows)
    assert all(row["prunings"] == 0 for row in after["checkpoints"])


def answers(url: str) -> list[Any]:
    """What a reader without the projection's code says, at many points."""
    found: list[Any] = []
    with Reader("ledger", url) as reader:
        for entity in ENTITIES:
            for hour in (0, 1, 2, 3, 4, 5, 28, 40):
                found.append(reader.get(entity, valid_at=BEGIN + timedelta(hours=hour)))
            history = reader.history(entity)
            found.append(history)
        with reader.snapshot(valid_at=BEGIN + timedelta(hours=4)) as snapshot:
            found += list(snapshot)
    return found


def work_on(url: str) -> None:
    """Claim, write one more event, and prune, as a worker and a command do."""
    with closing(SqlStore(url)) as store:
        generation = store.prepare(old_stores.BLUEPRINTS[0])
        claim = store.claim(generation, [0], LEDGER)[0]
        row = version("new", 1, claim.mark.next_offset, recorded_at=claim.mark.watermark, state='{"notes":["new"]}')
        with store.batch(claim, row.offset, Mark(row.offset + 1, row.recorded_at)) as batch:
            batch.write(Changes(inserted=[row], heads=[head(row)]))
        before = (BEGIN + timedelta(hours=4) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        for _ in store.pruning("ledger").portions(before):
            pass


def test_an_upgraded_store_answers_and_goes_on_as_a_fresh_one(urls: Iterator[str]) -> None:
    """With the same rows it gives the same answers, and the same rows after a batch and a pruning."""
    old, new = upgraded(next(urls)), fresh(next(urls))
    old_stores.put_rows(new)
    assert answers(old) == answers(new)
    for url in (old, new):
        work_on(url)
    assert answers(old) == answers(new)
    (_, rows), (_, expected) = look(old), look(new)
    for found in (rows, expected):
        for row in found["checkpoints"]:
            row |= {"owner": "", "epoch": 0}
    assert rows == expected
    assert rows["ledger__1_pruned"]


def killed_at(url: str, number: int) -> bool:
    """Upgrade in another process, which is killed when it is about to execute a statement; say whether it was."""
    process = PROCESSES.Process(target=_upgrade_and_die, args=(url, number))
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _upgrade_and_die(url: str, number: int) -> None:
    engine = create_engine(url)
    left = iter(range(number))

    def look_out(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "PRAGMA", "SET")) and next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(engine, "before_cursor_execute", look_out)
    SqlStore(engine).schema().upgrade()


def test_an_upgrade_that_is_killed_at_any_statement_did_nothing(urls: Iterator[str]) -> None:
    """Tables and rows are as before, whichever statement it was; the next upgrade succeeds."""
    url = old_stores.make(next(urls))
    before = look(url)
    kills = 0
    while killed_at(url, kills):
        assert look(url) == before, kills
        kills += 1
    with closing(SqlStore(url)) as store:
        assert store.schema().check().problems == []
    assert kills > 2 * len(old_stores.BLUEPRINTS)
    assert look(url)[0] == look(fresh(next(urls)))[0]


def test_the_script_for_an_administrator_does_what_an_upgrade_does(urls: Iterator[str]) -> None:
    """It can be given to the database's own program as it stands; printing it changes nothing."""
    url = old_stores.make(next(urls))
    before = look(url)
    with closing(SqlStore(url)) as store:
        script = "".join(f"{statement};\n" for statement in store.schema().script())
    assert look(url) == before
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        connection.executescript(script)
        connection.close()
    else:
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as server:
            server.execute(script.encode())
    assert look(url) == look(upgraded(next(urls)))
    with closing(SqlStore(url)) as store:
        assert store.schema().script() == ()


def test_a_generation_that_was_dropped_has_no_tables_to_upgrade(urls: Iterator[str]) -> None:
    """Its row is passed over, and nothing of it is missing."""
    url = old_stores.make(next(urls))
    engine = create_engine(url)
    place = "everwhen." if engine.dialect.name == "postgresql" else "everwhen_"
    with engine.begin() as connection:
        for view in ("other_one", "other_one_history") if place == "everwhen." else ():
            connection.exec_driver_sql(f"DROP VIEW {place}{view}")
        for table in [table for table in old_stores.rows(engine) if table.startswith("other_one__1_")]:
            connection.exec_driver_sql(f"DROP TABLE {place}{table}")
        connection.exec_driver_sql(f"UPDATE {place}generations SET state = 'dropped' WHERE projection = 'other_one'")
    engine.dispose()
    with closing(SqlStore(url)) as store:
        store.schema().upgrade()
        assert store.schema().check().problems == []
    assert not [table for table in look(url)[1] if table.startswith("other_one__1_")]


@pytest.mark.parametrize(
    ("found", "remedy"), [(2, "everwhen store upgrade"), (99, "a newer everwhen"), (1, "fresh store")]
)
def test_another_version_is_refused_with_what_to_do(tmp_path: Path, found: int, remedy: str) -> None:
    """By whoever opens the store; an upgrade refuses only what it cannot upgrade."""
    url = fresh(f"sqlite:///{tmp_path}/store.db")
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute(f"UPDATE everwhen_meta SET schema_version = {found}")
    with closing(SqlStore(url)) as store:
        for use in (lambda: store.prepare(old_stores.BLUEPRINTS[0]), lambda: store.reader("ledger")):
            with pytest.raises(StoreMismatch, match=f"version {found},.*works with version {SCHEMA_VERSION}"):
                use()
        with pytest.raises(StoreMismatch, match=remedy):
            (store.schema().upgrade if found != BASELINE else lambda: store.reader("ledger"))()
        (problem,) = store.schema().check().problems
        assert f"version {found}" in problem


def test_what_is_missing_is_named(urls: Iterator[str]) -> None:
    """No tables at all; a table; a column."""
    url = next(urls)
    with closing(SqlStore(url)) as store:
        for use in (store.schema().upgrade, store.schema().script):
            with pytest.raises(StoreMismatch, match="everwhen store init"):
                use()
        assert "everwhen store init" in store.schema().check().problems[0]
        fresh(url)
        engine = create_engine(url)
        own = "everwhen.ledger__1_" if engine.dialect.name == "postgresql" else "everwhen_ledger__1_"
        with engine.begin() as connection:
            connection.exec_driver_sql(f"DROP TABLE {own}conflicts")
            connection.exec_driver_sql(f"ALTER TABLE {own}entities DROP COLUMN pruned_at")
        engine.dispose()
        problems = store.schema().check().problems
    assert len(problems) == 2
    assert f"table {own}conflicts is missing" in problems[0]
    assert f"table {own}entities has no column pruned_at" in problems[1]
