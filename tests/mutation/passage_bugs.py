"""Bugs in parking an entity: what waits, what may help it, and what is believed of it meanwhile."""

from __future__ import annotations

from functools import partial

from tests.mutation.bug import Bug
from tests.mutation.selections import CUTS, LAST_GOOD, PASSAGE

_timeline = partial(Bug, file="projection/timeline.py")
_passage = partial(Bug, file="projection/passage.py")

BUGS = [
    _timeline(
        "of a healed entity beliefs in between are said to be kept",
        before="Unstored(by.offset, by.recorded_at, MIN_MICROS)",
        after="Unstored(by.offset - 1, by.recorded_at, MIN_MICROS)",
        tests=(LAST_GOOD,),
    ),
    _timeline(
        "an event that waited is believed from its own offset on",
        before="            elif row.offset != by.offset:\n",
        after="            elif believed is not None:\n",
        tests=(CUTS, PASSAGE + "test_a_healed_entity_says_that_beliefs_in_between_are_not_kept"),
    ),
    _timeline(
        "a fold that failed is not begun again from where it failed",
        before="self._deferred = self._deferred._replace(valid_from=rows[index].valid_from)",
        after="self._deferred = self._deferred._replace(valid_from=MAX_MICROS)",
        tests=(LAST_GOOD,),
    ),
    _passage(
        "only what withdraws another event can help",
        before="or (arrival.contributes and (row.valid_from, row.offset) < failing)",
        after="or (arrival.contributes and row.valid_from < -1)",
        tests=(LAST_GOOD,),
    ),
    _passage(
        "a withdrawal cannot help",
        before="    return row.withdraws is not None or (",
        after="    return False or (",
        tests=(LAST_GOOD,),
    ),
    _passage(
        "an entity is parked in front of the last record that waits",
        before="        first = place(self.queue[0].coming)\n",
        after="        first = place(self.queue[-1].coming)\n",
        tests=(LAST_GOOD,),
    ),
    _passage(
        "a record that cannot be read is passed over",
        before="        if isinstance(coming, Unread):\n            self._stuck = True\n",
        after="        if isinstance(coming, Unread):\n            self._stuck = False\n",
        tests=(PASSAGE + "test_a_record_that_cannot_be_read_parks_for_good",),
    ),
    _passage(
        "what was applied before a record that fails stays in the batch",
        before="        changes.rewind(marks)\n",
        after="",
        tests=(LAST_GOOD,),
    ),
]
