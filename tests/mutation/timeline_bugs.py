"""Bugs in the timeline: what an event does to the rows of its entity."""

from __future__ import annotations

from functools import partial

from tests.mutation.bug import Bug
from tests.mutation.selections import (
    APPEND,
    BELIEFS,
    BOUNDS,
    EDGES,
    EVENTS,
    HEAD,
    REPEATED,
    USED_ID,
)

_bug = partial(Bug, file="projection/timeline.py")
_rows = partial(Bug, file="projection/rows.py")
_arrival = partial(Bug, file="projection/arrival.py")

_PLACES = [
    _bug(
        "events at one instant are ordered by offset backwards",
        before="    return row.valid_from, row.offset\n",
        after="    return row.valid_from, -row.offset\n",
        tests=(BELIEFS,),
    ),
    _bug(
        "of several events at one instant only the last is folded",
        before="        if not self._rows or _key(self._rows[-1]) < key:\n",
        after="        if self._rows and self._rows[-1].valid_from == row.valid_from:\n"
        "            self._rows[-1] = row\n"
        "        elif not self._rows or _key(self._rows[-1]) < key:\n",
        tests=(BELIEFS,),
    ),
    _bug(
        "a late event before the first one changes nothing after it",
        before="            self._refold(key, key, row)\n",
        after="            if rows[0] is row:\n"
        "                rows[0] = row._replace(state=self._fold(self._floor_state, row))\n"
        "            else:\n"
        "                self._refold(key, key, row)\n",
        tests=(BELIEFS,),
    ),
    _arrival(
        "only the versions from the last of several late events on are loaded",
        before="    return min(touched, default=None)\n",
        after="    return max(touched, default=None)\n",
        tests=(BELIEFS,),
    ),
    _arrival(
        "the versions from a withdrawn event on are not loaded",
        before=" is not None and target.live:\n",
        after=" is not None and not target.live:\n",
        tests=(BELIEFS,),
    ),
    _bug(
        "the version before the loaded ones loses its state",
        before="            self._floor_valid, self._floor_state = floor.valid_from, floor.state\n",
        after="            self._floor_valid, self._floor_state = floor.valid_from, None\n",
        tests=(BELIEFS,),
    ),
    _bug(
        "a version at the earliest instant that is touched is taken for the one before it",
        before="        if self._rows and self._rows[0].valid_from < since:\n",
        after="        if self._rows and self._rows[0].valid_from <= since:\n",
        tests=(BELIEFS,),
    ),
    _bug(
        "a fold from the first version on starts from the latest state",
        before="        self._floor_valid = self._floor_state = None\n",
        after="        self._floor_valid = None\n",
        tests=(BELIEFS,),
    ),
    _bug(
        "the state is forgotten from one batch to the next",
        before="        self._floor_state = head.state if head is not None else None\n",
        after="        self._floor_state = None\n",
        tests=(BELIEFS,),
    ),
    _bug(
        "a new life inherits the state before the deletion",
        before="            before = rows[-2].state if len(rows) > 1 else self._floor_state\n",
        after="            before = next((r.state for r in rows[-2::-1] if r.state is not None), self._floor_state)\n",
        tests=(BELIEFS,),
    ),
    _bug(
        "versions that were folded again are not written",
        before="            changes.updated += [",
        after="            _ = [",
        tests=(BELIEFS,),
    ),
    _bug(
        "records of a second partition are taken",
        before="        elif self._partition != row.partition:\n",
        after="        elif False:\n",
        tests=(BOUNDS + "test_an_entity_in_two_partitions_is_refused",),
    ),
    _bug(
        "under append a late event counts from the first instant",
        before="        latest = self._rows[-1].valid_from if self._rows else self._floor_valid\n",
        after="        latest = self._rows[0].valid_from if self._rows else self._floor_valid\n",
        tests=(APPEND,),
    ),
    _bug(
        "under append a late event that is first in its batch counts from its own instant",
        before="        latest = self._rows[-1].valid_from if self._rows else self._floor_valid\n",
        after="        latest = self._rows[-1].valid_from if self._rows else None\n",
        tests=(APPEND,),
    ),
]

