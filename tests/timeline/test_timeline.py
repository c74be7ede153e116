"""The timeline against the oracle: random logs, cut into random batches, at every breakpoint of both axes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from everwhen.projection import Arrival, Late, Loaded, Tally, Timeline, since
from everwhen.projection.rows import Changes, Head, Known, Superseded, Version, Withdrawal
from tests import oracle
from tests.longer import times
from tests.oracle import Entry

INSTANTS = range(0, 60, 10)


def reduce(state: Any, event: Any) -> Any:
    """Show everything: what was applied and in which order; or delete; or forget the past (so that folds converge)."""
    if event == "delete":
        return None
    if event == "reset":
        return ["reset"]
    return [*(state or []), event]


KINDS = ("plain", "plain", "plain", "plain", "delete", "reset", "correct", "retract")


@st.composite
def logs(draw: st.DrawFn, kinds: Sequence[str] = KINDS, unreadable: str | None = None) -> list[Entry]:
    """Logs of one entity: late, tied, duplicated, corrected and retracted events, clocks that stand still.

    :param kinds: to draw from; ``delete``, ``reset`` and ``open`` are events of their own name.
    :param unreadable: the event that now and then takes the place of another.
    """
    entries: list[Entry] = []
    offset = recorded = 0
    for index in range(draw(st.integers(1, 14))):
        offset += draw(st.integers(1, 2))
        recorded += draw(st.sampled_from([0, 5]))
        event_id = f"e{draw(st.integers(0, index))}" if draw(st.integers(0, 6)) == 0 else f"e{index}"
        kind = draw(st.sampled_from(kinds))
        withdraws = f"e{draw(st.integers(0, 14))}" if kind in ("correct", "retract") else None
        event = kind if kind in ("delete", "reset", "open") else f"{event_id}@{index}"
        if unreadable is not None and draw(st.integers(0, 8)) == 0:
            event = unreadable
        entries.append(
            Entry(offset, recorded, draw(st.sampled_from(INSTANTS)), event_id, event, withdraws, kind != "retract")
        )
    return entries


class Rows:
    """A store in a few lines: it executes changes and answers by the two conditions of a belief."""

    def __init__(self, late: Late = "refold") -> None:
        self.late: Late = late
        self.head: Head | None = None
        self.versions: dict[tuple[int, int], Version] = {}
        self.superseded: list[Superseded] = []
        self.withdrawn: dict[str, int] = {}
        self.withdrawals: list[Withdrawal] = []
        self.by: dict[str, Known] = {}
        self.tally = Tally()

    def apply(self, batch: Sequence[Entry], depth: int) -> None:
        arrivals = [arrival(entry) for entry in batch]
        changes = Changes()
        timeline = Timeline("e", self.loaded(arrivals), fold, depth, changes, self.tally, self.late)
        for each in arrivals:
            timeline.apply(each)
        timeline.finish()
        self.execute(changes)

    def loaded(self, arrivals: Sequence[Arrival]) -> Loaded:
        wanted = {a.row.event_id for a in arrivals} | {a.row.withdraws for a in arrivals}
        known = {k: v for k, v in self.known().items() if k in wanted}
        start = since(self.head, arrivals, known, self.late)
        ordered = [self.versions[key] for key in sorted(self.versions)]
        tail: list[Version] = []
        if start is not None:
            before = [row for row in ordered if row.valid_from < start]
            tail = before[-1:] + [row for row in ordered if row.valid_from >= start]
        return Loaded(self.head, start, tail, known, dict(self.withdrawn))

    def execute(self, changes: Changes) -> None:
        for row in changes.removed:
            del self.versions[row.valid_from, row.offset]
        for row in changes.inserted:
            assert (row.valid_from, row.offset) not in self.versions
            self.versions[row.valid_from, row.offset] = row
        for row in changes.updated:
            assert (row.valid_from, row.offset) in self.versions
            self.versions[row.valid_from, row.offset] = row
        self.superseded += changes.superseded
        self.withdrawals += changes.withdrawals
        for withdrawal in changes.withdrawals:
            self.withdrawn.setdefault(withdrawal.target_id, withdrawal.offset)
            if withdrawal.event_id not in self.known():
                self.by[withdrawal.event_id] = Known(
                    "e",
                    withdrawal.event_id,
                    withdrawal.recorded_at,
                    withdrawal.event_type,
                    withdrawal.event,
                    withdrawal.target_id,
                    live=False,
                )
        (self.head,) = changes.heads

    def known(self) -> dict[str, Known]:
        found = dict(self.by)
        for row in [s.version for s in self.superseded if s.withdrawn]:
            found[row.event_id] = known(row, live=False)
        for row in self.versions.values():
            found[row.event_id] = known(row, live=True)
        return found

    def beliefs(self, basis: int) -> list[Version]:
        held = [row for row in self.versions.values() if row.made_offset < basis]
        held += [s.version for s in self.superseded if s.version.made_offset < basis <= s.ended_offset]
        return sorted(held, key=lambda row: (row.valid_from, row.offset))

    def state(self, valid_at: int, basis: int) -> Any:
        visible = [row for row in self.beliefs(basis) if row.valid_from <= valid_at]
        return json.loads(visible[-1].state) if visible and visible[-1].state is not None else None

    def is_stored(self, valid_at: int, basis: int) -> bool:
        head = self.head
        assert head is not None
        if head.unstored_offset is None or head.unstored_valid is None:
            return True
        return basis > head.unstored_offset or valid_at < head.unstored_valid


def known(row: Version, *, live: bool) -> Known:
    """What is known of an event."""
    return Known("e", row.event_id, row.valid_from, row.event_type, row.event, row.withdraws, live)


def arrival(entry: Entry) -> Arrival:
    """Make the arrival of an oracle's entry."""
    event = json.dumps(entry.event).encode()
    row = Version(
        "e",
        entry.valid_at,
        entry.offset,
        0,
        entry.recorded_at,
        None,
        None,
        entry.event_id,
        "t",
        None,
        None,
        entry.withdraws,
        event,
        None,
    )
    return Arrival(row, entry.contributes)


