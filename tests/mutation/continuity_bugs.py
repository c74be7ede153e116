"""Bugs in whether the log goes on: what proves it, what stops a partition, and what answers say of that."""

from __future__ import annotations

from functools import partial

from tests.mutation.bug import Bug
from tests.mutation.selections import SQLITE

_continuity = partial(Bug, file="worker/continuity.py")
_worker = partial(Bug, file="worker/worker.py")
_kept = partial(Bug, file="sql/continuity.py")
_incomplete = partial(Bug, file="reader/incomplete.py")

_HERE = "tests/worker/test_continuity.py::"
_FILLED_AGAIN = _HERE + "test_a_log_that_was_cut_off_and_filled_again_is_known_by_its_last_record[sqlite-as-long]"
_TERMS = _HERE + "test_a_term_of_the_leader_that_differs_is_a_divergence"
_GAP = _HERE + "test_a_gap_stops_its_partition_and_no_other[sqlite]"
_RESTORED = _HERE + "test_a_log_that_was_cut_off_stops_the_partition_until_it_is_restored[sqlite]"
_VANISHED = _HERE + "test_a_record_that_vanished_is_a_divergence_unless_its_topic_was_accepted[sqlite]"
_MADE_AGAIN = _HERE + "test_a_topic_that_was_made_again_is_not_read_on[sqlite]"
_ADDED = _HERE + "test_partitions_that_were_added_are_not_read_before_somebody_says_so[sqlite]"

_PROOFS = [
    _continuity(
        "another record at the offset that was applied proves the log",
        before="            found = applied_of(first)\n",
        after="            found = applied_of(first)._replace(checksum=applied.checksum)\n",
        tests=(_FILLED_AGAIN,),
    ),
    _continuity(
        "the term of the leader is not compared",
        before="            if None in (applied.leader_epoch, found.leader_epoch):\n",
        after="            if found is not None:\n",
        tests=(_TERMS,),
    ),
    _continuity(
        "a log that knows no terms of leaders is another one",
        before="            if None in (applied.leader_epoch, found.leader_epoch):\n",
        after="            if applied.leader_epoch is None and found.leader_epoch is None:\n",
        tests=(_TERMS,),
    ),
    _continuity(
        "a record that vanished is taken for one that was compacted away",
        before="        if self._sparse:\n",
        after="        if partition >= 0:\n",
        tests=(_VANISHED,),
    ),
    _kept(
        "a topic that was made again under the same name is read on",
        before="row.topic_id, topic.topic_id),",
        after="topic.topic_id, topic.topic_id),",
        tests=(_MADE_AGAIN,),
    ),
]

_STOPS = [
    _continuity(
        "records that are gone before they were applied are passed over",
        before="        if stands < bounds.start:\n",
        after="        if stands < 0:\n",
        tests=(_GAP,),
    ),
    _continuity(
        "partitions that were added are read without a decision",
        before="        if claim.trouble is not None and claim.trouble.error == Repartitioned.__name__:\n",
        after="        if claim.trouble is not None and claim.trouble.error is None:\n",
        tests=(_ADDED,),
    ),
    _kept(
        "partitions that were added are not noted",
        before="for partition in range(built, topic.partitions)]",
        after="for partition in range(topic.partitions, topic.partitions)]",
        tests=(_ADDED,),
    ),
]

_SAID = [
    _worker(
        "the store does not hear why a partition stands still",
        before="final=self._keep(owned, trouble_of(error)))",
        after="final=True)",
        tests=(_GAP,),
    ),
    _worker(
        "what stopped a partition is said still when the log goes on again",
        before="                self._keep(owned, None)\n",
        after="                continue\n",
        tests=(_RESTORED,),
    ),
    _kept(
        "what stopped a partition is said still after its next batch",
        before='    return kept | {name: null() for name in ("trouble", "trouble_from", "trouble_to")}\n',
        after="    return kept\n",
        tests=(SQLITE + "test_why_a_partition_stands_still_is_kept_until_it_goes_on",),
    ),
    _incomplete(
        "an answer about an entity that is unknown seems complete while a partition stands still",
        before="        if head is None or head.partition == partition or",
        after="        if (head is not None and head.partition == partition) or",
        tests=(_GAP,),
    ),
    _incomplete(
        "answers of the earlier partitions seem complete though an entity may go on in an added one",
        before=" or error in _CONCERN_ALL:\n",
        after=":\n",
        tests=(_ADDED,),
    ),
]

BUGS = [*_PROOFS, *_STOPS, *_SAID]