_REPEATED = [
    _bug(
        "a duplicate is told by its offset, not by its id",
        before="        known = self._known.get(row.event_id)\n",
        after="        known = self._known.get(str(row.offset))\n",
        tests=(BELIEFS,),
    ),
    _bug(
        "a duplicate in the same batch is folded again",
        before="        self._known[row.event_id] = Known.of(",
        after="        self._known[str(row.offset)] = Known.of(",
        tests=(BELIEFS,),
    ),
    _bug(
        "an id that comes again with another payload is a duplicate",
        before="known.has_content_of(row) and",
        after="(known.event_type, known.withdraws) == (row.event_type, row.withdraws) and",
        tests=(EDGES + "test_the_same_id_with_another_payload_is_recorded_as_a_conflict",),
    ),
    _bug(
        "an id that comes again at another instant is a duplicate",
        before=" and (not placed or known.valid_from == row.valid_from):\n",
        after=":\n",
        tests=(EDGES + "test_the_same_id_at_another_instant_is_recorded_as_a_conflict",),
    ),
    _bug(
        "an id that comes again and withdraws another event is a duplicate",
        before="known.has_content_of(row) and",
        after="(known.event_type, known.event) == (row.event_type, row.event) and",
        tests=(USED_ID,),
    ),
    _bug(
        "the same retraction decided again is a conflict",
        before="        placed = contributes and not self._appends\n",
        after="        placed = not self._appends\n",
        tests=(USED_ID,),
    ),
    _bug(
        "under append the same event again is a conflict",
        before="        placed = contributes and not self._appends\n",
        after="        placed = contributes\n",
        tests=(BOUNDS + "test_under_append_an_event_that_comes_again_is_a_duplicate",),
    ),
]

_WITHDRAWALS = [
    _bug(
        "a withdrawn event still counts",
        before="                del self._rows[index]\n",
        after="",
        tests=(BELIEFS,),
    ),
    _bug(
        "a withdrawn event counts at no earlier basis either",
        before="Superseded(row, by.offset, by.recorded_at, withdrawn=True)",
        after="Superseded(row, row.made_offset, by.recorded_at, withdrawn=True)",
        tests=(BELIEFS,),
    ),
    _bug(
        "a withdrawn event is kept as one that was folded again",
        before="Superseded(row, by.offset, by.recorded_at, withdrawn=True)",
        after="Superseded(row, by.offset, by.recorded_at, withdrawn=False)",
        tests=(EVENTS,),
    ),
    _bug(
        "a withdrawal that comes before its target is forgotten",
        before="        if row.event_id in self._withdrawn:\n            # Believed",
        after="        if False:\n            # Believed",
        tests=(BELIEFS,),
    ),
    _bug(
        "a withdrawal that comes before its target in the same batch is forgotten",
        before="        self._withdrawn.setdefault(by.withdraws, by.offset)\n",
        after="",
        tests=(BELIEFS,),
    ),
    _bug(
        "an event that was withdrawn before it came is not kept",
        before="self._changes.superseded.append(Superseded(row, row.offset, row.recorded_at, withdrawn=True))",
        after="pass",
        tests=(BOUNDS + "test_an_event_that_was_withdrawn_before_it_came_is_kept_for_its_bytes",),
    ),
    _bug(
        "a correction only withdraws",
        before="        inserted = self._insert(row) if contributes else None\n",
        after="        inserted = self._insert(row) if contributes and row.withdraws is None else None\n",
        tests=(BELIEFS,),
    ),
    _bug(
        "a correction counts where its target stood",
        before="        if contributes and self._appends:\n",
        after="        if withdrawn is not None:\n"
        "            row = row._replace(valid_from=withdrawn[0])\n"
        "        if contributes and self._appends:\n",
        tests=(BELIEFS,),
    ),
    _bug(
        "a correction folds again from its own instant on, not from that of its target",
        before="withdrawn if inserted is None else min(withdrawn, inserted)",
        after="withdrawn if inserted is None else inserted",
        tests=(BELIEFS,),
    ),
    _bug(
        "folding again stops at an equal state though a correction was put in after it",
        before="max(withdrawn, _key(row)), row)",
        after="withdrawn, row)",
        tests=(BELIEFS,),
    ),
    _bug(
        "an entity's withdrawals are not counted",
        before="        self._withdrawals += 1\n",
        after="",
        tests=(HEAD,),
    ),
]

