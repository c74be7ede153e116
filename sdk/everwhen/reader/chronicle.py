"""One entity's stored rows, read as what was known of it and when.

Where a store answers with one seek, this works everything out from all rows of the entity: for beliefs that are not
kept as rows, and for questions about the axis of knowledge itself.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from datetime import datetime
from operator import itemgetter
from typing import NamedTuple

from everwhen.errors import HandlerError
from everwhen.instants import MAX_MICROS, Micros, from_micros
from everwhen.ports.answers import AsOf, EntityRows, HeadRow, VersionRow
from everwhen.positions import Basis, Mark
from everwhen.projection import Arrival, Fold, Loaded, Tally, Timeline
from everwhen.projection.rows import Changes, Head, Superseded, Version, Withdrawal

_EVERYTHING = 2**62
"""As a depth: keep every belief."""


class Step(NamedTuple):
    """A record that changed what counts or what was believed: where it stands, and when it was recorded."""

    offset: int
    recorded_at: Micros


class Belief(NamedTuple):
    """A state over an interval of valid time, and the interval of knowledge in which that was believed."""

    row: Version
    valid_to: Micros | None
    made: Step
    ended: Step | None

    @property
    def ended_at(self) -> Micros | None:
        """The recorded time of the record that ended it."""
        return None if self.ended is None else self.ended.recorded_at


def pruned_before(head: Head | HeadRow | None) -> datetime | None:
    """Return the instant up to which an entity was pruned."""
    return None if head is None or head.pruned_before is None else from_micros(head.pruned_before)


def predates_pruning(head: Head | HeadRow, as_of: AsOf) -> bool:
    """Say whether a point may lie before the records that the entity had when its history was pruned."""
    if head.pruned_offset is None:
        return False
    if as_of.basis is not None and as_of.basis.next_offset(head.partition) <= head.pruned_offset:
        return True
    return as_of.known_at is not None and (head.pruned_at is None or as_of.known_at < head.pruned_at)


class Chronicle:
    """What is stored about one entity.

    :param rows: all of it.
    :param replayed: they were folded again from the events.

    Immutable.
    """

    def __init__(self, rows: EntityRows, *, replayed: bool = False) -> None:
        self.rows = rows
        self._is_replayed = replayed

    def counts(self, as_of: AsOf, offset: int, recorded_at: Micros) -> bool:
        """Say whether a record of the entity is part of what was known."""
        head = self.rows.head
        assert head is not None
        if as_of.basis is not None and offset >= as_of.basis.next_offset(head.partition):
            return False
        return as_of.known_at is None or recorded_at <= as_of.known_at

    def events(self, as_of: AsOf) -> list[Version]:
        """Return the events that counted, in the order of folding. Their states are not those of the belief."""
        return [row for row, ended in self._facts() if self._counted(as_of, row, ended)]

    def withdrawn(self, as_of: AsOf) -> list[Version]:
        """Return the events that were known and withdrawn, in the order of folding."""
        return [
            row
            for row, ended in self._facts()
            if self.counts(as_of, row.offset, row.recorded_at) and not self._counted(as_of, row, ended)
        ]

    def history(self, as_of: AsOf) -> list[VersionRow]:
        """Return the versions that were believed, in order. For rows that are complete: see :meth:`replayed`."""
        believed: list[tuple[Version, Micros | None]] = [
            (row, None) for row in self.rows.versions if self.counts(as_of, *_made(row))
        ]
        believed += [
            (ended.version, ended.ended_at)
            for ended in self.rows.superseded
            if self.counts(as_of, *_made(ended.version)) and not self.counts(as_of, ended.ended_offset, ended.ended_at)
        ]
        believed.sort(key=lambda each: _key(each[0]))
        ends = [*(row.valid_from for row, _ in believed[1:]), None]
        return [
            VersionRow.of(row, valid_to, superseded_at)
            for (row, superseded_at), valid_to in zip(believed, ends, strict=False)
        ]

    def is_good(self, as_of: AsOf, fold: Fold) -> bool:
        """Say whether all that counted can be folded; else the answer is that of the last good basis before."""
        try:
            _folded(self.events(as_of), self._from_floor(fold))
        except HandlerError:
            return False
        return True

    def last_good(self, as_of: AsOf, fold: Fold) -> AsOf:
        """Return the point itself, or the last one before it at which all that counted can be folded."""
        if self.is_good(as_of, fold):
            return as_of
        head, topic = self.rows.head, self.rows.marks.topic
        assert head is not None
        for offset, recorded_at in reversed(self._places()):
            if self.counts(as_of, offset, recorded_at):
                basis = Basis.of(topic, {head.partition: Mark(offset, MAX_MICROS)})
                before = AsOf(as_of.valid_at, basis, as_of.known_at)
                if self.is_good(before, fold):
                    return before
        raise AssertionError("nothing can be folded without an error")

    def fold_at(self, valid_at: Micros, as_of: AsOf, fold: Fold) -> VersionRow | None:
        """Fold what counted up to an instant: the version that was valid there, ``None`` if there was none.

        At a basis that is not good it is that of the last good one before.
        """
        try:
            return self._fold_at(valid_at, as_of, fold)
        except HandlerError:
            rows = self.replayed(fold).history(as_of)
            here = bisect_right(rows, valid_at, key=lambda row: row.valid_from)
            valid_to = rows[here].valid_from if here < len(rows) else None
            return rows[here - 1]._replace(valid_to=valid_to) if here else None

    def _fold_at(self, valid_at: Micros, as_of: AsOf, fold: Fold) -> VersionRow | None:
        events, fold = self.events(as_of), self._from_floor(fold)
        states = _states(events, fold)
        before = [row for row in events if row.valid_from <= valid_at]
        if not before:
            return None
        last = before[-1]._replace(state=states[len(before) - 1])
        valid_to = next((row.valid_from for row in events[len(before) :]), None)
        return VersionRow.of(last, valid_to, self._replaced_at(last, as_of, fold))

    def replayed(self, fold: Fold) -> Chronicle:
        """Fold every record again in the order of the log, so that no belief is missing."""
        changes, fold = Changes(), self._from_floor(fold)
        assert self.rows.head is not None
        timeline = Timeline(self.rows.head.entity_id, Loaded(), fold, _EVERYTHING, changes, Tally())
        try:
            for arrival in self._arrivals():
                timeline.apply(arrival)
            timeline.finish()
        except HandlerError:
            return self._replayed_by_definition(fold)
        rows = self.rows._replace(versions=changes.inserted, superseded=changes.superseded)
        return Chronicle(rows, replayed=True)

    def _replayed_by_definition(self, fold: Fold) -> Chronicle:
        """Fold all that counts at every basis. At one that is not good, what was believed before it is still believed.

        This takes the square of the number of records, and is done only for entities that were parked once.
        """
        believed: dict[tuple[Micros, int], Version] = {}
        superseded: list[Superseded] = [
            ended for ended in self.rows.superseded if ended.withdrawn and ended.ended_offset == ended.version.offset
        ]
        for offset, recorded_at in self._places():
            events = self._events_below(offset + 1)
            try:
                states = _states(events, fold)
            except HandlerError:
                continue
            now = {_key(row): _as_it_came(row)._replace(state=state) for row, state in zip(events, states, strict=True)}
            for key, row in list(believed.items()):
                if key not in now or now[key].state != row.state:
                    superseded.append(Superseded(row, offset, recorded_at, withdrawn=key not in now))
                    del believed[key]
            for key, row in now.items():
                if key not in believed:
                    made_by_itself = row.offset == offset
                    believed[key] = (
                        row if made_by_itself else row._replace(refolded_offset=offset, refolded_at=recorded_at)
                    )
        versions = [believed[key] for key in sorted(believed)]
        return Chronicle(self.rows._replace(versions=versions, superseded=superseded), replayed=True)

    def _places(self) -> list[tuple[int, Micros]]:
        """Every record of the entity that counts or withdraws another, in the order of the log."""
        places = {(row.offset, row.recorded_at) for row, _ in self._facts()}
        places |= {(each.offset, each.recorded_at) for each in self.rows.withdrawals}
        return sorted(places)

    def _events_below(self, offset: int) -> list[Version]:
        return [
            row
            for row, ended in self._facts()
            if row.offset < offset and (ended is None or ended.ended_offset >= offset)
        ]

    def beliefs(self) -> list[Belief]:
        """Return every belief that was ever held, in the order in which they began. For complete rows.

        Each instant is covered at each basis by one of them, or by none before the first event that counted.
        """
        sweep = _Sweep()
        for step, ended, made in self._steps():
            sweep.take(step, ended, made)
        return self._since_pruning(sweep.finish())

    def _since_pruning(self, beliefs: list[Belief]) -> list[Belief]:
        """Leave out what was believed in part because of what is not there any more.

        Of the version that all later ones follow from, and of any that were folded again without what was dropped, it
        is known only that they were believed when it was dropped.
        """
        head = self.rows.head
        if head is None or head.pruned_before is None or head.pruned_offset is None or head.pruned_at is None:
            return beliefs
        pruned, left = Step(head.pruned_offset, head.pruned_at), []
        for each in beliefs:
            is_floor = each.row.valid_from < head.pruned_before
            if is_floor and each.valid_to is not None and each.valid_to <= head.pruned_before:
                continue
            if is_floor or self._is_replayed:
                if each.ended is not None and each.ended <= pruned:
                    continue
                each = each._replace(made=max(each.made, pruned))
            left.append(each)
        return sorted(left, key=lambda belief: (belief.made, belief.row.valid_from))

    def _from_floor(self, fold: Fold) -> Fold:
        """Return how the events are folded that are left: the first one's state is what all before it led to."""
        head, versions = self.rows.head, self.rows.versions
        if head is None or head.pruned_before is None or not versions:
            return fold
        first = min(versions, key=_key)
        if first.valid_from >= head.pruned_before:
            return fold
        return lambda state, row: first.state if row.offset == first.offset else fold(state, row)

    def _facts(self) -> list[tuple[Version, Superseded | None]]:
        """Every event once, in the order of folding, with its ending if it was withdrawn."""
        facts: list[tuple[Version, Superseded | None]] = [(row, None) for row in self.rows.versions]
        facts += [(ended.version, ended) for ended in self.rows.superseded if ended.withdrawn]
        return sorted(facts, key=lambda fact: _key(fact[0]))

    def _counted(self, as_of: AsOf, row: Version, ended: Superseded | None) -> bool:
        return self.counts(as_of, row.offset, row.recorded_at) and (
            ended is None or not self.counts(as_of, ended.ended_offset, ended.ended_at)
        )

    def _replaced_at(self, believed: Version, as_of: AsOf, fold: Fold) -> Micros | None:
        """Find when a later record gave this version another state, or withdrew its event."""
        facts = [fact for fact in self._facts() if _key(fact[0]) <= _key(believed)]
        steps = {Step(row.offset, row.recorded_at) for row, _ in facts}
        steps |= {Step(ended.ended_offset, ended.ended_at) for _, ended in facts if ended is not None}
        for offset, recorded_at in sorted(step for step in steps if not self.counts(as_of, *step)):
            events = [
                row for row, ended in facts if row.offset <= offset and (ended is None or ended.ended_offset > offset)
            ]
            if not events or events[-1].offset != believed.offset or _folded(events, fold) != believed.state:
                _folded(self._events_below(offset + 1), fold)  # at a basis that is not good it would still be believed
                return recorded_at
        return None

    def _arrivals(self) -> list[Arrival]:
        rows = {row.offset: Arrival(_as_it_came(row)) for row, _ in self._facts()}
        for withdrawal in self.rows.withdrawals:
            rows.setdefault(withdrawal.offset, Arrival(_withdrawing(withdrawal), contributes=False))
        return [rows[offset] for offset in sorted(rows)]

    def _steps(self) -> Iterator[tuple[Step, list[Version], list[Version]]]:
        """Yield each record that changed a belief, with the rows that it ended and those that it made."""
        steps: dict[Step, tuple[list[Version], list[Version]]] = {}
        for row in self.rows.versions:
            steps.setdefault(Step(*_made(row)), ([], []))[1].append(row)
        for ended in self.rows.superseded:
            begun, gone = Step(*_made(ended.version)), Step(ended.ended_offset, ended.ended_at)
            if begun != gone:  # else it was withdrawn before it came, and never believed
                steps.setdefault(begun, ([], []))[1].append(ended.version)
                steps.setdefault(gone, ([], []))[0].append(ended.version)
        for step in sorted(steps):
            yield step, *steps[step]