def fold(state: str | None, row: Version) -> str | None:
    """Fold as a projection would: JSON in, JSON out."""
    after = reduce(None if state is None else json.loads(state), json.loads(row.event))
    return None if after is None else json.dumps(after)


def cut(log: list[Entry], cuts: list[int]) -> list[list[Entry]]:
    """Cut a log into batches."""
    places = sorted({0, len(log), *(c for c in cuts if c < len(log))})
    return [log[a:b] for a, b in itertools.pairwise(places)]


@given(logs(), st.lists(st.integers(0, 14)), st.sampled_from([0, 1, 2, 3, 100]))
@settings(max_examples=times(540), deadline=None)
def test_every_stored_belief_equals_the_oracle_and_every_present_one_is_stored(
    log: list[Entry], cuts: list[int], depth: int
) -> None:
    """At every instant and every basis, what is kept as rows is what the definition says; the newest always is."""
    rows = Rows()
    batches = cut(log, cuts)
    seen = 0
    for batch in batches:
        rows.apply(batch, depth)
        seen += len(batch)
        now = log[seen - 1].offset + 1
        for instant in sorted({-1, *(t + d for t in INSTANTS for d in (-1, 0, 1))}):
            for basis in range(now + 1):
                if rows.is_stored(instant, basis) or basis == now:
                    expected = oracle.state(log, instant, basis, reduce)
                    assert rows.state(instant, basis) == expected, (instant, basis)
                if depth == 100:
                    assert rows.is_stored(instant, basis)


@given(logs(), st.lists(st.integers(0, 14)), st.sampled_from([0, 2, 100]))
@settings(max_examples=times(240), deadline=None)
def test_under_append_log_order_decides(log: list[Entry], cuts: list[int], depth: int) -> None:
    """Every stored belief is that of the log in which no event counts from before those that it comes after."""
    rows = Rows("append")
    for batch in cut(log, cuts):
        rows.apply(batch, depth)
    placed = oracle.appended(log)
    for instant in sorted({-1, *(t + d for t in INSTANTS for d in (-1, 0, 1))}):
        for basis in range(log[-1].offset + 2):
            if rows.is_stored(instant, basis):
                assert rows.state(instant, basis) == oracle.state(placed, instant, basis, reduce), (instant, basis)


@given(logs())
@settings(max_examples=times(120), deadline=None)
def test_under_append_only_withdrawals_change_the_past(log: list[Entry]) -> None:
    """Without corrections and retractions nothing is ever superseded, however late events are."""
    rows = Rows("append")
    for entry in log:
        rows.apply([entry._replace(withdraws=None, contributes=True)], 100)
    assert rows.superseded == []


