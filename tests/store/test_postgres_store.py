"""The store in PostgreSQL."""

from __future__ import annotations

from contextlib import ExitStack, suppress

import pytest
from sqlalchemy import create_engine, text

from everwhen.errors import StoreUnavailable
from everwhen.ports.answers import AsOf
from everwhen.ports.store import Store
from everwhen.positions import Basis
from everwhen.projection.rows import Changes
from everwhen.sql import SqlStore
from everwhen.testing.store_conformance import StoreConformance
from everwhen.testing.store_samples import OpenStore, head, prepared, version
from tests.longer import times


class TestPostgresStore(StoreConformance):
    """The suite that every store passes."""

    examples = times(10)

    @pytest.fixture
    def open_store(self, postgres_url: str) -> OpenStore:
        """One database for each test."""
        return lambda: SqlStore(postgres_url)

    def test_a_connection_that_is_lost_while_answers_stream_is_said(self, store: Store, postgres_url: str) -> None:
        """As the store being away, to whoever iterates; the next question is answered."""
        (part,) = prepared(store)
        rows = [version(f"entity-{n:04}", 10, n) for n in range(3000)]
        part.write(Changes(inserted=rows, heads=[head(row) for row in rows]))
        reader = store.reader("thing")
        nothing = Basis.of("things", {})
        for ask in (lambda: reader.snapshot(AsOf(50)), lambda: reader.changes(nothing, 50)):
            # As a snapshot does: whoever iterates is not inside the context.
            stack = ExitStack()
            _, stream = stack.enter_context(ask())
            next(stream)
            terminate_others(postgres_url)
            with pytest.raises(StoreUnavailable, match="reading projection thing"):
                list(stream)
            with suppress(StoreUnavailable):
                stack.close()
            assert reader.find("entity-0000", AsOf(50)).row is not None


def terminate_others(url: str) -> None:
    """End every other connection to the database."""
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    engine.dispose()
