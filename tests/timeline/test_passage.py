"""Records that cannot be applied, against the oracle: which are applied, which wait, and what is answered then."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from everwhen.errors import HandlerError, MalformedRecord
from everwhen.instants import MIN_MICROS
from everwhen.projection import (
    Coming,
    Late,
    Loaded,
    Passage,
    Tally,
    Timeline,
    Unread,
    Waiting,
    place,
    straight,
)
from everwhen.projection.rows import Changes, Version
from tests import oracle
from tests.longer import times
from tests.oracle import Entry
from tests.timeline.test_timeline import INSTANTS, Rows, arrival, cut, logs

UNREADABLE = "unreadable"


def reduce(state: Any, event: Any) -> Any:
    """Events of three kinds: one begins a life, one ends it, and the others need one; a life holds at most three."""
    if event == "delete":
        return None
    if event == "open":
        return ["open"]
    if state is None or len(state) > 3:
        raise ValueError
    return [*state, event]


def fold(state: str | None, row: Version) -> str | None:
    """Fold as a projection would: JSON in, JSON out."""
    try:
        after = reduce(None if state is None else json.loads(state), json.loads(row.event))
    except ValueError as error:
        raise HandlerError("a handler raised") from error
    return None if after is None else json.dumps(after)


KINDS = ("plain", "plain", "plain", "open", "open", "delete", "correct", "retract")
"""Many bases are not good then."""


def coming(entry: Entry) -> Coming:
    """The record of an entry."""
    if entry.event == UNREADABLE:
        return Unread(0, entry.offset, entry.recorded_at, MalformedRecord("unreadable"))
    return arrival(entry)


class Store(Rows):
    """A store in a few lines that keeps records aside too."""

    def __init__(self, late: Late = "refold") -> None:
        super().__init__(late)
        self.queue: list[Waiting] = []

    def take(self, batch: Sequence[Entry], depth: int) -> None:
        """Apply a batch as the worker does."""
        records = [coming(entry) for entry in batch]
        arrivals = [each for each in records if not isinstance(each, Unread)]
        if self.queue or len(arrivals) < len(records):
            return self.pass_through(records, self.queue, depth)
        changes, tally = Changes(), Tally()
        timeline = Timeline("e", self.loaded(arrivals), fold, depth, changes, tally, self.late)
        if not straight(timeline, arrivals, changes, tally):
            assert changes == Changes()
            assert tally == Tally()
            return self.pass_through(records, [], depth)
        self.tally.add(tally)
        self.execute(changes)
        return None

    def retry(self, depth: int) -> None:
        """Try what waits again, as if the entity was not parked."""
        self.pass_through([each.coming for each in self.queue], [], depth)

    def pass_through(self, records: Sequence[Coming], waiting: Sequence[Waiting], depth: int) -> None:
        """Take records that may not be applicable."""
        arrivals = [each for each in (*(w.coming for w in waiting), *records) if not isinstance(each, Unread)]
        passage = Passage("e", self.loaded(arrivals), fold, depth, self.late, waiting)
        passage.take(records)
        changes = Changes()
        passage.finish(changes, self.tally)
        self.queue = list(passage.waiting)
        self.execute(changes)


def answers(rows: Rows, instant: int, basis: int) -> bool:
    """Whether the rows themselves say what was believed."""
    assert rows.head is not None
    parked = rows.head.quarantined_offset
    return rows.is_stored(instant, basis) or (parked is not None and basis > parked)


@given(logs(KINDS), st.lists(st.integers(0, 14)), st.sampled_from([0, 1, 2, 100]))
@settings(max_examples=times(420), deadline=None)
def test_rows_are_those_of_the_last_good_basis(log: list[Entry], cuts: list[int], depth: int) -> None:
    """At every instant and basis that is stored; and the entity is parked where the definition says, at every batch."""
    store = Store()
    seen = 0
    for batch in cut(log, cuts):
        store.take(batch, depth)
        seen += len(batch)
        now = log[seen - 1].offset + 1
        good = oracle.good_basis(log, now, reduce)
        head = store.head
        assert head is not None
        parked = None if good == now else next(entry for entry in log if entry.offset >= good)
        assert head.quarantined_offset == (None if parked is None else parked.offset)
        assert head.quarantined_at == (None if parked is None else parked.recorded_at)
        waiting = [] if parked is None else [e.offset for e in log[:seen] if e.offset >= parked.offset]
        assert [each.offset for each in store.queue] == waiting
        for instant in sorted({-1, *(t + d for t in INSTANTS for d in (-1, 0, 1))}):
            for basis in range(now + 1):
                if answers(store, instant, basis):
                    expected = oracle.state(log, instant, oracle.good_basis(log, basis, reduce), reduce)
                    assert store.state(instant, basis) == expected, (instant, basis)


@given(logs(KINDS, UNREADABLE), st.lists(st.integers(0, 14)), st.lists(st.integers(0, 14)))
@settings(max_examples=times(360), deadline=None)
def test_batches_do_not_show(log: list[Entry], cuts: list[int], other: list[int]) -> None:
    """Rows, head, what waits and the counts are the same however the log is cut, and wherever a worker took over."""
    results = []
    for places in (cuts, other, range(14)):
        store = Store()
        for batch in cut(log, list(places)):
            store.take(batch, 100)
        waiting = [(place(each.coming), each.error is None) for each in store.queue]
        results.append((store.versions, store.head, sorted(store.superseded, key=repr), waiting, store.tally))
    assert results[0] == results[2]
    assert results[1] == results[2]


@given(logs(KINDS, UNREADABLE), st.lists(st.integers(0, 14)), st.sampled_from([0, 2, 100]))
@settings(max_examples=times(180), deadline=None)
def test_a_record_that_cannot_be_read_parks_for_good(log: list[Entry], cuts: list[int], depth: int) -> None:
    """No later record helps; retried without it, the rows are those of a log that never had it."""
    store = Store()
    for batch in cut(log, cuts):
        store.take(batch, depth)
    bad = [entry.offset for entry in log if entry.event == UNREADABLE]
    good = oracle.good_basis(log, log[-1].offset + 1, reduce, bad)
    assert store.head is not None
    assert store.head.quarantined_offset == next((e.offset for e in log if e.offset >= good), None)
    store.queue = [each for each in store.queue if not isinstance(each.coming, Unread)]
    store.retry(depth)
    left, rebuilt = [entry for entry in log if entry.offset not in bad], Store()
    for entry in left:
        rebuilt.take([entry], 100)
    states = [{key: row.state for key, row in each.versions.items()} for each in (store, rebuilt)]
    assert states[0] == states[1]
    if left:
        assert rebuilt.head is not None
        same = ("state", "first_valid", "last_valid", "versions", "withdrawals", "quarantined_offset", "failing_valid")
        assert [getattr(store.head, name) for name in same] == [getattr(rebuilt.head, name) for name in same]
    assert [each.offset for each in store.queue] == [each.offset for each in rebuilt.queue]
    if not store.queue:
        for instant, basis in itertools.product((-1, *INSTANTS), range(log[-1].offset + 2)):
            if store.is_stored(instant, basis):
                expected = oracle.state(left, instant, oracle.good_basis(left, basis, reduce), reduce)
                assert store.state(instant, basis) == expected


@given(logs(KINDS), st.lists(st.integers(0, 14)), st.sampled_from([0, 100]))
@settings(max_examples=times(150), deadline=None)
def test_under_append_too(log: list[Entry], cuts: list[int], depth: int) -> None:
    """What waits is put in the order of the log, at the instants that it counts from."""
    store, one_by_one = Store("append"), Store("append")
    for batch in cut(log, cuts):
        store.take(batch, depth)
    for entry in log:
        one_by_one.take([entry], 100)
    placed = oracle.appended(log)
    good = oracle.good_basis(placed, log[-1].offset + 1, reduce)
    assert store.head is not None
    assert store.head.quarantined_offset == next((e.offset for e in log if e.offset >= good), None)
    for instant in (-1, *INSTANTS):
        assert store.state(instant, good) == oracle.state(placed, instant, good, reduce)
    assert {k: row.state for k, row in store.versions.items()} == {
        k: row.state for k, row in one_by_one.versions.items()
    }


def test_a_healed_entity_says_that_beliefs_in_between_are_not_kept() -> None:
    """They were never held; from the record on that healed it, they are."""
    store = Store()
    log = [Entry(3, 30, 20, "a", "a"), Entry(5, 50, 30, "b", "b"), Entry(8, 80, 10, "c", "open")]
    for entry in log:
        store.take([entry], 100)
    assert store.head is not None
    assert (store.head.unstored_offset, store.head.unstored_at, store.head.unstored_valid) == (8, 80, MIN_MICROS)
    assert (store.tally.parked, store.tally.healed, store.tally.applied) == (2, 2, 3)
    assert {row.made_offset for row in store.versions.values()} == {8}
    assert store.state(30, 9) == ["open", "a", "b"]


def test_what_cannot_help_is_not_tried() -> None:
    """Or each record behind one that fails would cost a fold of the entity."""
    folded: list[str] = []

    def counted(state: str | None, row: Version) -> str | None:
        folded.append(row.event_id)
        return fold(state, row)

    passage = Passage("e", Loaded(), counted, 32)
    passage.take([arrival(Entry(n, 0, 10 * n, f"e{n}", "plain")) for n in range(1, 50)])
    assert len(passage.waiting) == 49
    assert len(folded) < 20
