"""Going back to an earlier offset: the rows are those of a store that has read only up to there."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from everwhen.connect import open_store
from everwhen.errors import ArgumentError, Fenced
from everwhen.ports.log import Record
from everwhen.worker import roll_back
from tests.axes.logs import logs
from tests.axes.test_quarantine import Strict, broken
from tests.axes.world import World
from tests.ledger import Noted, Writer
from tests.longer import times

LOGS = {"sqlite": times(25), "postgres": times(8)}
TABLES = ("versions", "superseded", "withdrawals", "conflicts", "entities", "quarantine")
_PLACED = {"entities": "last_offset"}
_UNTOLD = {"entities": {"last_offset"}, "quarantine": {"headers", "attempts"}}
"""What a duplicate changes without leaving a row, and what a mended record does not keep of itself."""


def rows(world: World) -> dict[str, list[dict[str, Any]]]:
    """All rows of a store, but for what is not told."""
    prefix = "everwhen_ledger__1_" if world.kind == "sqlite" else "everwhen.ledger__1_"
    engine = create_engine(world.url)
    found = {}
    with engine.connect() as connection:
        for table in TABLES:
            lines = connection.execute(text(f"SELECT * FROM {prefix}{table}")).mappings()
            found[table] = [dict(line) for line in lines]
    engine.dispose()
    # A head without any row is that of an entity of which only ignored records came.
    found["entities"] = [
        line
        for line in found["entities"]
        if line["versions"] or line["withdrawals"] or line["quarantined_offset"] is not None
    ]
    for table, names in _UNTOLD.items():
        found[table] = [{name: value for name, value in line.items() if name not in names} for line in found[table]]
    return {table: sorted(lines, key=repr) for table, lines in found.items()}


def check_same(found: dict[str, list[dict[str, Any]]], expected: dict[str, list[dict[str, Any]]]) -> None:
    """All rows; but a duplicate that waited for a while and was released left none, and does not wait again."""
    released = [row for row in expected["quarantine"] if row not in found["quarantine"]]
    assert {row["status"] for row in released} <= {"waiting"}
    assert found == expected | {"quarantine": [row for row in expected["quarantine"] if row not in released]}


def onward(records: list[Record], watermark: int) -> list[Record]:
    """The records with times that never go back: what left no row is not remembered as the latest one."""
    latest = itertools.accumulate((record.timestamp for record in records), max, initial=watermark)
    return [
        record._replace(timestamp=at) for record, at in zip(records, itertools.islice(latest, 1, None), strict=True)
    ]


@pytest.mark.parametrize("kind", [World, Strict], ids=["all-apply", "some-cannot"])
def test_the_rows_are_those_of_a_store_that_has_read_only_up_to_there(
    urls: tuple[str, str], tmp_path: Path, kind: type[World]
) -> None:
    """However the log was cut into batches; and when the rest is read again, nothing tells of it."""
    world, other = kind(urls[0], tmp_path / "schemas"), kind(urls[1], tmp_path / "schemas")

    # Not shrunk, and all is drawn before a store is touched: the stores go on from one log to the next.
    @given(st.data())
    @settings(
        max_examples=LOGS[world.kind],
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    def check(data: st.DataObject) -> None:
        world.owned, other.owned = world.claim(), other.claim()
        marks = world.owned.mark, other.owned.mark
        log = data.draw(logs(world.topic, 0, max(m.next_offset for m in marks), max(m.watermark for m in marks)))
        if not log.records:
            return
        cuts = data.draw(st.sets(st.integers(0, 12)))
        bad = {r.offset for r in log.records if data.draw(st.integers(0, 15)) == 0} if kind is Strict else set()
        records = onward([broken(r) if r.offset in bad else r for r in log.records], max(m.watermark for m in marks))
        offset = data.draw(st.sampled_from([records[0].offset, *(r.offset for r in records), records[-1].offset + 1]))
        world.apply(records, cuts, set(), 32)
        before = [record for record in records if record.offset < offset]
        if before:
            other.apply(before, set(), set(), 32)
        whole = rows(world)
        zombie = world.owned
        back = roll_back(world.projection, world.store, 0, offset, "tried")
        assert back.stood == zombie.mark.next_offset
        check_same(rows(world), rows(other))
        with pytest.raises(Fenced), world.store.batch(zombie.claim, offset, zombie.mark):
            pass
        world.owned, other.owned = world.claim(), other.claim()
        assert world.owned.mark.next_offset == offset
        after = [record for record in records if record.offset >= offset]
        if after:
            world.apply(after, cuts, set(), 32)
            other.apply(after, set(), set(), 32)
        assert rows(world)["versions"] == whole["versions"]

    check()


def test_an_id_that_was_used_twice_is_a_conflict_again(urls: tuple[str, str], tmp_path: Path) -> None:
    """Also where the second event is the later one, so that nothing but its id tells."""
    world, other = World(urls[0], tmp_path / "schemas"), World(urls[1], tmp_path / "schemas")
    writer = Writer(world.topic)
    records = [
        writer.record(offset, "e", Noted(text=str(offset)), occurred_at=offset, event_id=event_id)
        for offset, event_id in enumerate(["x", "x", "y"])
    ]
    world.apply(records, set(), set(), 32)
    other.apply(records[:2], set(), set(), 32)
    roll_back(world.projection, world.store, 0, 2, "tried")
    check_same(rows(world), rows(other))
    assert [row["event_id"] for row in rows(world)["conflicts"]] == ["x"]


def test_it_goes_back_only(urls: tuple[str, str], tmp_path: Path) -> None:
    """A partition that was never read, or stands in front of the offset, is refused, and nothing is changed."""
    world = World(urls[0], tmp_path / "schemas")
    for partition, offset, said in ((0, 1, "can only go back"), (7, 0, "was never read")):
        with pytest.raises(ArgumentError, match=said):
            roll_back(world.projection, world.store, partition, offset, "tried")
    with open_store(urls[0]).batch(world.owned.claim, 0, world.owned.mark):
        pass
