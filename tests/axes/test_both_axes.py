"""Store and reader against the oracle, on both databases: every breakpoint of both axes and a microsecond beside it."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everwhen import Basis, Projection, Reader, Topic
from everwhen.connect import open_store
from everwhen.instants import from_micros
from everwhen.ports.log import Record, TopicDescription
from everwhen.ports.store import Store
from everwhen.positions import Mark
from everwhen.reader import Answer, Status
from everwhen.worker import blueprint
from everwhen.worker.projector import Owned, Projector
from tests import ledger, oracle
from tests.axes.logs import Log, logs, reduce
from tests.ledger import Ledger

LONGER = int(os.environ.get("EVERWHEN_TEST_LONGER", "1"))
"""How many times as many logs as usual."""
EXAMPLES = {"sqlite": 60 * LONGER, "postgres": 30 * LONGER}


class World:
    """One store that many random logs go through, one after the other, each with entities of its own."""

    def __init__(self, url: str, schemas: Path) -> None:
        self.url = url
        self.topic: Topic = ledger.topic(schemas, partitions=1)
        self.projection: Projection[Ledger] = ledger.projection(self.topic)
        self.store: Store = open_store(url)
        self.reader = Reader(self.projection, url)
        self.generation = self.store.prepare(blueprint(self.projection))
        self.owned = self.claim()

    def claim(self) -> Owned:
        description = TopicDescription("ledger", 1, "cluster", "topic")
        return Owned(self.store.claim(self.generation, [0], description)[0], 10**6)

    def apply(self, records: list[Record], cuts: set[int], restarts: set[int], depth: int) -> None:
        places = sorted({0, len(records), *(c for c in cuts if c < len(records))})
        for number, (start, stop) in enumerate(itertools.pairwise(places)):
            if number in restarts:
                self.owned = self.claim()
            batch = records[start:stop]
            projector = Projector(self.projection, self.store, depth=depth)
            projector.apply(self.owned, batch, batch[-1].offset + 1)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A fresh store of each kind."""
    directory = tmp_path_factory.mktemp("world")
    if request.param == "sqlite":
        made = World(f"sqlite:///{directory}/store.db", directory / "schemas")
    else:
        made = World(request.getfixturevalue("module_postgres_url"), directory / "schemas")
    yield made
    made.store.close()


def shown(answer: Answer[Ledger]) -> Any:
    """An answer's state as the oracle shows it."""
    return None if answer.state is None else json.loads(answer.state.model_dump_json())


def instants_around(log: Log) -> list[int]:
    """Every breakpoint of valid time, and one microsecond to each side."""
    return sorted({t + d for t in log.instants for d in (-1, 0, 1)})


def basis_at(entries: list[oracle.Entry], offset: int) -> Basis:
    """The basis of an answer that was given when everything below the offset was projected."""
    return Basis.of("ledger", {0: Mark(offset, max((e.recorded_at for e in entries if e.offset < offset), default=-1))})


def check_every_basis(world: World, log: Log, asked: list[tuple[str, Answer[Ledger]]]) -> None:
    """Ask at every instant as known at every offset."""
    for entity, entries in log.entries.items():
        for offset in sorted({e.offset for e in entries} | {e.offset + 1 for e in entries}):
            basis = Basis.of(
                "ledger", {0: Mark(offset, max((e.recorded_at for e in entries if e.offset < offset), default=0))}
            )
            for instant in instants_around(log):
                answer = world.reader.get(entity, valid_at=from_micros(instant), basis=basis)
                expected = oracle.state(entries, instant, offset, reduce)
                assert shown(answer) == expected, (entity, offset, instant)
                assert answer.status is status_of(entries, instant, offset, expected)
                asked.append((entity, answer))


def status_of(entries: list[oracle.Entry], instant: int, basis: int, state: Any) -> Status:
    """The status by the definition."""
    events = oracle.events(entries, basis)
    if not events:
        return Status.NEVER_EXISTED
    if events[0].valid_at > instant:
        return Status.BEFORE_FIRST
    return Status.FOUND if state is not None else Status.DELETED


