"""The views on PostgreSQL show the generation that answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from everwhen.errors import StoreError
from everwhen.ports.generations import Blueprint
from everwhen.projection.rows import Changes
from everwhen.sql import SqlStore
from everwhen.testing.store_oracle import TOPIC
from everwhen.testing.store_samples import THINGS, Part, head, version

FIRST = (("name", "text"), ("size", "integer"))
MORE = (*FIRST, ("open", "boolean"))
OTHERS = (("size", "text"), ("day", "date"))


@pytest.fixture
def store(postgres_url: str) -> Iterator[SqlStore]:
    """A store with one entity in one generation."""
    store = SqlStore(postgres_url)
    fill(store, store.prepare(code("a", FIRST)), '{"name":"n","size":1}')
    yield store
    store.close()


@pytest.fixture
def connection(postgres_url: str) -> Iterator[Any]:
    """A connection for looking at the views."""
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


def code(fingerprint: str, columns: tuple[tuple[str, str], ...]) -> Blueprint:
    """A projection whose state has these fields."""
    return Blueprint("thing", 1, fingerprint, TOPIC, columns)


def fill(store: SqlStore, generation: Any, state: str) -> None:
    """Write the entity."""
    part = Part(store, store.claim(generation, [0], THINGS)[0])
    row = version(state=state)
    part.write(Changes(inserted=[row], heads=[head(row)]))


def switch(store: SqlStore, columns: tuple[tuple[str, str], ...], state: str) -> None:
    """Build a generation whose state has these fields, and let it answer."""
    builds = store.generations("thing")
    generation = builds.begin(code(str(len(builds.all())), columns)).generation
    fill(store, generation, state)
    builds.switch(generation.number)


def shown(connection: Any, view: str = "thing") -> dict[str, Any]:
    """The only row of a view, by column, without what every view has."""
    cursor = connection.execute(f"SELECT * FROM everwhen.{view}")
    (row,) = cursor.fetchall()
    own = {"entity_id", "version_key", "valid_from", "valid_to", "is_current", "is_deleted", "event_type"}
    return {column.name: value for column, value in zip(cursor.description, row, strict=True) if column.name not in own}


def test_both_views_follow_a_switch_and_the_way_back(store: SqlStore, connection: Any) -> None:
    """With the fields of the generation that answers, whether there are more, fewer or others."""
    first = {"name": "n", "size": 1}
    assert shown(connection) == shown(connection, "thing_history") == first
    switch(store, MORE, '{"name":"m","size":2,"open":true}')
    assert shown(connection) == shown(connection, "thing_history") == {"name": "m", "size": 2, "open": True}
    switch(store, OTHERS, '{"size":"big","day":null}')
    assert shown(connection) == shown(connection, "thing_history") == {"size": "big", "day": None}
    store.generations("thing").switch(1)
    assert shown(connection) == shown(connection, "thing_history") == first


def test_rights_on_views_outlive_a_switch(store: SqlStore, connection: Any) -> None:
    """Those of a role and those of everybody."""
    connection.execute("DROP ROLE IF EXISTS everwhen_analyst; CREATE ROLE everwhen_analyst")
    try:
        connection.execute("GRANT SELECT ON everwhen.thing TO everwhen_analyst")
        connection.execute("GRANT SELECT ON everwhen.thing_history TO PUBLIC")
        switch(store, OTHERS, '{"size":"big","day":null}')
        rights = connection.execute(
            "SELECT has_table_privilege('everwhen_analyst', 'everwhen.thing', 'SELECT'), "
            "has_table_privilege('everwhen_analyst', 'everwhen.thing_history', 'SELECT'), "
            "has_table_privilege('everwhen_analyst', 'everwhen.thing', 'DELETE')"
        ).fetchone()
        assert rights == (True, True, False)
    finally:
        connection.execute("DROP OWNED BY everwhen_analyst; DROP ROLE everwhen_analyst")


def test_a_view_of_somebody_else_is_not_torn_down(store: SqlStore, connection: Any) -> None:
    """Where the fields stay or grow it goes on; else the switch is refused and nothing has changed."""
    connection.execute("CREATE VIEW public.mine AS SELECT name FROM everwhen.thing")
    switch(store, MORE, '{"name":"m","size":2,"open":true}')
    assert connection.execute("SELECT name FROM public.mine").fetchall() == [("m",)]
    with pytest.raises(StoreError, match="depends on them"):
        switch(store, OTHERS, '{"size":"big","day":null}')
    assert store.find("thing").number == 2
    assert shown(connection) == {"name": "m", "size": 2, "open": True}


def test_a_generation_of_an_older_store_is_shown_once_its_code_was_there(store: SqlStore, connection: Any) -> None:
    """Its fields are not kept: a switch to it is refused with what to do, and its worker brings them."""
    switch(store, OTHERS, '{"size":"big","day":null}')
    connection.execute("UPDATE everwhen.generations SET columns = NULL WHERE number = 1")
    with pytest.raises(StoreError, match="worker"):
        store.generations("thing").switch(1)
    assert store.find("thing").number == 2
    assert store.prepare(code("a", FIRST)).number == 1
    store.generations("thing").switch(1)
    assert shown(connection) == {"name": "n", "size": 1}
