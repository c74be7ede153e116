"""What a batch may keep and what it must: bounds of the timeline that no answer shows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everwhen.errors import SplitEntity
from everwhen.projection import Loaded, Tally, Timeline
from everwhen.projection.rows import Changes
from tests.oracle import Entry
from tests.timeline.test_timeline import Rows, arrival, cut, fold, logs

ONE_BY_ONE = list(range(14))


@pytest.mark.parametrize("together", [True, False])
def test_an_entity_in_two_partitions_is_refused(together: bool) -> None:
    """Offsets of two partitions have no order: folding both would give a state that a rebuild does not."""
    first, second = arrival(Entry(7, 0, 0, "a", "first")), arrival(Entry(3, 5, 10, "b", "second"))
    changes = Changes()
    timeline = Timeline("e", Loaded(), fold, 32, changes, Tally())
    timeline.apply(first)
    if not together:
        timeline.finish()
        timeline = Timeline("e", Loaded(changes.heads[0]), fold, 32, Changes(), Tally())
    with pytest.raises(SplitEntity, match=r"partition 0 and now in 1"):
        timeline.apply(second._replace(row=second.row._replace(partition=1)))


@given(logs(), st.lists(st.integers(0, 14)), st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_a_batch_keeps_no_more_beliefs_than_its_depth(log: list[Entry], cuts: list[int], depth: int) -> None:
    """Or a history that is loaded in the wrong order would cost the square of its length in rows."""
    rows = Rows()
    for batch in cut(log, cuts):
        before = len(rows.superseded)
        rows.apply(batch, depth)
        assert sum(not each.withdrawn for each in rows.superseded[before:]) <= depth


@pytest.mark.parametrize(("depth", "kept"), [(4, 4), (3, 0)])
def test_a_late_event_keeps_all_the_beliefs_that_it_ends_or_none(depth: int, kept: int) -> None:
    """As many as the depth are kept; one more, and the head says that they are not."""
    rows = Rows()
    rows.apply([Entry(n, n, 10 * n, f"e{n}", f"{n}") for n in range(1, 5)], depth)
    rows.apply([Entry(9, 9, 5, "late", "late")], depth)
    assert len(rows.superseded) == kept
    assert rows.is_stored(50, 9) == bool(kept)
    assert rows.state(50, 10) == ["late", "1", "2", "3", "4"]


@pytest.mark.parametrize("cuts", [[], ONE_BY_ONE])
def test_under_append_an_event_that_comes_again_is_a_duplicate(cuts: list[int]) -> None:
    """Though it counts from a later instant than its own, and is stored with that."""
    log = [Entry(1, 0, 20, "a", "first"), Entry(2, 0, 10, "b", "late"), Entry(3, 5, 10, "b", "late")]
    rows = Rows("append")
    for batch in cut(log, cuts):
        rows.apply(batch, 32)
    assert (rows.tally.applied, rows.tally.duplicates, rows.tally.conflicts) == (2, 1, 0)
    assert rows.state(20, 99) == ["first", "late"]


@pytest.mark.parametrize("cuts", [[], ONE_BY_ONE])
def test_an_event_that_was_withdrawn_before_it_came_is_kept_for_its_bytes(cuts: list[int]) -> None:
    """It is shown among what was withdrawn, believed at no basis, and known when it comes again."""
    log = [
        Entry(1, 0, 0, "r", "gone", "a", contributes=False),
        Entry(2, 0, 10, "a", "wrong"),
        Entry(3, 5, 10, "a", "wrong"),
    ]
    rows = Rows()
    for batch in cut(log, cuts):
        rows.apply(batch, 32)
    (kept,) = rows.superseded
    assert (kept.version.event_id, kept.version.event, kept.withdrawn) == ("a", b'"wrong"', True)
    assert [rows.beliefs(basis) for basis in range(5)] == [[]] * 5
    assert (rows.tally.applied, rows.tally.duplicates) == (2, 1)
    assert rows.head is not None
    assert rows.head.withdrawals == 1


def test_what_parks_or_prunes_an_entity_outlives_its_next_batch() -> None:
    """These marks are not of the timeline's making, and a batch writes the whole head."""
    rows = Rows()
    rows.apply([Entry(1, 0, 0, "a", "first")], 32)
    assert rows.head is not None
    rows.head = rows.head._replace(quarantined_offset=7, quarantined_at=70, pruned_before=-5)
    rows.apply([Entry(2, 5, 10, "b", "second")], 32)
    assert (rows.head.quarantined_offset, rows.head.quarantined_at, rows.head.pruned_before) == (7, 70, -5)
