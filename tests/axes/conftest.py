"""Stores of their own for a whole module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from everwhen.testing.parts.postgres import PostgresAddress
from tests.axes.world import World

WORLDS = ("sqlite", "sqlite-2", "sqlite-3", "sqlite-append", "postgres", "postgres-2")
"""Several of a kind, so that they are spread over processes; in one of them late events are appended."""


@pytest.fixture(scope="module", params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A fresh store."""
    directory = tmp_path_factory.mktemp("world")
    if request.param.startswith("sqlite"):
        appends = request.param.endswith("append")
        made = World(f"sqlite:///{directory}/store.db", directory / "schemas", appends=appends)
        yield made
        made.store.close()
        return
    postgres: PostgresAddress = request.getfixturevalue("postgres")
    url = postgres.database()
    made = World(url, directory / "schemas")
    yield made
    made.reader.close()
    made.store.close()
    postgres.drop(url)
