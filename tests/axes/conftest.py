"""Stores of their own for a whole module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from everwhen.testing.parts.postgres import PostgresAddress
from everwhen.worker import stream
from tests.axes.world import World

WORLDS = ("sqlite", "sqlite-2", "sqlite-3", "sqlite-append", "postgres", "postgres-2")
"""Several of a kind, so that they are spread over processes; in one of them late events are appended."""


@pytest.fixture(scope="package", autouse=True)
def _small_portions() -> Iterator[None]:
    """Have several portions in a batch, though batches are small: what one has done is what the next goes on from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "_PORTION", 2)
        yield


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


@pytest.fixture(params=["sqlite", "postgres"])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two empty databases of a kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/first.db", f"sqlite:///{tmp_path}/second.db"
        return
    postgres: PostgresAddress = request.getfixturevalue("postgres")
    made = postgres.database(), postgres.database()
    yield made
    for url in made:
        postgres.drop(url)
