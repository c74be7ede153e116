"""What is asked of a store after a log, and compared with the oracle."""

from __future__ import annotations

import itertools
import json
from typing import Any

from everwhen.instants import from_micros
from everwhen.reader import History, Status
from tests import oracle
from tests.axes.logs import Log, reduce
from tests.axes.world import World, basis_at, instants_around, shown
from tests.ledger import Ledger


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
            basis, known_at = oracle.basis_of(entries, known), from_micros(known)
            expected = [oracle.state(entries, instant, basis, reduce) for instant in instants_around(log)]
            points = [(entity, from_micros(instant)) for instant in instants_around(log)]
            answers = [world.reader.get(entity, valid_at=moment, known_at=known_at) for _, moment in points]
            assert list(map(shown, answers)) == expected, (entity, known)
            assert list(map(shown, world.reader.join(points, known_at=known_at))) == expected, (entity, known)
            check_versions(world.reader.history(entity, known_at=known_at), entries, basis)


def check_history(world: World, log: Log) -> None:
    """Ask for the versions as known now and at every basis."""
    for entity, entries in log.entries.items():
        check_versions(world.reader.history(entity), entries, log.end)
        for offset in sorted({e.offset + 1 for e in entries}):
            check_versions(world.reader.history(entity, basis=basis_at(entries, offset)), entries, offset)


def check_versions(history: History[Ledger], entries: list[oracle.Entry], basis: int) -> None:
    """The versions are the breakpoints of the state."""
    begins = sorted({event.valid_at for event in oracle.events(entries, basis)})
    assert [from_micros(t) for t in begins] == [version.valid_from for version in history]
    ends = [from_micros(t) for t in begins[1:]] + [None] if begins else []
    assert ends == [version.valid_to for version in history]
    for version, begin in zip(history, begins, strict=True):
        state = None if version.state is None else json.loads(version.state.model_dump_json())
        assert state == oracle.state(entries, begin, basis, reduce)


def check_snapshots(world: World, told: list[Log], last: Log) -> None:
    """At every instant of any log: all entities that have a version there, each as the oracle has it.

    As known when the last log ended, by its basis and by its latest recorded time.
    """
    entries = {entity: entries for log in told for entity, entries in log.entries.items()}
    basis = basis_at([entry for each in entries.values() for entry in each], last.end)
    known = max(entry.recorded_at for each in last.entries.values() for entry in each)
    by_basis = dict.fromkeys(entries, last.end)
    by_time = {entity: oracle.basis_of(each, known) for entity, each in entries.items()}
    for instant in sorted({instant for log in told for instant in instants_around(log)}):
        valid_at = from_micros(instant)
        for snapshot, ends in (
            (world.reader.snapshot(valid_at=valid_at, basis=basis, deleted=True), by_basis),
            (world.reader.snapshot(valid_at=valid_at, known_at=from_micros(known), deleted=True), by_time),
        ):
            assert {answer.entity_id: shown(answer) for answer in snapshot} == {
                entity: oracle.state(each, instant, ends[entity], reduce)
                for entity, each in entries.items()
                if any(event.valid_at <= instant for event in oracle.events(each, ends[entity]))
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