@given(logs(), st.lists(st.integers(0, 14)), st.sampled_from([0, 2, 100]))
@settings(max_examples=times(240), deadline=None)
def test_the_events_to_fold_are_all_in_the_rows(log: list[Entry], cuts: list[int], depth: int) -> None:
    """Versions and withdrawn beliefs together hold every event, with the offset that withdrew it."""
    rows = Rows()
    for batch in cut(log, cuts):
        rows.apply(batch, depth)
    for basis in range(log[-1].offset + 2):
        kept = {row.offset for row in rows.versions.values() if row.offset < basis}
        kept |= {
            s.version.offset for s in rows.superseded if s.withdrawn and s.version.offset < basis <= s.ended_offset
        }
        assert kept == {entry.offset for entry in oracle.events(log, basis)}


@given(logs(), st.lists(st.integers(0, 14)), st.lists(st.integers(0, 14)))
@settings(max_examples=times(240), deadline=None)
def test_batches_do_not_show_in_what_is_believed_now(log: list[Entry], cuts: list[int], other: list[int]) -> None:
    """However the log is cut, the present states, the head and the counts are the same."""
    results = []
    for places in (cuts, other):
        rows = Rows()
        for batch in cut(log, places):
            rows.apply(batch, 100)
        results.append((rows.versions, rows.head, sorted(rows.superseded, key=repr), rows.tally))
    assert results[0] == results[1]


@given(logs())
@settings(max_examples=times(180), deadline=None)
def test_the_head_describes_the_versions(log: list[Entry]) -> None:
    """Count, first and last instant, state and lead of the head are those of the rows."""
    rows = Rows()
    for entry in log:
        rows.apply([entry], 100)
        ordered = [rows.versions[key] for key in sorted(rows.versions)]
        head = rows.head
        assert head is not None
        assert head.versions == len(ordered)
        assert head.first_valid == (ordered[0].valid_from if ordered else None)
        assert head.last_valid == (ordered[-1].valid_from if ordered else None)
        assert head.state == (ordered[-1].state if ordered else None)
        assert all(row.valid_from - row.recorded_at <= head.lead for row in ordered)
        assert head.last_offset == entry.offset
        assert head.withdrawals == len(rows.withdrawals)


def test_an_id_that_comes_again_is_judged_the_same_in_one_batch_and_in_two() -> None:
    """A retraction under the id of an event that withdrew itself: a conflict, however the log is cut."""
    log = [
        Entry(1, 0, 0, "e0", "first", "e0"),
        Entry(2, 0, 0, "e0", "again", "e0", contributes=False),
        Entry(3, 0, 0, "r", "retraction", "e9", contributes=False),
        Entry(4, 5, 0, "r", "retraction", "e9", contributes=False),
    ]
    for cuts in ([], [1, 2, 3]):
        rows = Rows()
        for batch in cut(log, cuts):
            rows.apply(batch, 100)
        assert (rows.tally.duplicates, rows.tally.conflicts) == (1, 1)


def test_a_withdrawal_under_a_used_id_that_names_another_event_is_a_conflict() -> None:
    """It is recorded and changes nothing; the same withdrawal again is a duplicate, whenever it was decided."""
    log = [
        Entry(1, 0, 0, "a", "first", None),
        Entry(2, 0, 5, "b", "second", None),
        Entry(3, 0, 7, "r", "gone", "a", contributes=False),
        Entry(4, 0, 8, "r", "gone", "a", contributes=False),
        Entry(5, 0, 9, "r", "gone", "b", contributes=False),
        Entry(6, 0, 9, "c", "third", "x"),
        Entry(7, 0, 9, "c", "third", "b"),
    ]
    for cuts in ([], [1, 2, 3, 4, 5, 6]):
        rows = Rows()
        for batch in cut(log, cuts):
            rows.apply(batch, 100)
        assert (rows.tally.duplicates, rows.tally.conflicts) == (1, 2)
        assert rows.state(10, 99) == ["second", "third"]


def test_an_event_in_order_while_folding_is_put_off_is_folded_too() -> None:
    """Though all that the fold was put off for was withdrawn, and the event begins before it."""
    log = [Entry(n, 0, 10 * n, f"e{n}", f"{n}") for n in (1, 2, 3)]
    late = Entry(4, 0, 15, "late", "late")
    gone = [Entry(5 + n, 0, 0, f"r{n}", "gone", of, contributes=False) for n, of in enumerate(("e2", "e3", "late"))]
    rows = Rows()
    rows.apply(log, 0)
    rows.apply([late, *gone, Entry(9, 0, 12, "last", "last")], 0)
    assert rows.state(12, 10) == ["1", "last"]
