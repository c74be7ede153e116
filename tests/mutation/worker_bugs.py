"""Bugs in the worker: what it takes for committed, what it keeps of a partition that it lost, what it skips."""

from __future__ import annotations

from functools import partial

from tests.mutation.bug import Bug

_projector = partial(Bug, file="worker/projector.py")
_batch = partial(Bug, file="worker/batch.py")
_stream = partial(Bug, file="worker/stream.py")
_sequels = partial(Bug, file="worker/sequels.py")
_inbox = partial(Bug, file="worker/inbox.py")
_fetcher = partial(Bug, file="worker/fetcher.py")
_worker = partial(Bug, file="worker/worker.py")
_idle = partial(Bug, file="worker/idle.py")
_intake = partial(Bug, file="worker/intake.py")

_WORKER = "tests/worker/test_worker.py::"
_INBOX = "tests/worker/test_inbox.py::"
_IDLE = "tests/worker/test_idle.py::"
_INTAKE = "tests/worker/test_intake.py::"
_QUARANTINE = "tests/worker/test_quarantine.py::"
_NETWORKS = "tests/worker/test_outages_of_networks.py::"
_SERVERS = "tests/worker/test_on_servers.py::"
_REFUSED = "tests/worker/test_refused_commits.py::test_a_commit_that_fails"
_OPEN = _SERVERS + "test_a_partition_is_not_idle_while_a_transaction_is_open"

_BOTH_AXES = (
    "tests/axes/test_both_axes.py::test_every_answer_equals_the_oracle_at_every_breakpoint_of_both_axes[sqlite]"
)

_COMMITTED = "                committed = self._was_committed(owned, attempt.mark, failure)\n"
_WRITTEN = "            attempt.batch.write(transaction, owned.heads, careful=careful)\n"

_COMMITS = [
    _projector(
        "a commit without an answer is tried again blindly",
        before=_COMMITTED,
        after="                self._patience.bear(failure, lambda: owned.released)\n",
        tests=(_REFUSED + "[True]",),
    ),
    _projector(
        "a commit without an answer is taken for done",
        before=_COMMITTED,
        after="                self._patience.bear(failure, lambda: owned.released)\n"
        "                committed = True\n",
        tests=(_REFUSED + "[False]",),
    ),
    _projector(
        "what failed is asked for once only",
        before="                error = again\n                continue\n",
        after="                raise again\n",
        tests=(_REFUSED + "[False]",),
    ),
    _projector(
        "heads are kept that were rolled back",
        before=_WRITTEN,
        after=_WRITTEN + "            owned.heads.put(attempt.batch.heads)\n",
        tests=(_REFUSED + "[False]",),
    ),
    _projector(
        "a batch that the store refused for a repeated id counts as written",
        before="                careful = True\n",
        after="                committed = True\n",
        tests=("tests/reader/test_edge_cases.py::test_the_same_id_at_another_instant_is_recorded_as_a_conflict",),
    ),
    _projector(
        "the position moves before the commit",
        before=_WRITTEN,
        after=_WRITTEN + "            owned.mark = attempt.mark\n",
        tests=(_REFUSED + "[False]",),
    ),
    _worker(
        "dashboards hear of a position before it is committed",
        before="        try:\n            tally = projector.apply(owned, work.records, work.reached)\n",
        after="        fetcher.hint(owned.partition, work.reached)\n"
        "        try:\n            tally = projector.apply(owned, work.records, work.reached)\n",
        tests=("tests/worker/test_hints.py::test_a_hint_is_never_ahead_of_the_checkpoint",),
    ),
    _worker(
        "a worker whose partition was taken goes on with it",
        before="            self._give_up(owned, error, final=self._settings.partitions is not None)\n",
        after="",
        tests=(_WORKER + "test_a_partition_that_another_worker_claims_is_fenced",),
    ),
    _fetcher(
        "a partition that comes back is read under the earlier claim, from its offset",
        before="            claims = self._store.claim(self._generation, partitions, topic)\n",
        after='            kept = self.__dict__.setdefault("kept", {})\n'
        "            if not kept.keys() >= set(partitions):\n"
        "                kept |= self._store.claim(self._generation, partitions, topic)\n"
        "            claims = {partition: kept[partition] for partition in partitions}\n",
        tests=(_NETWORKS + "test_a_database_that_was_set_back",),
    ),
]

