"""Questions about the axis of knowledge itself against the oracle: audit, changes, explain and diff."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everwhen.instants import from_micros, to_micros
from everwhen.positions import Basis
from everwhen.reader import At, Belief
from tests import oracle
from tests.axes.logs import Log, logs, reduce
from tests.axes.world import World, basis_at, instants_around, shown
from tests.ledger import Ledger
from tests.longer import times

LOGS = {"sqlite": times(50), "postgres": times(20)}


def document(belief: Belief[Ledger]) -> Any:
    """A belief's state as the oracle shows it."""
    return None if belief.state is None else json.loads(belief.state.model_dump_json())


def check_audit(world: World, log: Log) -> None:
    """At every basis and every instant one belief covers the point, and it says what the oracle says; or none does."""
    for entity, entries in log.entries.items():
        beliefs = world.reader.history(entity, audit=True).beliefs
        for basis in sorted({e.offset + d for e in entries for d in (0, 1)}):
            events = oracle.events(entries, basis)
            held = [
                b for b in beliefs if b.made_by.offset < basis and (b.ended_by is None or basis <= b.ended_by.offset)
            ]
            for instant in instants_around(log):
                moment = from_micros(instant)
                here = [b for b in held if b.valid_from <= moment and (b.valid_to is None or moment < b.valid_to)]
                assert len(here) == any(event.valid_at <= instant for event in events), (entity, basis, instant)
                if here:
                    assert document(here[0]) == oracle.state(entries, instant, basis, reduce)
        for known in sorted({e.recorded_at + d for e in entries for d in (-1, 0, 1)}):
            believed = [
                b
                for b in beliefs
                if to_micros(b.known_from, "") <= known and (b.known_to is None or known < to_micros(b.known_to, ""))
            ]
            events = oracle.events(entries, oracle.basis_of(entries, known))
            assert sorted(to_micros(b.valid_from, "") for b in believed) == sorted({e.valid_at for e in events})


def check_changes(world: World, log: Log, since: int) -> None:
    """Exactly the entities of which other events count, each from the earliest of these on, with what is true now."""
    instant = max(log.instants)
    expected = {}
    for entity, entries in log.entries.items():
        before, after = ({e.event_id: e for e in oracle.events(entries, basis)} for basis in (since, log.end))
        differing = [e.valid_at for e in (before | after).values() if (e.event_id in before) != (e.event_id in after)]
        if differing:
            expected[entity] = (from_micros(min(differing)), oracle.state(entries, instant, log.end, reduce))
    everything = [entry for entries in log.entries.values() for entry in entries]
    with world.reader.changes(basis_at(everything, since), valid_at=from_micros(instant)) as changes:
        found = {each.entity_id: (each.valid_from, shown(each.answer)) for each in changes}
    assert found == expected
    with world.reader.changes(changes.basis) as more:
        assert list(more) == []


def check_reasons(world: World, log: Log, a: tuple[int, int], b: tuple[int, int]) -> None:
    """What is folded at two points, what was withdrawn, and what makes the difference between the two."""
    for entity, entries in log.entries.items():
        folded = []
        points = []
        for instant, offset in (a, b):
            events = [e for e in oracle.events(entries, offset) if e.valid_at <= instant]
            points.append(At(valid_at=from_micros(instant), basis=basis_at(entries, offset)))
            explanation = world.reader.explain(entity, valid_at=points[-1].valid_at, basis=points[-1].basis)
            assert [fact.event_id for fact in explanation.events] == [event.event_id for event in events]
            assert [fact.event for fact in explanation.events] == [event.event for event in events]
            applied = {e.event_id: e for e in reversed(entries) if e.offset < offset}
            withdrawing = sorted(e.offset for e in applied.values() if e.withdraws is not None)
            assert [each.position.offset for each in explanation.withdrawn] == withdrawing
            for each in explanation.withdrawn:
                target = applied.get(each.target_id)
                known = target is not None and target.contributes
                assert (each.target is not None) == known
            folded.append([event.event_id for event in events])
        diff = world.reader.diff(entity, *points)
        assert [fact.event_id for fact in diff.added] == [each for each in folded[1] if each not in folded[0]]
        assert [fact.event_id for fact in diff.removed] == [each for each in folded[0] if each not in folded[1]]
        states = [oracle.state(entries, instant, offset, reduce) for instant, offset in (a, b)]
        assert bool(diff.changes) == (states[0] != states[1])


def run(world: World, data: st.DataObject) -> None:
    """Draw a log, apply it in random batches with restarts, and ask everything about what was known."""
    mark = world.owned.mark
    log = data.draw(logs(world.topic, 0, mark.next_offset, mark.watermark))
    if world.appends:
        log.entries = {entity: oracle.appended(entries) for entity, entries in log.entries.items()}
    cuts = data.draw(st.sets(st.integers(0, 12)), label="cuts")
    depth = data.draw(st.sampled_from([0, 1, 2, 32]), label="depth")
    world.apply(log.records, cuts, set(), depth)
    if not log.entries:
        return
    check_audit(world, log)
    offsets = [log.records[0].offset, *(record.offset + 1 for record in log.records)]
    for since in offsets:
        check_changes(world, log, since)
    points = st.tuples(st.sampled_from(instants_around(log)), st.sampled_from(offsets))
    check_reasons(world, log, data.draw(points, label="a"), data.draw(points, label="b"))


def test_every_question_about_knowledge_equals_the_oracle(world: World) -> None:
    """Audit at every breakpoint of both axes; changes since every basis; reasons and differences at random points."""

    @given(st.data())
    @settings(max_examples=LOGS[world.kind], deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def check(data: st.DataObject) -> None:
        run(world, data)

    check()


def test_changes_since_the_beginning_are_everything_once(world: World) -> None:
    """No basis, or one of nothing: every entity that has an event, in the order of their ids."""
    with world.reader.changes() as changes:
        everything = [each.entity_id for each in changes]
    assert everything == sorted(set(everything))
    with world.reader.changes(Basis.of("ledger", {})) as changes:
        assert [each.entity_id for each in changes] == everything
