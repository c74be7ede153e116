"""What stands in the tables, read without the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, inspect, select

from everwhen.projection.rows import Changes, Conflict
from everwhen.sql import SqlStore
from everwhen.sql.tables import GenerationTables
from everwhen.testing.store_samples import prepared

PARTS = {"versions", "superseded", "entities", "withdrawals", "conflicts", "pruned", "quarantine"}


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database."""
    sqlite = request.param == "sqlite"
    engine = create_engine(f"sqlite:///{tmp_path}/store.db" if sqlite else request.getfixturevalue("postgres_url"))
    yield engine
    engine.dispose()


def test_names_cannot_meet_those_of_others(database: Engine) -> None:
    """A schema of our own on PostgreSQL, a prefix on SQLite; each generation has its own tables."""
    prepared(SqlStore(database))
    here = {"meta", "generations", "checkpoints", "decisions"} | {f"thing__1_{part}" for part in PARTS}
    if database.dialect.name == "postgresql":
        assert set(inspect(database).get_table_names("everwhen")) == here
        assert set(inspect(database).get_view_names("everwhen")) == {"thing", "thing_history"}
        assert inspect(database).get_table_names() == []
    else:
        assert set(inspect(database).get_table_names()) == {f"everwhen_{name}" for name in here}


def test_the_entity_leads_every_key(database: Engine) -> None:
    """So that tables can be distributed by it; nothing refers to another table."""
    tables = GenerationTables(database.dialect.name, "thing", 1)
    for table in tables.metadata.tables.values():
        assert not table.foreign_keys
        if not table.name.endswith("_quarantine"):
            keys = [list(table.primary_key.columns), *(list(index.columns) for index in table.indexes)]
            assert {columns[0].name for columns in keys} == {"entity_id"}


def test_conflicts_are_kept(database: Engine) -> None:
    """With their bytes, for whoever looks into them."""
    (part,) = prepared(SqlStore(database))
    conflict = Conflict("é", "event-0", 9, 0, -1, 253_402_300_799_999_999, "thing.happened", b"\x00\xff")
    part.write(Changes(conflicts=[conflict]))
    table = GenerationTables(database.dialect.name, "thing", 1).conflicts
    with database.connect() as connection:
        assert [tuple(row) for row in connection.execute(select(table))] == [conflict]


def test_what_a_worker_asks_every_few_seconds_is_compiled_once(tmp_path: Path) -> None:
    """It grew by 5 MB for each million events while a copy of the statement was kept for each time it was asked."""
    store = SqlStore(f"sqlite:///{tmp_path}/store.db")
    (part,) = prepared(store)
    store.requests([part.claim])
    compiled = store._database.engine._compiled_cache
    assert compiled is not None
    before = len(compiled)
    for _ in range(20):
        assert store.requests([part.claim]) == []
        store.note_quiet([(part.claim, 0)], 5)
        store.note_trouble(part.claim, None)
    assert len(compiled) <= before + 4
    store.close()
