"""Bugs in the reader and in the worker's projector: what an answer says, and what the log's records become."""

from __future__ import annotations

from functools import partial

from tests.mutation.bug import Bug
from tests.mutation.selections import DEFINITION, EDGES, FOLDING, OWN_WRITES, PLANE, REPLAY, STATUSES

_answering = partial(Bug, file="reader/answering.py")
_chronicle = partial(Bug, file="reader/chronicle.py")
_projector = partial(Bug, file="worker/projector.py")
_batch = partial(Bug, file="worker/batch.py")
_stored = partial(Bug, file="worker/stored.py")

_FINAL = STATUSES + "test_an_answer_is_final_when_no_record_can_change_it"
_PARKED = STATUSES + "test_a_parked_entity_shows_the_state_up_to_the_event_before"
_PARKED_FROM = STATUSES + "test_an_entity_is_parked_from_the_very_record_on_that_cannot_be_applied"

_PROJECTOR = [
    Bug(
        "recorded time goes back with the broker's clock",
        file="worker/stream.py",
        before="        if record.timestamp > watermark:\n            watermark = record.timestamp\n",
        after="        watermark = record.timestamp\n",
        tests=(EDGES + "test_a_broker_clock_that_goes_backwards_does_not_take_recorded_time_back",),
    ),
    _projector(
        "recorded time begins anew with each batch",
        before="        before = owned.mark.watermark\n",
        after="        before = -1\n",
        tests=(EDGES + "test_a_broker_clock_that_goes_backwards_does_not_take_recorded_time_back",),
    ),
    _batch(
        "what an earlier batch withdrew is not looked up",
        before="        withdrawn = store.withdrawn(corrected) if corrected else {}\n",
        after="        withdrawn: dict[str, dict[str, int]] = {}\n",
        tests=(
            "tests/worker/test_corrections.py::test_a_correction_that_arrives_before_its_target_keeps_it_from_counting",
        ),
    ),
    _stored(
        "entities of one group are applied again with the next",
        before="            group, rows = {}, 0\n",
        after="            rows = 0\n",
        tests=("tests/worker/test_backlog.py::test_entities_are_folded_again_a_few_at_a_time",),
    ),
    _batch(
        "late=append is not heard of when events are applied",
        before="rules.folder.fold, rules.depth, changes, self.tally, rules.late)",
        after="rules.folder.fold, rules.depth, changes, self.tally)",
        tests=(EDGES + "test_a_late_event_under_append_counts_from_the_latest_instant",),
    ),
]

