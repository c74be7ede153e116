"""Connections to PostgreSQL that are there for the next question."""

from __future__ import annotations

import pytest

from everwhen.errors import StoreUnavailable
from everwhen.ports.answers import AsOf
from everwhen.sql import SqlStore
from everwhen.testing.store_samples import prepared


def test_the_siblings_of_a_broken_connection_are_thrown_away(postgres_url: str) -> None:
    """A server that restarts breaks all of them: one failure, and not one for each, until it is asked again."""
    psycopg = pytest.importorskip("psycopg")
    store = SqlStore(postgres_url)
    prepared(store)
    database = store._database
    with database.connection("a"), database.connection("b"), database.connection("c"):
        pass
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(StoreUnavailable):
        store.reader("thing")
    reader = store.reader("thing")
    assert reader.marks()[0].next_offset == 0
    store.close()


def test_a_connection_that_is_kept_for_questions_is_one_of_them(postgres_url: str) -> None:
    """It breaks with the others, and is thrown away with them; and an engine of the user's has none kept from it."""
    psycopg = pytest.importorskip("psycopg")
    store = SqlStore(postgres_url)
    prepared(store)
    reader = store.reader("thing")
    asked = reader.find("e", AsOf(5))
    kept = store._database._kept
    assert len(kept) == 1
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(StoreUnavailable):
        reader.find("e", AsOf(5))
    assert not kept
    assert reader.find("e", AsOf(5)) == asked
    users = SqlStore(store._database.engine)
    assert users.reader("thing").find("e", AsOf(5)) == asked
    assert not users._database._kept
    store.close()
    assert not kept
