"""What is asked of a store after a log, and compared with the oracle."""

from __future__ import annotations

import itertools
import json
from typing import Any

from everwhen.instants import from_micros
from everwhen.reader import Status
from tests import oracle
from tests.axes.logs import Log, reduce
from tests.axes.world import World, basis_at, instants_around, shown


def check_every_basis(world: World, log: Log) -> None:
    """Ask at every instant as known at every offset."""
    for entity, entries in log.entries.items():
        for offset in sorted({e.offset for e in entries} | {e.offset + 1 for e in entries}):
            basis = basis_at(entries, offset)
            for instant in instants_around(log):
                answer = world.reader.get(entity, valid_at=from_micros(instant), basis=basis)
                expected = oracle.state(entries, instant, offset, reduce)
                assert shown(answer) == expected, (entity, offset, instant)
                assert answer.status is status_of(entries, instant, offset, expected)


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


def check_snapshots(world: World, told: list[Log], end: int) -> None:
    """At every instant of any log: all entities that have a version there at the offset, each as the oracle has it."""
    entries = {entity: entries for log in told for entity, entries in log.entries.items()}
    everything = [entry for each in entries.values() for entry in each]
    for instant in sorted({instant for log in told for instant in instants_around(log)}):
        with world.reader.snapshot(
            valid_at=from_micros(instant), basis=basis_at(everything, end), deleted=True
        ) as snapshot:
            found = {answer.entity_id: shown(answer) for answer in snapshot}
        assert found == {
            entity: oracle.state(each, instant, end, reduce)
            for entity, each in entries.items()
            if any(event.valid_at <= instant for event in oracle.events(each, end))
        }


def check_join(world: World, log: Log, offset: int | None) -> None:
    """A join of all entities and instants says what the oracle says, as known now or at an offset."""
    rows = list(itertools.product(log.entries, instants_around(log)))
    everything = [entry for entries in log.entries.values() for entry in entries]
    basis = None if offset is None else basis_at(everything, offset)
    end = log.end if offset is None else offset
    with world.reader.join(((entity, from_micros(instant)) for entity, instant in rows), basis=basis) as join:
        answers = list(join)
    for (entity, instant), answer in zip(rows, answers, strict=True):
        expected = oracle.state(log.entries[entity], instant, end, reduce)
        assert (answer.entity_id, answer.valid_at) == (entity, from_micros(instant))
        assert shown(answer) == expected, (entity, end, instant)
        assert answer.status is status_of(log.entries[entity], instant, end, expected)
