"""A rebuild from the log: the same rows, and the same answers to every basis that was ever given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from everwhen import Answer
from everwhen.instants import from_micros
from everwhen.ports.log import Record
from everwhen.testing.parts.postgres import PostgresAddress
from tests.axes.logs import logs
from tests.axes.world import World, instants_around, shown
from tests.ledger import Ledger
from tests.longer import times

LOGS = {"sqlite": times(30), "postgres": times(12)}
TABLES = ("versions", "superseded", "withdrawals", "conflicts", "entities")
OpenWorld = Callable[[str], World]


@pytest.fixture(params=["sqlite", "postgres"])
def open_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenWorld]:
    """Makes empty stores of one kind, all with the same projection."""
    worlds: list[World] = []
    urls: list[str] = []

    def opened(name: str) -> World:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path}/{name}.db"
        else:
            url = request.getfixturevalue("postgres").database()
            urls.append(url)
        worlds.append(World(url, tmp_path / "schemas"))
        return worlds[-1]

    yield opened
    for world in worlds:
        world.store.close()
    for url in urls:
        postgres: PostgresAddress = request.getfixturevalue("postgres")
        postgres.drop(url)


def rows(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """Everything in the projection's tables, in an order of its own."""
    engine = create_engine(world.url)
    prefix = "everwhen_ledger__1_" if engine.dialect.name == "sqlite" else "everwhen.ledger__1_"
    with engine.connect() as connection:
        found = {
            table: sorted((tuple(row) for row in connection.execute(text(f"SELECT * FROM {prefix}{table}"))), key=repr)
            for table in TABLES
        }
    engine.dispose()
    return found


def test_a_rebuild_gives_the_same_rows_and_the_same_answers(
    open_world: OpenWorld, request: pytest.FixtureRequest
) -> None:
    """Row for row in every table, however the log was cut and whenever workers were restarted."""
    first = open_world("first")
    published: list[Record] = []
    asked: list[tuple[str, Answer[Ledger]]] = []

    @given(st.data())
    @settings(
        max_examples=LOGS[request.node.callspec.params["open_world"]],
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    def live(data: st.DataObject) -> None:
        log = data.draw(logs(first.topic, 0, first.owned.mark.next_offset, first.owned.mark.watermark))
        cuts, restarts = data.draw(st.sets(st.integers(0, 12))), data.draw(st.sets(st.integers(0, 12), max_size=3))
        for part in (log.records[: len(log.records) // 2], log.records[len(log.records) // 2 :]):
            if part:
                first.apply(part, cuts, restarts, depth=32)
                published.extend(part)
            for entity in log.entries:
                instant = data.draw(st.sampled_from(instants_around(log)))
                asked.append((entity, first.reader.get(entity, valid_at=from_micros(instant))))

    live()
    second = open_world("second")
    second.apply(published, set(), set(), depth=32)
    assert rows(second) == rows(first)
    for entity, answer in asked:
        for world in (first, second):
            again = world.reader.get(entity, valid_at=answer.valid_at, basis=str(answer.basis))
            assert (shown(again), again.status, again.valid_from, again.valid_to, again.basis) == (
                shown(answer),
                answer.status,
                answer.valid_from,
                answer.valid_to,
                answer.basis,
            )
