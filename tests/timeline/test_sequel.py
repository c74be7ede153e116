"""The short way of events that follow all that the entity has, against the timeline."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from everwhen.errors import HandlerError
from everwhen.projection import Late, Loaded, Tally, Timeline, follow
from everwhen.projection.rows import Changes, Version
from tests.longer import times
from tests.oracle import Entry
from tests.timeline.test_timeline import Rows, arrival, cut, fold, logs

INSTANTS = st.lists(st.integers(0, 3), min_size=1, max_size=14)


@given(logs(), st.lists(st.integers(0, 14)), st.sampled_from(["refold", "append"]))
@settings(max_examples=times(300), deadline=None)
def test_the_short_way_adds_nothing_or_what_the_timeline_adds(log: list[Entry], cuts: list[int], late: Late) -> None:
    """Rows, heads and counts, whatever the entity has already and however the log is cut."""
    rows = Rows(late)
    for batch in cut(log, cuts):
        arrivals = [arrival(entry) for entry in batch]
        loaded = rows.loaded(arrivals)
        short, counted = Changes(), Tally()
        taken = follow("e", loaded, arrivals, fold, short, counted)
        long, tally = Changes(), Tally()
        timeline = Timeline("e", loaded, fold, 32, long, tally, late)
        for each in arrivals:
            timeline.apply(each)
        timeline.finish()
        assert (short, counted) == ((long, tally) if taken else (Changes(), Tally()))
        rows.execute(long)


@given(INSTANTS, st.lists(st.integers(0, 14)))
@settings(max_examples=100, deadline=None)
def test_the_short_way_is_taken_by_events_in_the_order_of_time(steps: list[int], cuts: list[int]) -> None:
    """Also where several occurred at one instant; or it would be tested and never used."""
    rows, at = Rows(), 0
    log = []
    for number, step in enumerate(steps):
        at += step
        log.append(Entry(number, number, at, f"e{number}", "plain"))
    for batch in cut(log, cuts):
        arrivals, changes = [arrival(entry) for entry in batch], Changes()
        assert not arrivals or follow("e", rows.loaded(arrivals), arrivals, fold, changes, Tally())
        if arrivals:
            rows.execute(changes)


def test_an_event_that_cannot_be_folded_adds_nothing() -> None:
    """Those before it in the batch are not applied twice, then."""

    def failing(state: str | None, row: Version) -> str | None:
        if row.event_id == "b":
            raise HandlerError("no")
        return fold(state, row)

    arrivals = [arrival(Entry(1, 0, 0, "a", "plain")), arrival(Entry(2, 0, 5, "b", "plain"))]
    changes, tally = Changes(), Tally()
    assert not follow("e", Loaded(), arrivals, failing, changes, tally)
    assert (changes, tally) == (Changes(), Tally())