class _Sweep:
    """Goes through the log of one entity and keeps what is believed: states, and the intervals they hold for."""

    def __init__(self) -> None:
        self._rows: list[Version] = []
        self._open: dict[Micros, Belief] = {}
        """By where they begin: one for each instant at which a version begins."""
        self._closed: list[Belief] = []

    def take(self, step: Step, ended: Iterable[Version], made: Iterable[Version]) -> None:
        touched: set[Micros] = set()
        for row in ended:
            del self._rows[bisect_left(self._rows, _key(row), key=_key)]
            touched.add(row.valid_from)
        for row in made:
            insort(self._rows, row, key=_key)
            touched.add(row.valid_from)
        # Where one begins that was not there, or no more, the one before it ends elsewhere.
        before = {self._rows[i - 1].valid_from for t in touched if (i := bisect_left(self._rows, t, key=_valid_from))}
        for instant in touched | before:
            self._settle(instant, step)

    def finish(self) -> list[Belief]:
        return sorted([*self._closed, *self._open.values()], key=lambda b: (b.made, b.row.valid_from))

    def _settle(self, instant: Micros, step: Step) -> None:
        """Close what was believed from an instant on, and open what is believed now, where these differ."""
        after = bisect_left(self._rows, instant + 1, key=_valid_from)
        row = self._rows[after - 1] if after and self._rows[after - 1].valid_from == instant else None
        valid_to = self._rows[after].valid_from if after < len(self._rows) else None
        standing = self._open.get(instant)
        if standing is not None and row is not None and (standing.row, standing.valid_to) == (row, valid_to):
            return
        if standing is not None:
            del self._open[instant]
            self._closed.append(standing._replace(ended=step))
        if row is not None:
            self._open[instant] = Belief(row, valid_to, step, None)