_RECORDS = [
    _inbox(
        "the next record is taken for one that comes again",
        before="if record.offset >= self.next_offset]",
        after="if record.offset > self.next_offset]",
        tests=(_INBOX + "test_every_record_is_taken_once",),
    ),
    _inbox(
        "a record that comes again is applied again",
        before="run[0].offset < self.next_offset",
        after="run[0].offset < 0",
        tests=(_INBOX + "test_every_record_is_taken_once",),
    ),
    _inbox(
        "records of a partition that was given up are applied",
        before="(lane := self._discard(partition)) is not None]",
        after="(lane := self._lanes.get(partition)) is not None]",
        tests=(_INBOX + "test_nothing_is_taken_of_a_partition_that_was_given_up",),
    ),
    _inbox(
        "a partition is given up while a batch of it is written",
        before="            self._changed.wait_for(lambda: self._busy not in leaving, timeout)\n",
        after="",
        tests=(_INBOX + "test_a_partition_is_given_up_after_the_batch_that_is_written",),
    ),
    _inbox(
        "the position passes records that still wait",
        before="return Work(lane.owned, records, lane.waiting[0].offset)",
        after="return Work(lane.owned, records, lane.next_offset)",
        tests=(_INBOX + "test_the_position_stays_in_front_of_what_waits",),
    ),
    _inbox(
        "a partition that stopped goes on with what comes next",
        before="is not None and lane.goes_on:\n                    lane.put",
        after="is not None:\n                    lane.put",
        tests=(_INBOX + "test_nothing_is_taken_of_a_partition_that_stopped",),
    ),
    _inbox(
        "a partition that is claimed again keeps its earlier claim",
        before="                self._discard(each.partition)\n"
        "                self._lanes[each.partition] = _Lane(each)\n",
        after="                if each.partition in self._lanes:\n                    continue\n"
        "                self._lanes[each.partition] = _Lane(each)\n",
        tests=(_INBOX + "test_a_partition_that_is_claimed_again_begins_anew",),
    ),
    _batch(
        "a record that cannot be read is skipped",
        before="                    sequels.leave(entity_id, portion.unread[1])\n",
        after="                    pass\n",
        tests=(_QUARANTINE + "test_bytes_that_cannot_be_read_park_until_they_are_discarded",),
    ),
    _batch(
        "a record without a key is skipped",
        before="            self._set_aside(quarantine.kept(record, None, unread.recorded_at, unread.error))\n",
        after="            pass\n",
        tests=(_QUARANTINE + "test_a_record_without_a_readable_key_parks_nothing",),
    ),
    _stream(
        "what was written with a schema to come is kept aside",
        before="            if isinstance(error, UnknownSchema):",
        after="            if error is None:",
        tests=(_QUARANTINE + "test_a_schema_that_is_not_known_yet_stops_the_partition",),
    ),
    _stream(
        "records in front of one with a schema to come are counted one too few",
        before="                raise Ahead(number, error) from None\n",
        after="                raise Ahead(max(0, number - 1), error) from None\n",
        tests=(_QUARANTINE + "test_a_schema_that_is_not_known_yet_stops_the_partition",),
    ),
    _stream(
        "records after one that cannot be read are lost",
        before="            read = []\n        if len(read) == _PORTION:\n",
        after="            return\n        if len(read) == _PORTION:\n",
        tests=(_QUARANTINE + "test_bytes_that_cannot_be_read_park_until_they_are_discarded",),
    ),
    _sequels(
        "an entity goes on the short way after an event that does not follow",
        before="        sequel = self._sequels.pop(entity_id, None)\n",
        after="        sequel = self._sequels.get(entity_id)\n",
        tests=(_BOTH_AXES,),
    ),
    _sequels(
        "an entity whose head was not looked for is taken for a new one",
        before=" or entity_id not in self._named or ",
        after=" or ",
        tests=(_BOTH_AXES,),
    ),
    _batch(
        "what was folded before an event that does not follow is forgotten",
        before="        heads.update((head.entity_id, head) for head in sequels.ended)\n",
        after="",
        tests=(_BOTH_AXES,),
    ),
    _batch(
        "a parked entity goes on without what parked it",
        before="        parked = {e for e, h in heads.items() if h.parking is not None and",
        after="        parked = {e for e, h in heads.items() if h is None and",
        tests=(_QUARANTINE + "test_a_worker_that_took_over_knows_what_waits",),
    ),
    _projector(
        "any number of records may be kept aside",
        before="            owned.failures.check(place, self._limit, attempt.records, attempt.batch.failed)\n",
        after="",
        tests=(_QUARANTINE + "test_too_many_of_them_stop_the_partition",),
    ),
    _intake(
        "a value may be of another type than its header says",
        before="            if type(event).__event_type__ != name:\n",
        after="            if name is None:\n",
        tests=(_INTAKE + "test_a_record_that_cannot_be_read_is_refused_with_its_place",),
    ),
    _intake(
        "an event under a name that its type had once is not known",
        before="renamed.items() if name in known}",
        after="renamed.items() if old in known}",
        tests=("tests/worker/test_evolution.py::test_the_stored_bytes_stay",),
    ),
    _intake(
        "an event of a type that nobody knows is ignored",
        before="            if name is None:\n",
        after="            name = name or meta.type\n            if not name:\n",
        tests=(_INTAKE + "test_a_record_that_cannot_be_read_is_refused_with_its_place",),
    ),
]

