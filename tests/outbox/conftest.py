"""A service's database of each kind, and a topic whose events say which version of their entity they should be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from everwhen import Outbox, Topic
from everwhen.testing.parts import PostgresAddress
from tests import ledger

T0 = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Service:
    """A service with an outbox."""

    engine: Engine
    topic: Topic
    outbox: Outbox
    log: str
    """The URL of a log in a file."""

    @property
    def url(self) -> str:
        """Where its database is."""
        return self.engine.url.render_as_string(hide_password=False)


def open_service(url: str, path: Path, name: str = "ledger") -> Service:
    """Make the tables in an empty database."""
    engine = create_engine(url)
    topic = ledger.topic(path / "schemas", name)
    outbox = Outbox(topic, engine)
    outbox.create_tables()
    return Service(engine, topic, outbox, f"sqlite:///{path / 'log.db'}")


@pytest.fixture
def on_postgres(postgres: PostgresAddress, tmp_path: Path) -> Iterator[Service]:
    """The service's database in PostgreSQL."""
    url = postgres.database()
    service = open_service(url, tmp_path)
    yield service
    service.engine.dispose()
    postgres.drop(url)


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[Service]:
    """The service's database in a file."""
    service = open_service(f"sqlite:///{tmp_path / 'service.db'}", tmp_path)
    yield service
    service.engine.dispose()


@pytest.fixture(params=["on_sqlite", "on_postgres"])
def service(request: pytest.FixtureRequest) -> Service:
    """The service's database, of either kind."""
    found: Service = request.getfixturevalue(request.param)
    return found
