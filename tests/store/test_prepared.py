"""Questions that are run below psycopg's cursor say what those run on a cursor do."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from sqlalchemy import create_engine

from everwhen.ports.answers import AsOf
from everwhen.projection.rows import Changes, Superseded
from everwhen.sql import SqlStore
from everwhen.testing.store_samples import head, prepared, version

_STATEMENTS = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'everwhen%'"


@pytest.fixture
def store(postgres_url: str) -> Iterator[SqlStore]:
    """A store with a few entities, some of whose beliefs were superseded."""
    pytest.importorskip("psycopg")
    store = SqlStore(postgres_url)
    fill(store)
    yield store
    store.close()


def fill(store: SqlStore) -> None:
    """Write versions of seven entities; one of them knows the future."""
    (part,) = prepared(store)
    rows = [version(f"entity-{n % 7}", n, n) for n in range(200)]
    gone = [
        Superseded(row, row.offset + 5, row.recorded_at + 5, withdrawn=n % 2 == 0) for n, row in enumerate(rows[::9])
    ]
    part.write(Changes(inserted=rows, superseded=gone, heads=[head(row) for row in rows[-7:]]))


def statements(store: SqlStore) -> int:
    """How many of ours the next connection has prepared."""
    with store._database.connection("counting") as connection:
        return int(connection.execute(_STATEMENTS).fetchone()[0])


def without(reader: Any) -> Any:
    """Have a reader take the cursor's way."""
    reader._prepared = None
    return reader


def test_both_ways_find_the_same(store: SqlStore) -> None:
    """A column that is read in another way, or from another place, shows; whether asked about now or about then."""
    quick, slow, lots = store.reader("thing"), without(store.reader("thing")), Random(5)
    marks = quick.marks()
    for _ in range(200):
        entity_id, valid_at, known_at = f"entity-{lots.randrange(8)}", lots.randrange(-5, 230), lots.randrange(-5, 400)
        for as_of in (
            AsOf(valid_at),
            AsOf(valid_at, marks),
            AsOf(valid_at, known_at=known_at),
            AsOf(valid_at, marks, known_at),
        ):
            found = quick.find(entity_id, as_of)
            assert found == slow.find(entity_id, as_of)
            assert found.marks.generation == 1
    assert statements(store) == 2


def test_a_session_that_was_cleared_is_prepared_again(store: SqlStore) -> None:
    """A pool that discards what sessions hold does not break the questions after it."""
    reader = store.reader("thing")
    before = reader.find("entity-1", AsOf(100))
    with store._database.connection("clearing") as connection:
        connection.execute("DISCARD ALL")
    assert reader.find("entity-1", AsOf(100)) == before
    assert statements(store) == 1


def test_nothing_is_prepared_where_the_engine_forbids_it(store: SqlStore, postgres_url: str) -> None:
    """Behind a pooler that shares connections, a prepared statement may be another session's."""
    engine = create_engine(postgres_url, connect_args={"prepare_threshold": None})
    careful = SqlStore(engine)
    reader = store.reader("thing")
    assert careful.reader("thing").find("entity-1", AsOf(100)) == reader.find("entity-1", AsOf(100))
    assert statements(careful) == 0
    engine.dispose()


def test_readers_of_one_engine_share_a_statement(store: SqlStore) -> None:
    """A program that opens a reader for each request does not fill the server's memory."""
    for _ in range(3):
        store.reader("thing").find("entity-1", AsOf(100))
    assert statements(store) == 1