_STATUSES = [
    _answering(
        "before the first event and never existed are swapped",
        before="        return Status.BEFORE_FIRST if found.following is not None else Status.NEVER_EXISTED\n",
        after="        return Status.NEVER_EXISTED if found.following is not None else Status.BEFORE_FIRST\n",
        tests=(STATUSES + "test_what_the_events_alone_decide",),
    ),
    _answering(
        "a deleted entity is found",
        before="            return Status.FOUND if row.state is not None else Status.DELETED\n",
        after="            return Status.FOUND\n",
        tests=(STATUSES + "test_what_the_events_alone_decide",),
    ),
    _answering(
        "an entity is parked at bases before the event that it is parked at",
        before="head.quarantined_offset >= as_of.basis.next_offset(head.partition)",
        after="head.quarantined_offset > as_of.basis.next_offset(head.partition)",
        tests=(_PARKED,),
    ),
    _answering(
        "an entity is parked at instants of knowledge before the event that it is parked at",
        before=" or head.quarantined_at <= as_of.known_at\n",
        after=" or head.quarantined_at > 0\n",
        tests=(_PARKED,),
    ),
    _answering(
        "an entity is not parked at the instant at which the event it is parked at was recorded",
        before=" or head.quarantined_at <= as_of.known_at\n",
        after=" or head.quarantined_at < as_of.known_at\n",
        tests=(_PARKED_FROM,),
    ),
    _answering(
        "the instant of pruning itself is truncated",
        before="valid_at < head.pruned_before",
        after="valid_at <= head.pruned_before",
        tests=(STATUSES + "test_before_what_was_pruned_the_history_is_truncated",),
    ),
    _answering(
        "the watermark itself is not projected yet",
        before="_reached(found) < as_of.known_at\n",
        after="_reached(found) <= as_of.known_at\n",
        tests=(_FINAL,),
    ),
    _answering(
        "an answer at the watermark is final",
        before="as_of.known_at < _reached(found))",
        after="as_of.known_at <= _reached(found))",
        tests=(_FINAL,),
    ),
    _answering(
        "an answer about the present is final",
        before="        return as_of.basis is not None or (",
        after="        return as_of.known_at is None or (",
        tests=(_FINAL,),
    ),
    _answering(
        "a basis that is reached exactly is not projected yet",
        before="as_of.basis.next_offset(p) > found.marks.next_offset(p)",
        after="as_of.basis.next_offset(p) >= found.marks.next_offset(p)",
        tests=(STATUSES + "test_before_the_first_event_differs_from_never_as_known_then",),
    ),
    _answering(
        "nobody knows an entity as of an instant that only one partition has reached",
        before="    return min((found.marks[p].watermark for p in partitions if p in found.marks), default=-1)\n",
        after="    return max((found.marks[p].watermark for p in partitions if p in found.marks), default=-1)\n",
        tests=(EDGES + "test_an_unknown_entity_is_not_yet_projected_while_one_partition_lags",),
    ),
    _answering(
        "the watermark of an answer is that of the slowest partition",
        before="    if head is None:\n        return basis.watermark\n",
        after="    if head is not basis:\n        return basis.watermark\n",
        tests=(EDGES + "test_an_unknown_entity_is_not_yet_projected_while_one_partition_lags",),
    ),
    _answering(
        "the basis of an answer forgets the known_at that was asked for",
        before="marks if as_of.known_at is None else replace(",
        after="marks if as_of.known_at is None or marks else replace(",
        tests=(EDGES + "test_the_basis_of_an_answer_by_known_at_gives_the_same_answer_later",),
    ),
    Bug(
        "the known_at within a basis is not asked for",
        file="reader/point.py",
        before="    return AsOf(instant, basis, basis.known_at)\n",
        after="    return AsOf(instant, basis, None)\n",
        tests=(EDGES + "test_the_basis_of_an_answer_by_known_at_gives_the_same_answer_later",),
    ),
    _answering(
        "a history shows every event of one instant",
        before="            shown.pop()\n",
        after="            pass\n",
        tests=(
            "tests/reader/test_reader.py::test_two_events_at_one_instant_are_both_folded_and_one_version_is_visible",
        ),
    ),
]

_CHRONICLE = [
    _chronicle(
        "folding counts the record at the next offset of the basis",
        before="offset >= as_of.basis.next_offset(head.partition)",
        after="offset > as_of.basis.next_offset(head.partition)",
        tests=(DEFINITION,),
    ),
    _chronicle(
        "folding does not know what was recorded at known_at",
        before="as_of.known_at is None or recorded_at <= as_of.known_at",
        after="as_of.known_at is None or recorded_at < as_of.known_at",
        tests=(DEFINITION,),
    ),
    _chronicle(
        "folding leaves out the event at the instant",
        before="        before = [row for row in events if row.valid_from <= valid_at]\n",
        after="        before = [row for row in events if row.valid_from < valid_at]\n",
        tests=(FOLDING,),
    ),
    _chronicle(
        "a folded belief was superseded a record late",
        before="ended.ended_offset > offset)\n",
        after="ended.ended_offset >= offset)\n",
        tests=(FOLDING,),
    ),
    _chronicle(
        "a replay keeps the marks of earlier folds",
        before="    return row._replace(refolded_offset=None, refolded_at=None, state=None)\n",
        after="    return row._replace(state=None)\n",
        tests=(REPLAY,),
    ),
    _chronicle(
        "a replay takes corrections for retractions",
        before="            rows.setdefault(withdrawal.offset, Arrival(_withdrawing(withdrawal), contributes=False))\n",
        after="            rows[withdrawal.offset] = Arrival(_withdrawing(withdrawal), contributes=False)\n",
        tests=(REPLAY,),
    ),
    _chronicle(
        "an audit does not shorten the belief before a late event",
        before="        for instant in touched | before:\n",
        after="        for instant in touched:\n",
        tests=(PLANE,),
    ),
    _chronicle(
        "an audit holds what was withdrawn before it came",
        before="            if begun != gone:",
        after="            if gone:",
        tests=(PLANE,),
    ),
    _chronicle(
        "a belief that ended is still open in an audit",
        before="            self._closed.append(standing._replace(ended=step))\n",
        after="            self._closed.append(standing)\n",
        tests=(PLANE,),
    ),
]

