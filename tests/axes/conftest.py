"""A database of its own for a whole module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from everwhen.testing.parts.postgres import PostgresAddress


@pytest.fixture(scope="module")
def module_postgres_url(postgres: PostgresAddress) -> Iterator[str]:
    """A fresh, empty database."""
    url = postgres.database()
    yield url
    postgres.drop(url)