_ENDS = [
    _worker(
        "the end is reached before every partition is claimed",
        before="        return self._inbox.joined and all(owned.partition in done for owned in self._inbox.owned())\n",
        after="        return all(owned.partition in done for owned in self._inbox.owned())\n",
        tests=("tests/worker/test_ends.py::test_a_run_without_partitions_is_not_at_its_end",),
    ),
    _worker(
        "a topic that loses events is read all the same",
        before="        if not self._settings.accept_topic and problems:\n",
        after="        if problems is None:\n",
        tests=(_SERVERS + "test_a_topic_with_unsafe_settings_is_refused_unless_accepted",),
    ),
    _idle(
        "a partition is complete while a transaction is open in it",
        before="consumer.ends(sorted(silent), pending=True)",
        after="consumer.ends(sorted(silent))",
        tests=(_OPEN,),
    ),
    _idle(
        "a partition is complete though it has records that were not read",
        before="            if ends.get(partition) == owned.mark.next_offset\n",
        after="            if ends.get(partition, -1) >= owned.mark.next_offset\n",
        tests=(_OPEN,),
    ),
    _idle(
        "the clock is read after the log was asked",
        before="        until = self._complete_until(self._clock.now())\n"
        "        silent = {owned.partition: owned for owned in idle "
        "if max(owned.mark.watermark, owned.quiet_until) < until}\n"
        "        try:\n            if silent:\n"
        "                self._note(silent, consumer.ends(sorted(silent), pending=True), until)\n",
        after="        silent = {owned.partition: owned for owned in idle}\n"
        "        try:\n            if silent:\n"
        "                ends = consumer.ends(sorted(silent), pending=True)\n"
        "                self._note(silent, ends, self._complete_until(self._clock.now()))\n",
        tests=(_IDLE + "test_the_clock_is_read_before_the_log_is_asked",),
    ),
    _idle(
        "the log's clock may not be behind the worker's",
        before="        earliest = now - round(self._allowance * _SECOND)\n",
        after="        earliest = now\n",
        tests=(_IDLE + "test_known_at_is_answered_up_to_the_allowance",),
    ),
    _idle(
        "the millisecond that has begun is complete",
        before="earliest // _MILLISECOND * _MILLISECOND - 1",
        after="earliest // _MILLISECOND * _MILLISECOND",
        tests=(_IDLE + "test_known_at_is_answered_up_to_the_allowance",),
    ),
]

BUGS = [*_COMMITS, *_RECORDS, *_ENDS]
