"""What is left of history that was pruned, against the oracle: as it was before, or said to be truncated."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everwhen import At, Status
from everwhen.instants import from_micros, to_micros
from everwhen.ports.pruning import Pruned
from everwhen.reader import Answer
from tests import oracle
from tests.axes.checks import status_of
from tests.axes.logs import Log, logs, reduce
from tests.axes.test_knowledge import document
from tests.axes.world import World, basis_at, instants_around, shown
from tests.ledger import Ledger
from tests.longer import times
from tests.oracle import Entry

LOGS = {"sqlite": times(15), "postgres": times(6)}


class Cut(NamedTuple):
    """An entity that was pruned, by the definition."""

    entries: list[Entry]
    """Up to the first that would change what is settled."""
    before: int
    """Up to which instant it was pruned."""
    at: int
    """The offset that came next in the log when it was pruned."""
    known_at: int
    """The latest recorded time then."""
    refused: Entry | None
    """The first that would change what is settled: the entity is parked in front of it."""
    stored: bool
    """All that was ever believed was kept as rows."""

    def is_whole(self, instant: int, basis: int) -> bool:
        """Whether the answer must be what it was before the pruning."""
        last = [event.valid_at for event in oracle.events(self.entries, basis) if event.valid_at <= instant]
        kept = self.stored and bool(last) and last[-1] >= self.before
        return instant >= self.before and (basis >= self.at or kept)


def cut(world: World, entity: str, entries: list[Entry], before: int, at: int, known_at: int) -> Cut:
    """Say what is left of an entity; under ``late="append"`` the entries are placed already."""
    reach = (e for e in first_of_each(entries) if e.offset >= at)
    refused = next((e for e in reach if is_refused(e, entries, before)), None)
    left = entries if refused is None else [e for e in entries if e.offset < refused.offset]
    head = world.store.reader("ledger").rows(entity).head
    assert head is not None
    assert head.pruned_before == before
    return Cut(left, before, at, known_at, refused, stored=head.unstored_offset is None)


def first_of_each(entries: list[Entry]) -> list[Entry]:
    """The entries without those whose id came before, in their order."""
    return sorted({e.event_id: e for e in reversed(entries)}.values(), key=lambda entry: entry.offset)


def is_refused(entry: Entry, entries: list[Entry], before: int) -> bool:
    """Whether it counts from before the instant, or withdraws an event that does."""
    counts = {e.event_id: e.valid_at for e in oracle.events(entries, entry.offset)}
    was_withdrawn = any(e.withdraws == entry.event_id for e in first_of_each(entries) if e.offset < entry.offset)
    settled = counts.get(entry.withdraws or "", before) < before
    return settled or (entry.contributes and not was_withdrawn and entry.valid_at < before)


def check_answer(cut: Cut, answer: Answer[Ledger], instant: int, basis: int) -> None:
    """The oracle's state with its status, or truncated without one."""
    if cut.is_whole(instant, basis) or answer.status is not Status.TRUNCATED:
        expected = oracle.state(cut.entries, instant, basis, reduce)
        parked = cut.refused is not None and basis > cut.refused.offset
        assert instant >= cut.before
        assert shown(answer) == expected, (cut, instant, basis)
        assert answer.status is (Status.QUARANTINED if parked else status_of(cut.entries, instant, basis, expected))
    else:
        assert answer.version is None


def check_points(world: World, log: Log, entity: str, cut: Cut) -> None:
    """Every instant as known at every offset and every recorded time, by get and by a join."""
    entries = log.entries[entity]
    watermark = max(record.timestamp for record in log.records)
    instants = instants_around(log)
    for offset in sorted({e.offset + d for e in entries for d in (0, 1)} | {cut.at}):
        basis = basis_at(entries, offset)
        for instant in instants:
            check_answer(cut, world.reader.get(entity, valid_at=from_micros(instant), basis=basis), instant, offset)
    for known in sorted({e.recorded_at + d for e in entries for d in (-1, 0, 1)} | {cut.known_at}):
        if known > watermark:
            continue
        offset = oracle.basis_of(entries, known)
        points = [(entity, from_micros(instant)) for instant in instants]
        for instant, answer in zip(instants, world.reader.join(points, known_at=from_micros(known)), strict=True):
            if known >= cut.known_at or answer.status is not Status.TRUNCATED:
                check_answer(cut, answer, instant, max(offset, cut.at) if known >= cut.known_at else offset)


def check_history(world: World, entity: str, cut: Cut, end: int) -> None:
    """It begins with the version that was valid at the instant, and says that there was more."""
    for offset in sorted({e.offset + 1 for e in cut.entries} | {cut.at, end}):
        history = world.reader.history(entity, basis=basis_at(cut.entries, offset))
        begins = sorted({event.valid_at for event in oracle.events(cut.entries, offset)})
        begins = [t for t, end in zip(begins, [*begins[1:], None], strict=False) if end is None or end > cut.before]
        parked = cut.refused is not None and offset > cut.refused.offset
        assert history.status is (Status.QUARANTINED if parked else Status.TRUNCATED)
        found = [to_micros(version.valid_from, "") for version in history]
        if offset >= cut.at:
            assert found == begins, (cut, offset)
        assert set(found) <= set(begins)
        for begin, version in zip(found, history, strict=True):
            assert (None if version.state is None else version.state.model_dump()) == oracle.state(
                cut.entries, begin, offset, reduce
            )


