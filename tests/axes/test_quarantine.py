"""Logs with records that cannot be applied, through both stores: answers, what is kept aside, and a rebuild."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from everwhen import Event, Projection, Status
from everwhen.instants import from_micros
from everwhen.ports.log import Record
from everwhen.reader import Belief
from everwhen.worker.projector import Projector
from tests import ledger, oracle
from tests.axes.logs import Log, logs
from tests.axes.world import World, basis_at, instants_around, shown
from tests.ledger import Ledger, Noted, Reset, Skipped, Wiped
from tests.longer import times

LOGS = {"sqlite": times(25), "postgres": times(8)}


def reduce(state: Any, event: Event) -> Any:
    """Notes need a beginning, and there is room for three."""
    if isinstance(event, Wiped):
        return None
    if isinstance(event, Reset):
        return {"notes": ["reset"]}
    assert isinstance(event, Noted)
    if state is None or len(state["notes"]) > 3:
        raise ValueError
    return {"notes": [*state["notes"], event.text]}


def strict(world: World) -> Projection[Ledger]:
    """The same as a projection."""
    made = Projection("ledger", version=1, topic=world.topic, state=Ledger, ignore=[Skipped, ledger.Poison])

    @made.on(Noted)
    def noted(state: Ledger, event: Noted) -> Ledger:
        if len(state.notes) > 3:
            raise ValueError("no room")
        return Ledger(notes=[*state.notes, event.text])

    @made.on(Wiped)
    def wiped(state: Ledger | None, event: Wiped) -> None:
        return None

    @made.on(Reset)
    def reset(state: Ledger | None, event: Reset) -> Ledger:
        return Ledger(notes=["reset"])

    return made


class Strict(World):
    """A store of the strict projection."""

    def __init__(self, url: str, schemas: Path) -> None:
        super().__init__(url, schemas, made=strict)


def broken(record: Record) -> Record:
    """The record with bytes that nobody can read."""
    return record._replace(value=b"\x02foreign")


def check_answers(world: World, log: Log, bad: set[int]) -> None:
    """At every instant and every basis the state of the last good basis, and whether it is that one."""
    for entity, entries in log.entries.items():
        unread = [entry.offset for entry in entries if entry.offset in bad]
        left = [entry for entry in entries if entry.offset not in bad]
        for offset in sorted({e.offset for e in entries} | {e.offset + 1 for e in entries}):
            basis, good = basis_at(entries, offset), oracle.good_basis(left, offset, reduce, unread)
            is_good = oracle.is_good(left, offset, reduce, unread)
            history = world.reader.history(entity, basis=basis)
            begins = sorted({event.valid_at for event in oracle.events(left, good)})
            assert [from_micros(t) for t in begins] == [version.valid_from for version in history]
            for instant in instants_around(log):
                answer = world.reader.get(entity, valid_at=from_micros(instant), basis=basis)
                assert shown(answer) == oracle.state(left, instant, good, reduce), (entity, offset, instant)
                hidden = not is_good and answer.status is not Status.QUARANTINED
                assert not hidden or is_below_deferred(world, entity, instant), (entity, offset, instant)
                assert is_good == (answer.status is not Status.QUARANTINED) or hidden
            assert (history.status is Status.QUARANTINED) == (not is_good)
            explanation = world.reader.explain(entity, valid_at=from_micros(max(log.instants)), basis=basis)
            assert [fact.event_id for fact in explanation.events] == [
                event.event_id for event in oracle.events(left, good)
            ]


def is_below_deferred(world: World, entity: str, instant: int) -> bool:
    """Whether a batch folded the entity once, for later instants only: then bases in between were not tried."""
    head = world.store.reader("ledger").rows(entity).head
    assert head is not None
    return head.unstored_valid is not None and instant < head.unstored_valid


def check_audit(world: World, log: Log, bad: set[int]) -> None:
    """Every point of both axes lies in the belief of the last good basis."""
    for entity, entries in log.entries.items():
        unread = [entry.offset for entry in entries if entry.offset in bad]
        left = [entry for entry in entries if entry.offset not in bad]
        beliefs = world.reader.history(entity, audit=True).beliefs
        for offset in sorted({e.offset + d for e in entries for d in (0, 1)}):
            good = oracle.good_basis(left, offset, reduce, unread)
            held = [
                b for b in beliefs if b.made_by.offset < offset and (b.ended_by is None or offset <= b.ended_by.offset)
            ]
            for instant in instants_around(log):
                moment = from_micros(instant)
                here = [b for b in held if b.valid_from <= moment and (b.valid_to is None or moment < b.valid_to)]
                assert len(here) == any(event.valid_at <= instant for event in oracle.events(left, good))
                assert [document(b) for b in here] in ([], [oracle.state(left, instant, good, reduce)])


def document(belief: Belief[Ledger]) -> Any:
    """A belief's state as the oracle shows it."""
    return None if belief.state is None else json.loads(belief.state.model_dump_json())


class Mirror:
    """What somebody else keeps who only ever asks what changed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._since: str | None = None
        self.histories: dict[str, list[Any]] = {}

    def follow(self) -> None:
        """Take what changed since the last time: only from where on it is said to have."""
        with self._world.reader.changes(self._since) as changes:
            for change in changes:
                kept = [each for each in self.histories.get(change.entity_id, []) if each[0] < change.valid_from]
                now = [each for each in versions(self._world, change.entity_id) if each[0] >= change.valid_from]
                self.histories[change.entity_id] = kept + now
            self._since = str(changes.basis)

    def check(self, entities: Iterable[str]) -> None:
        """It is the same as what the store has."""
        for entity in entities:
            assert self.histories.get(entity, []) == versions(self._world, entity)


def versions(world: World, entity: str) -> list[Any]:
    """An entity's history."""
    return [(version.valid_from, version.event_id, version.state) for version in world.reader.history(entity)]