def check_known_at(world: World, log: Log) -> None:
    """Ask at every instant as known at every recorded time that is projected, and one microsecond to each side."""
    watermark = max(entry.recorded_at for entries in log.entries.values() for entry in entries)
    for entity, entries in log.entries.items():
        times = {e.recorded_at + d for e in entries for d in (-1, 0, 1)}
        for known in sorted(time for time in times if time <= watermark):
            basis = oracle.basis_of(entries, known)
            for instant in instants_around(log):
                answer = world.reader.get(entity, valid_at=from_micros(instant), known_at=from_micros(known))
                assert shown(answer) == oracle.state(entries, instant, basis, reduce), (entity, known, instant)


def check_history(world: World, log: Log) -> None:
    """The versions are the breakpoints of the state, as known now and at every basis."""
    for entity, entries in log.entries.items():
        for offset in sorted({e.offset + 1 for e in entries}):
            basis = basis_at(entries, offset)
            events = oracle.events(entries, offset)
            begins = sorted({event.valid_at for event in events})
            versions = list(world.reader.history(entity, basis=basis))
            assert [from_micros(t) for t in begins] == [version.valid_from for version in versions]
            ends = [from_micros(t) for t in begins[1:]] + [None] if begins else []
            assert ends == [version.valid_to for version in versions]
            for version, begin in zip(versions, begins, strict=True):
                state = None if version.state is None else json.loads(version.state.model_dump_json())
                assert state == oracle.state(entries, begin, offset, reduce)


def check_snapshot(world: World, log: Log) -> None:
    """A snapshot is what as many gets would say."""
    for instant in instants_around(log):
        with world.reader.snapshot(valid_at=from_micros(instant), deleted=True) as snapshot:
            found = {answer.entity_id: answer for answer in snapshot if answer.entity_id in log.entries}
        for entity, entries in log.entries.items():
            expected = oracle.state(entries, instant, log.end, reduce)
            assert (entity in found) == any(e.valid_at <= instant for e in oracle.events(entries, log.end))
            if entity in found:
                assert shown(found[entity]) == expected


def run(world: World, data: st.DataObject, check_snapshots: bool) -> None:
    """Draw a log, apply it in random batches with restarts, and ask everything."""
    mark = world.owned.mark
    log = data.draw(logs(world.topic, 0, mark.next_offset, mark.watermark))
    cuts = data.draw(st.sets(st.integers(0, 12)), label="cuts")
    restarts = data.draw(st.sets(st.integers(0, 12), max_size=3), label="restarts")
    depth = data.draw(st.sampled_from([0, 1, 2, 32]), label="depth")
    asked: list[tuple[str, Answer[Ledger]]] = []
    middle = len(log.records) // 2
    world.apply(log.records[:middle], cuts, restarts, depth)
    for entity in log.entries:
        for instant in instants_around(log):
            asked.append((entity, world.reader.get(entity, valid_at=from_micros(instant))))
    world.apply(log.records[middle:], cuts, restarts, depth)
    if not log.entries:
        return
    check_every_basis(world, log, asked)
    check_known_at(world, log)
    check_history(world, log)
    if check_snapshots:
        check_snapshot(world, log)
    for entity, answer in asked:
        again = world.reader.get(entity, valid_at=answer.valid_at, basis=str(answer.basis))
        assert (shown(again), again.status, again.valid_from, again.valid_to) == (
            shown(answer),
            answer.status,
            answer.valid_from,
            answer.valid_to,
        )


def test_every_answer_equals_the_oracle_at_every_breakpoint_of_both_axes(
    world: World, request: pytest.FixtureRequest
) -> None:
    """get, history and snapshot, at every basis and recorded time; every basis asked again gives the same."""
    kind = request.node.callspec.params["world"]

    @given(st.data())
    @settings(max_examples=EXAMPLES[kind], deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def check(data: st.DataObject) -> None:
        run(world, data, check_snapshots=kind == "sqlite")

    check()