_DIFFERENCES = [
    Bug(
        "a diff swaps what was added and what was removed",
        file="reader/reader.py",
        before="added=tuple(fact for position, fact in folded[1].items() if position not in folded[0]),\n"
        "            removed=tuple(fact for position, fact in folded[0].items() if position not in folded[1]),\n",
        after="removed=tuple(fact for position, fact in folded[1].items() if position not in folded[0]),\n"
        "            added=tuple(fact for position, fact in folded[0].items() if position not in folded[1]),\n",
        tests=(EDGES + "test_a_diff_says_which_value_was_before_and_which_after",),
    ),
    Bug(
        "a diff swaps the values before and after",
        file="reader/diff.py",
        before="FieldChange(path=path, before=before, after=after)",
        after="FieldChange(path=path, before=after, after=before)",
        tests=(EDGES + "test_a_diff_says_which_value_was_before_and_which_after",),
    ),
    Bug(
        "an explanation leaves out the event at the instant",
        file="reader/explanation.py",
        before="if row.valid_from <= as_of.valid_at)",
        after="if row.valid_from < as_of.valid_at)",
        tests=(EDGES + "test_the_basis_of_an_answer_by_known_at_gives_the_same_answer_later",),
    ),
    Bug(
        "an explanation by known_at lists what was recorded after it",
        file="reader/reader.py",
        before="answer.basis, answer.basis.known_at)",
        after="answer.basis)",
        tests=(EDGES + "test_the_basis_of_an_answer_by_known_at_gives_the_same_answer_later",),
    ),
    Bug(
        "what was valid at an instant is asked as known now, not as believed then",
        file="reader/reader.py",
        before="        return self.get(entity_id, valid_at=instant, known_at=instant)\n",
        after="        return self.get(entity_id, valid_at=instant)\n",
        tests=(STATUSES + "test_as_believed_is_the_diagonal",),
    ),
    Bug(
        "changes since a basis that the store has not reached are none",
        file="reader/reader.py",
        before="any(mark.next_offset > changes.basis.next_offset(partition) for partition, mark in basis.items())",
        after="False",
        tests=(EDGES + "test_changes_since_a_basis_that_is_not_reached_are_refused",),
    ),
]

_TOKENS = [
    Bug(
        "a token is reached when its record comes next",
        file="reader/waiting.py",
        before="return token.position.offset < standing.next_offset",
        after="return token.position.offset <= standing.next_offset",
        tests=(OWN_WRITES + "test_an_answer_says_how_far_the_projection_is_when_the_time_is_up[sqlite]",),
    ),
    Bug(
        "an event that was withdrawn is waited for",
        file="sql/reached.py",
        before="for look in (LIVE, GONE, WITHDRAWING, PRUNED)",
        after="for look in (LIVE, WITHDRAWING, PRUNED)",
        tests=(OWN_WRITES + "test_an_event_is_found_by_its_id_whatever_became_of_it[sqlite]",),
    ),
    Bug(
        "a wait keeps to the generation that it found",
        file="reader/waiting.py",
        before="            reader = self._current.reader()\n",
        after='            reader = self.__dict__.setdefault("_kept", self._current.reader())\n',
        tests=(OWN_WRITES + "test_waiting_follows_a_switch[sqlite]",),
    ),
    Bug(
        "changes of what was pruned begin where its first version is left",
        file="sql/seeks.py",
        before="case((heads.first_valid < heads.pruned_before, heads.first_valid), else_=heads.pruned_before)",
        after="func.coalesce(heads.first_valid, heads.pruned_before, type_=Instant())",
        tests=(
            "tests/worker/test_pruning.py::"
            "test_changes_begin_no_later_than_where_what_was_dropped_may_have_counted[sqlite]",
        ),
    ),
]

BUGS = [*_PROJECTOR, *_STATUSES, *_CHRONICLE, *_DIFFERENCES, *_TOKENS]
