"""The short way of events that follow all that the entity has, against the timeline and the oracle."""

from __future__ import annotations

from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from everwhen.errors import HandlerError
from everwhen.event import Event
from everwhen.projection import Arrival, Late, Sequel, Tally, Timeline, is_plain
from everwhen.projection.rows import Changes, Head, Version
from tests import oracle
from tests.longer import times
from tests.oracle import Entry
from tests.timeline.test_timeline import INSTANTS, Rows, arrival, cut, fold, logs, reduce

STEPS = st.lists(st.integers(0, 3), min_size=1, max_size=14)
CUTS = st.lists(st.integers(0, 14))
EVENT = cast("Event", None)
"""Sequels pass it on to what applies it, which here reads the row."""


def apply(state: str | None, row: Version, event: Event) -> str | None:
    """Fold as a projection would."""
    assert event is EVENT
    return fold(state, row)


def follow(head: Head | None, arrivals: list[Arrival]) -> tuple[list[Version], list[Head]]:
    """Return what a sequel makes of the first of the arrivals, as a worker does."""
    rows: list[Version] = []
    if not is_plain(head, 0):
        return rows, []
    sequel = Sequel("e", 0, head)
    for each in arrivals:
        row = sequel.follow(each.row, EVENT, apply) if each.contributes else None
        if row is None:
            break
        rows.append(Version(*row))
    assert sequel.count == len(rows)
    return rows, [sequel.head()] if rows else []


def refuses(rows: Rows, inserted: list[Version]) -> bool:
    """Say whether a store would take none of these, as an event id comes again."""
    ids = [row.event_id for row in inserted]
    return len(set(ids)) < len(ids) or not rows.known().keys().isdisjoint(ids)


@given(logs(), CUTS, st.sampled_from(["refold", "append"]))
@settings(max_examples=times(300), deadline=None)
def test_what_the_short_way_takes_becomes_what_the_timeline_makes_of_it(
    log: list[Entry], cuts: list[int], late: Late
) -> None:
    """Rows and heads, whatever the entity has already and however the log is cut."""
    rows = Rows(late)
    for batch in cut(log, cuts):
        arrivals = [arrival(entry) for entry in batch]
        inserted, heads = follow(rows.head, arrivals)
        if inserted and not refuses(rows, inserted):
            taken, long = arrivals[: len(inserted)], Changes()
            timeline = Timeline("e", rows.loaded(taken), fold, 32, long, Tally(), late)
            for each in taken:
                timeline.apply(each)
            timeline.finish()
            assert Changes(inserted=inserted, heads=heads) == long
        rows.apply(batch, 32)


@given(logs(), CUTS)
@settings(max_examples=times(300), deadline=None)
def test_a_timeline_goes_on_where_the_short_way_ends(log: list[Entry], cuts: list[int]) -> None:
    """Both together give the answers of the definition, at every instant and every basis."""
    rows = Rows()
    for batch in cut(log, cuts):
        inserted, heads = follow(rows.head, [arrival(entry) for entry in batch])
        if refuses(rows, inserted):
            inserted = []
        if inserted:
            rows.execute(Changes(inserted=inserted, heads=heads))
        if left := batch[len(inserted) :]:
            rows.apply(left, 100)
    for instant in sorted({-1, *(t + d for t in INSTANTS for d in (-1, 0, 1))}):
        for basis in range(log[-1].offset + 2):
            assert rows.state(instant, basis) == oracle.state(log, instant, basis, reduce), (instant, basis)


@given(STEPS, CUTS)
@settings(max_examples=100, deadline=None)
def test_the_short_way_is_taken_by_events_in_the_order_of_time(steps: list[int], cuts: list[int]) -> None:
    """Also where several occurred at one instant, but for the first of a batch. Or it would be tested, never used."""
    rows, at = Rows(), 0
    log = []
    for number, step in enumerate(steps):
        at += step
        log.append(Entry(number, number, at, f"e{number}", "plain"))
    for batch in cut(log, cuts):
        if rows.head is None or rows.head.last_valid != batch[0].valid_at:
            assert len(follow(rows.head, [arrival(entry) for entry in batch])[0]) == len(batch)
        rows.apply(batch, 100)


def test_an_event_that_comes_twice_at_one_instant_is_left_to_the_timeline() -> None:
    """It is the only place where a repetition does not show by its instant."""
    first, second, third = (arrival(Entry(n, 0, 5, event_id, "plain")) for n, event_id in enumerate("aba"))
    assert len(follow(None, [first, second, third])[0]) == 2


def test_an_event_that_cannot_be_folded_ends_it() -> None:
    """What was folded before it stays, and is the state from which a timeline goes on."""

    def failing(state: str | None, row: Version, event: Event) -> str | None:
        if row.event_id == "b":
            raise HandlerError("no")
        return apply(state, row, event)

    sequel = Sequel("e", 0, None)
    row = sequel.follow(arrival(Entry(1, 0, 0, "a", "plain")).row, EVENT, failing)
    assert row is not None
    before = sequel.head()
    assert sequel.follow(arrival(Entry(2, 0, 5, "b", "plain")).row, EVENT, failing) is None
    assert (sequel.count, sequel.head(), before.state) == (1, before, Version(*row).state)
