"""A question about one entity is answered by index searches, however many versions there are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from everwhen.instants import MAX_MICROS, from_micros
from everwhen.ports.answers import AsOf, VersionRow
from everwhen.ports.store import Store
from everwhen.positions import Basis, Mark
from everwhen.projection.rows import Changes, Superseded
from everwhen.sql import SqlStore
from everwhen.sql.database import Database
from everwhen.sql.engine import Timeouts
from everwhen.sql.expressions import POSTGRESQL
from everwhen.sql.queries import Queries, Timed
from everwhen.sql.statement import Statement
from everwhen.sql.tables import SharedTables
from everwhen.testing.store_oracle import TOPIC
from everwhen.testing.store_samples import head, prepared, version

ROWS, ENTITIES = 20_000, 50
PARAMETERS = {
    "entity_id": "entity-5",
    "valid_at": 9_000,
    "known_at": 10_000,
    "known_micros": 10_000,
    "offsets": '{"0": 9000}',
    "bounds": '{"0": 9100}',
    "other_offset": 0,
    "other_bound": 0,
    "entity_ids": [f"entity-{n}" for n in range(50)],
    "instants": [from_micros(9_000)] * 50,
}
Explain = Callable[[Statement], list[str]]


def fill(store: Store) -> None:
    """Write many versions of a few entities, a tenth of them superseded once."""
    (part,) = prepared(store)
    rows = [version(f"entity-{n % ENTITIES}", n, n) for n in range(ROWS)]
    superseded = [Superseded(row, row.offset + 5, row.recorded_at + 5, withdrawn=False) for row in rows[::10]]
    part.write(Changes(inserted=rows, superseded=superseded, heads=[head(row) for row in rows[-ENTITIES:]]))


@pytest.fixture
def open_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The database that the test is about."""
    return request.getfixturevalue("postgres_url") if request.param == POSTGRESQL else f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def database(open_url: str) -> Iterator[Database]:
    """That database, filled."""
    store = SqlStore(open_url)
    fill(store)
    store.close()
    database = Database(open_url, Timeouts())
    yield database
    database.close()


def queries(database: Database) -> Queries:
    """The statements for the projection."""
    generation = SqlStore(database.engine).reader("thing").generation
    return Queries(database.kind, database.dialect, SharedTables(database.kind), generation)


def asked(timed: Timed) -> list[Statement]:
    """Both statements."""
    return [timed.now, timed.past]


@pytest.mark.parametrize("open_url", ["sqlite"], indirect=True)
def test_sqlite_searches(database: Database) -> None:
    """Every table of more than one row is searched by its key, and the two that are merged come in order, unsorted."""
    asks = queries(database)
    with database.connection("explaining") as connection:

        def explain(statement: Statement) -> str:
            rows = connection.execute(f"EXPLAIN QUERY PLAN {statement.text}", statement.bind(PARAMETERS))
            return "\n".join(row[3] for row in rows)

        for statement in [*asked(asks.find), *asked(asks.seek), *asked(asks.history)]:
            plan = explain(statement)
            assert "SEARCH v USING" in plan
            assert not re.search("SCAN ([vosec]|everwhen_(?!meta).*)$|TEMP B-TREE", plan, re.MULTILINE), plan
        for statement in (asks.find.past, asks.seek.past):
            assert explain(statement).count("MERGE (UNION ALL)") == 2