_BELIEFS = [
    _bug(
        "what was believed before ends an offset early",
        before="ended.append(Superseded(row, by.offset, by.recorded_at, withdrawn=False))",
        after="ended.append(Superseded(row, by.offset - 1, by.recorded_at, withdrawn=False))",
        tests=(BELIEFS,),
    ),
    _bug(
        "what was believed before ends where the event itself stands",
        before="ended.append(Superseded(row, by.offset, by.recorded_at, withdrawn=False))",
        after="ended.append(Superseded(row, row.offset, by.recorded_at, withdrawn=False))",
        tests=(BELIEFS,),
    ),
    _bug(
        "a state that was folded again seems to be as old as its event",
        before="row = row.refolded(state, by)",
        after="row = row._replace(state=state)",
        tests=(BELIEFS,),
    ),
    _bug(
        "a batch keeps one belief more than its depth",
        before="                if self._kept + len(ended) == self._depth:\n",
        after="                if self._kept + len(ended) > self._depth:\n",
        tests=(BOUNDS + "test_a_batch_keeps_no_more_beliefs_than_its_depth",),
    ),
    _bug(
        "the depth counts for each late event, not for the batch",
        before="        self._kept += len(ended)\n",
        after="",
        tests=(BOUNDS + "test_a_batch_keeps_no_more_beliefs_than_its_depth",),
    ),
    _bug(
        "a late event while folding is put off does not move its beginning",
        before="min(start[0], before.valid_from), by)",
        after="before.valid_from, by)",
        tests=(BELIEFS,),
    ),
    _bug(
        "an event in order that begins before a put-off fold is left without a state",
        before="self._deferred = self._deferred._replace(valid_from=min(key[0], self._deferred.valid_from))",
        after="pass",
        tests=(BELIEFS.rpartition("::")[0] + "::test_an_event_in_order_while_folding_is_put_off_is_folded_too",),
    ),
    _bug(
        "beliefs are said to be kept from the first put-off event on, not from the last",
        before="min(start[0], before.valid_from), by)",
        after="min(start[0], before.valid_from), by if before is None else before.by)",
        tests=(BELIEFS,),
    ),
    _bug(
        "a put-off fold starts one version late",
        before="        first = bisect_left(self._rows, (deferred.valid_from, -1), key=_key)\n",
        after="        first = bisect_left(self._rows, (deferred.valid_from, -1), key=_key) + 1\n",
        tests=(BELIEFS,),
    ),
    _rows(
        "beliefs not kept by an earlier batch are forgotten: from which instant on",
        before="valid if earlier is None else min(valid, earlier)",
        after="valid",
        tests=(BELIEFS,),
    ),
    _rows(
        "beliefs not kept by a later batch are forgotten: up to which offset",
        before="Unstored(by.offset, by.recorded_at, valid",
        after="Unstored(self.unstored_offset or by.offset, by.recorded_at, valid",
        tests=(BELIEFS,),
    ),
]

_HEADS = [
    _bug(
        "the first instant stays after the first event is withdrawn or preceded",
        before="        if self._floor_valid is not None and head is not None:\n",
        after="        if head is not None and head.first_valid is not None:\n",
        tests=(HEAD,),
    ),
    _bug(
        "the last instant stays after every event is withdrawn",
        before="            last_valid=rows[-1].valid_from if rows else self._floor_valid,\n",
        after="            last_valid=rows[-1].valid_from if rows else head and head.last_valid,\n",
        tests=(HEAD,),
    ),
    _bug(
        "versions that were taken out are still counted",
        before="(head.versions if head is not None else 0) + more",
        after="(head.versions if head is not None else 0) + max(more, 0)",
        tests=(HEAD,),
    ),
    _bug(
        "the lead is not updated",
        before="        self._lead = max(self._lead, row.valid_from - row.recorded_at)\n",
        after="",
        tests=(HEAD,),
    ),
    _bug(
        "the lead is a microsecond short",
        before="        self._lead = max(self._lead, row.valid_from - row.recorded_at)\n",
        after="        self._lead = max(self._lead, row.valid_from - row.recorded_at - 1)\n",
        tests=(HEAD,),
    ),
    _bug(
        "the lead is forgotten from one batch to the next",
        before="        self._lead = head.lead if head is not None else 0\n",
        after="        self._lead = 0\n",
        tests=(HEAD,),
    ),
    _bug(
        "the head of an entity whose batch ends with a duplicate does not move",
        before="        self._last_offset = row.offset\n"
        "        if self._is_repeated(row, contributes):\n"
        "            return\n",
        after="        if self._is_repeated(row, contributes):\n"
        "            return\n"
        "        self._last_offset = row.offset\n",
        tests=(HEAD,),
    ),
    _bug(
        "the next batch lets a parked entity go",
        before="        self._parking = head.parking if head is not None else None\n",
        after="        self._parking = None\n",
        tests=(BOUNDS + "test_what_parks_or_prunes_an_entity_outlives_its_next_batch",),
    ),
    _bug(
        "the next batch forgets that history was pruned",
        before="pruned_before=head.pruned_before if head is not None else None",
        after="pruned_before=None",
        tests=(BOUNDS + "test_what_parks_or_prunes_an_entity_outlives_its_next_batch",),
    ),
    _bug(
        "duplicates are counted as applied",
        before="            self._tally.duplicates += 1\n",
        after="            self._tally.applied += 1\n",
        tests=(REPEATED,),
    ),
]

BUGS = [*_PLACES, *_REPEATED, *_WITHDRAWALS, *_BELIEFS, *_HEADS]