def _key(row: Version) -> tuple[Micros, int]:
    return row.valid_from, row.offset


_valid_from = itemgetter(Version._fields.index("valid_from"))


def _made(row: Version) -> tuple[int, Micros]:
    """Which record made this belief: its offset and recorded time."""
    if row.refolded_offset is None or row.refolded_at is None:
        return row.offset, row.recorded_at
    return row.refolded_offset, row.refolded_at


def _as_it_came(row: Version) -> Version:
    return row._replace(refolded_offset=None, refolded_at=None, state=None)


def _folded(events: Iterable[Version], fold: Fold) -> str | None:
    states = _states(events, fold)
    return states[-1] if states else None


def _states(events: Iterable[Version], fold: Fold) -> list[str | None]:
    """Fold events; return the state after each.

    :raises HandlerError: if the basis at which they count is not good.
    """
    states: list[str | None] = []
    for row in events:
        states.append(fold(states[-1] if states else None, row))
    return states


def _withdrawing(withdrawal: Withdrawal) -> Version:
    """A record that only withdrew, as the timeline takes it."""
    return Version(
        withdrawal.entity_id,
        withdrawal.recorded_at,
        withdrawal.offset,
        withdrawal.partition,
        withdrawal.recorded_at,
        None,
        None,
        withdrawal.event_id,
        withdrawal.event_type,
        None,
        None,
        withdrawal.target_id,
        withdrawal.event,
        None,
    )