@pytest.mark.parametrize("open_url", [POSTGRESQL], indirect=True)
@pytest.mark.parametrize("analyzed", [False, True])
def test_postgres_searches(database: Database, analyzed: bool) -> None:
    """The same; without statistics PostgreSQL expects a handful of versions, and may sort these."""
    psycopg = pytest.importorskip("psycopg")
    asks = queries(database)
    with database.connection("explaining") as connection:
        connection.execute("ANALYZE" if analyzed else "SELECT 1")
        # The parameters are put into the text, as EXPLAIN takes none.
        cursor = psycopg.ClientCursor(connection)

        def explain(statement: Statement) -> str:
            return "\n".join(row[0] for row in cursor.execute(f"EXPLAIN {statement.text}", statement.bind(PARAMETERS)))

        assert asks.snapshot is not None
        points = Timed(lambda past: asks.points(past=past), database.dialect)
        many = [*asked(asks.snapshot), *asked(points)]
        for statement in [*asked(asks.find), *asked(asks.history), *many]:
            assert not re.search("Seq Scan on thing__1_(versions|superseded)", explain(statement)), explain(statement)
        for statement in [*asked(asks.find), *many] if analyzed else []:
            assert "Bitmap" not in explain(statement), explain(statement)
        for statement in (asks.find.past, asks.snapshot.past, points.past) if analyzed else ():
            assert explain(statement).count("Merge Append") == 2


@pytest.mark.parametrize("open_url", ["sqlite", POSTGRESQL], indirect=True)
def test_a_refolded_history_is_not_searched_through(open_url: str) -> None:
    """One late event refolded everything: whatever the basis, a few rows decide.

    Counted in steps of SQLite's machine, which do not depend on the machine that runs the test; PostgreSQL answers
    the same.
    """
    store = SqlStore(open_url)
    (part,) = prepared(store)
    rows = [version("e", 10 * n, n) for n in range(1, 2_001)]
    part.write(Changes(inserted=rows, heads=[head(rows[-1])]), Mark(2_001, 2_100))
    late = version("e", 5, 2_001)
    renewed = [row._replace(state="{}", refolded_offset=2_001, refolded_at=late.recorded_at) for row in rows]
    ended = [Superseded(row, 2_001, late.recorded_at, withdrawn=False) for row in rows]
    changes = Changes(inserted=[late], updated=renewed, superseded=ended, heads=[head(rows[-1])])
    part.write(changes, Mark(2_002, late.recorded_at))
    after = version("e", 20_010, 2_002)
    part.write(Changes(inserted=[after], heads=[head(after)]), Mark(2_003, after.recorded_at))
    reader = store.reader("thing")
    before, between = (Basis.of(TOPIC, {0: Mark(n, 99 + n)}) for n in (2_001, 2_002))
    old, new = reader.find("e", AsOf(10_005, before)).row, reader.find("e", AsOf(10_005, between)).row
    assert old == VersionRow.of(rows[999], 10_010, late.recorded_at)
    assert new == VersionRow.of(renewed[999], 10_010, None)
    store.close()
    database = Database(open_url, Timeouts())
    if database.kind != POSTGRESQL:
        assert max(steps(database, basis, 10_005) for basis in (before, between)) < 3_000
    database.close()


def test_an_old_basis_is_not_searched_from_the_end(tmp_path: Path) -> None:
    """What begins after all that was known then is passed over without being looked at."""
    url = f"sqlite:///{tmp_path}/store.db"
    (part,) = prepared(SqlStore(url))
    rows = [version("e", n, n, recorded_at=n) for n in range(2_000)]
    part.write(Changes(inserted=rows, heads=[head(rows[-1], lead=0)]))
    database = Database(url, Timeouts())
    basis = Basis.of(TOPIC, {0: Mark(10, 9)})
    assert max(steps(database, basis, valid_at) for valid_at in (9, 1_000, MAX_MICROS)) < 3_000
    assert steps(database, Basis.of(TOPIC, {0: Mark(10, 1_999)}), MAX_MICROS) > 20_000
    database.close()


def steps(database: Database, basis: Basis, valid_at: int) -> int:
    """Count how many instructions SQLite needs to find a version at a basis."""
    find, count = queries(database).find.past, 0
    offset, bound = (f'{{"0": {value}}}' for value in basis[0])
    asked: dict[str, Any] = PARAMETERS | {"entity_id": "e", "valid_at": valid_at, "offsets": offset, "bounds": bound}

    def step() -> int:
        nonlocal count
        count += 100
        return 0

    with database.connection("counting") as connection:
        connection.set_progress_handler(step, 100)
        find.run(connection.cursor(), asked).fetchone()
        connection.set_progress_handler(None, 0)
    return count