def check_kept(world: World, log: Log, bad: set[int]) -> None:
    """All records of an entity from the first one after the last good basis on wait, and no other."""
    expected = []
    for entity, entries in log.entries.items():
        unread = [entry.offset for entry in entries if entry.offset in bad]
        left = [entry for entry in entries if entry.offset not in bad]
        good = oracle.good_basis(left, log.end, reduce, unread)
        if good < log.end:
            first = next(entry.offset for entry in entries if entry.offset >= good)
            of_entity = [r.offset for r in log.records if r.key == entity.encode() and r.offset >= first]
            expected += [(offset, "failed" if offset == first or offset in bad else "waiting") for offset in of_entity]
    kept = world.store.quarantine("ledger").records()
    assert [(row.offset, row.status) for row in kept if row.offset >= log.records[0].offset] == sorted(expected)


def test_answers_are_those_of_the_last_good_basis(urls: tuple[str, str], tmp_path: Path) -> None:
    """However the log is cut, whoever takes over; with bytes that cannot be read too."""
    world = Strict(urls[0], tmp_path / "schemas")

    @given(st.data())
    @settings(max_examples=LOGS[world.kind], deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def check(data: st.DataObject) -> None:
        log = data.draw(logs(world.topic, 0, world.owned.mark.next_offset, world.owned.mark.watermark))
        cuts, restarts = data.draw(st.sets(st.integers(0, 12))), data.draw(st.sets(st.integers(0, 12), max_size=3))
        depth = data.draw(st.sampled_from([0, 1, 32]))
        bad = {r.offset for r in log.records if data.draw(st.integers(0, 15)) == 0}
        bad &= {e.offset for entries in log.entries.values() for e in entries}
        records = [broken(r) if r.offset in bad else r for r in log.records]
        world.apply(records, cuts, restarts, depth)
        if log.entries:
            check_kept(world, log, bad)
            check_answers(world, log, bad)
            check_audit(world, log, bad)

    check()
    world.reader.close()
    world.store.close()


def test_what_was_mended_equals_a_rebuild(urls: tuple[str, str], tmp_path: Path) -> None:
    """Discarded and tried again, entities and the states of versions equal those of a store that had it right."""
    first, second = (Strict(url, tmp_path / "schemas") for url in urls)
    published: list[Record] = []
    mirror = Mirror(first)

    @given(st.data())
    @settings(max_examples=LOGS[first.kind], deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def live(data: st.DataObject) -> None:
        log = data.draw(logs(first.topic, 0, first.owned.mark.next_offset, first.owned.mark.watermark))
        places = sorted({0, len(log.records), *data.draw(st.sets(st.integers(0, len(log.records))))})
        # Drawn before anything is applied: a draw may end the run.
        which = [data.draw(st.integers(0, 3)) for _ in places]
        published.extend(log.records)
        for (start, stop), discarded in zip(itertools.pairwise(places), which, strict=False):
            first.apply(log.records[start:stop], set(), set(), depth=32)
            if discarded != 1:
                mirror.follow()
            discard_some(first, discarded, every=False)
            mirror.follow()
            mirror.check(log.entries)

    live()
    while discard_some(first, 0, every=True):
        mirror.follow()
        mirror.check({record.key.decode() for record in published if record.key})
    gone = {row.offset for row in first.store.quarantine("ledger").records() if row.status == "discarded"}
    second.apply([record for record in published if record.offset not in gone], set(), set(), depth=32)
    assert rows(first) == rows(second)
    for world in (first, second):
        world.reader.close()
        world.store.close()


def discard_some(world: World, which: int, *, every: bool) -> bool:
    """Discard failed records, all or one of four; have the others tried again."""
    asking = world.store.quarantine("ledger")
    failed = [row for row in asking.records() if row.status == "failed"]
    for row in failed:
        if every or row.offset % 4 == which:
            asking.ask("discard", position=(0, row.offset), reason="wrong")
    if failed and not every:
        asking.ask("retry", position=(0, failed[0].offset))
    requests = world.store.requests([world.owned.claim])
    if requests:
        Projector(world.projection, world.store, depth=32).carry_out(world.owned, requests)
    assert world.store.requests([world.owned.claim]) == []
    return bool(failed)


def rows(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """What is believed now, and of which entities."""
    engine = create_engine(world.url)
    prefix = "everwhen_ledger__1_" if engine.dialect.name == "sqlite" else "everwhen.ledger__1_"
    asked = {
        "versions": 'entity_id, valid_from, "offset", event_id, CAST(state AS TEXT)',
        "entities": "entity_id, CAST(state AS TEXT), first_valid, last_valid, versions, withdrawals, failing_valid",
    }
    with engine.connect() as connection:
        found = {
            table: sorted(
                (tuple(row) for row in connection.execute(text(f"SELECT {columns} FROM {prefix}{table}"))), key=repr
            )
            for table, columns in asked.items()
        }
    engine.dispose()
    found["entities"] = [row for row in found["entities"] if row[4] or row[5]]
    return found