def check_audit(world: World, entity: str, cut: Cut) -> None:
    """What it lists was believed; of what is known since the pruning it lists all."""
    beliefs = world.reader.history(entity, audit=True).beliefs
    entries = cut.entries
    for basis in sorted({e.offset + d for e in entries for d in (0, 1)}):
        events = oracle.events(entries, basis)
        held = [b for b in beliefs if b.made_by.offset < basis and (b.ended_by is None or basis <= b.ended_by.offset)]
        for instant in sorted({t + d for e in entries for t in (e.valid_at, cut.before) for d in (-1, 0, 1)}):
            here = [b for b in held if covers(b, instant)]
            if here and instant >= cut.before:
                assert [document(b) for b in here] == [oracle.state(entries, instant, basis, reduce)]
            if instant >= cut.before and basis >= cut.at:
                assert len(here) == any(event.valid_at <= instant for event in events)


def covers(belief: object, instant: int) -> bool:
    """Whether the instant lies in the interval of valid time."""
    begin, end = belief.valid_from, belief.valid_to  # type: ignore[attr-defined]
    return bool(begin <= from_micros(instant) and (end is None or from_micros(instant) < end))


def check_changes(world: World, log: Log, cuts: dict[str, Cut]) -> None:
    """None of which other events count is left out; each is reported from no later than it changed and is there."""
    everything = [entry for cut in cuts.values() for entry in cut.entries]
    for since in sorted({record.offset for record in log.records} | {log.end}):
        with world.reader.changes(basis_at(everything, since)) as changes:
            found = {each.entity_id: to_micros(each.valid_from, "") for each in changes}
        for entity, cut in cuts.items():
            now, then = ({e.event_id: e.valid_at for e in oracle.events(cut.entries, at)} for at in (log.end, since))
            differing = [(now | then)[each] for each in now.keys() ^ then.keys()]
            if differing:
                left = [t for t in now.values() if t < cut.before][-1:] or [cut.before]
                assert found[entity] <= max(min(differing), *left), (cut, since)
            elif since >= cut.at:
                assert entity not in found


def check_reasons(world: World, log: Log, entity: str, cut: Cut) -> None:
    """The events that are listed are those that are left; where an answer is truncated there are none."""
    for instant in instants_around(log):
        found = world.reader.explain(entity, valid_at=from_micros(instant))
        counted = [e for e in oracle.events(cut.entries, log.end) if e.valid_at <= instant]
        floor = [e for e in counted if e.valid_at < cut.before][-1:]
        left = [*floor, *(e for e in counted if e.valid_at >= cut.before)] if instant >= cut.before else []
        assert [fact.event_id for fact in found.events] == [e.event_id for e in left]
        assert found.pruned_before == from_micros(cut.before)
        difference = world.reader.diff(entity, At(valid_at=from_micros(instant)), from_micros(max(log.instants)))
        if instant < cut.before:
            assert (difference.before.status, difference.changes, difference.added) == (Status.TRUNCATED, (), ())


def prune(world: World, before: int) -> Pruned:
    """Prune everything, as the command does."""
    done = Pruned()
    pruning = world.store.pruning("ledger")
    for portion in pruning.portions(before):
        done = done.plus(portion)
    assert pruning.outlook(before)._replace(parked=0) == Pruned()
    return done


def run(world: World, data: st.DataObject) -> None:
    """Draw a log, prune in the middle of it beside a worker that goes on with what it knows, and ask everything."""
    mark = world.owned.mark
    log = data.draw(logs(world.topic, 0, mark.next_offset, mark.watermark, most=16))
    if world.appends:
        log.entries = {entity: oracle.appended(entries) for entity, entries in log.entries.items()}
    depth = data.draw(st.sampled_from([0, 1, 2, 32]), label="depth")
    before = data.draw(st.sampled_from(instants_around(log)), label="before")
    middle = data.draw(st.integers(1, len(log.records)), label="pruned after")
    world.apply(log.records[:middle], data.draw(st.sets(st.integers(0, 12)), label="cuts"), set(), depth)
    at, known_at = world.owned.mark.next_offset, world.owned.mark.watermark
    outlook = world.store.pruning("ledger").outlook(before)
    assert prune(world, before) == outlook
    restarts = data.draw(st.sets(st.integers(0, 12), max_size=2), label="restarts")
    world.apply(log.records[middle:], data.draw(st.sets(st.integers(0, 12)), label="cuts"), restarts, depth)
    cuts = {}
    for entity, entries in log.entries.items():
        if any(e.offset < at and e.contributes and e.valid_at < before for e in first_of_each(entries)):
            cuts[entity] = cut(world, entity, entries, before, at, known_at)
            check_points(world, log, entity, cuts[entity])
            check_history(world, entity, cuts[entity], log.end)
            check_audit(world, entity, cuts[entity])
            check_reasons(world, log, entity, cuts[entity])
        else:
            check_untouched(world, log, entity)
    if cuts:
        check_changes(world, log, cuts)


def check_untouched(world: World, log: Log, entity: str) -> None:
    """An entity without history before the instant is as it would be without the pruning."""
    for instant in instants_around(log):
        answer = world.reader.get(entity, valid_at=from_micros(instant))
        expected = oracle.state(log.entries[entity], instant, log.end, reduce)
        assert shown(answer) == expected
        assert answer.status is status_of(log.entries[entity], instant, log.end, expected)


def test_what_is_left_of_history_is_as_it_was_or_truncated(world: World) -> None:
    """At every breakpoint of both axes, before and after more events come; a worker's caches do not undo it."""

    @given(st.data())
    @settings(max_examples=LOGS[world.kind], deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def check(data: st.DataObject) -> None:
        run(world, data)

    check()
