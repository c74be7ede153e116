"""Bugs in publishing: ids, what is told of success, and what is shown."""

from __future__ import annotations

from functools import partial

from tests.mutation.bug import Bug

_publisher = partial(Bug, file="publisher/publisher.py")
_drafts = partial(Bug, file="publisher/drafts.py")
_ids = partial(Bug, file="publisher/ids.py")
_connect = partial(Bug, file="connect.py")

_PUBLISHER = "tests/publisher/test_publisher.py::"
_WITHDRAWALS = "tests/publisher/test_withdrawals.py::"
_NOT_TAKEN = _PUBLISHER + "test_flush_raises_for_what_was_not_taken_and_so_does_the_receipt"

BUGS = [
    _publisher(
        "an event that is published again gets an id of its own",
        before="        if event_id is None:\n            event_id = self._random_id()\n",
        after="        event_id = self._random_id()\n",
        tests=(_PUBLISHER + "test_a_record_carries_the_cloudevents_attributes",),
    ),
    _ids(
        "two publishers give the same ids",
        before="random.Random(os.urandom(32))",
        after="random.Random(os.name)",
        tests=("tests/publisher/test_ids.py::test_no_two_publishers_give_the_same_id",),
    ),
    _ids(
        "an id may be of any length",
        before="    if len(data) > headers.ID_LIMIT:\n",
        after="    if not data:\n",
        tests=(_PUBLISHER + "test_an_entity_id_that_cannot_be_a_key_is_refused",),
    ),
    Bug(
        "a flush is content with what was refused",
        "publisher/receipt.py",
        "            self._failures.add(self, error)\n",
        "            pass\n",
        (_NOT_TAKEN,),
    ),
    _publisher(
        "closing does not say what was refused",
        before="        self._closed = True\n        try:\n            self.flush()\n",
        after="        self._closed = True\n        try:\n            self._writer.flush()\n",
        tests=(_PUBLISHER + "test_leaving_the_block_with_an_error_keeps_that_error_and_notes_what_was_lost",),
    ),
    Bug(
        "a receipt of what was refused has no error",
        "publisher/receipt.py",
        "        if self._position is None:\n            assert self._error is not None\n",
        "        if self._error is None:\n",
        (_NOT_TAKEN,),
    ),
    _publisher(
        "an event is dated by when it was sent",
        before='self._clock.now() if occurred_at is None else to_micros(occurred_at, "occurred_at")\n'
        "        name = self._drafts.type_of(event)\n"
        "        return self._send(event, name, entity_id, instant, event_id, None,",
        after="self._clock.now()\n        name = self._drafts.type_of(event)\n"
        "        return self._send(event, name, entity_id, instant, event_id, None,",
        tests=(_PUBLISHER + "test_a_record_carries_the_cloudevents_attributes",),
    ),
    _publisher(
        "a correction does not name what it withdraws",
        before="event, name, entity_id, instant, correction_id, event_id, correlation_id,",
        after="event, name, entity_id, instant, correction_id, None, correlation_id,",
        tests=(_WITHDRAWALS + "test_a_correction_is_an_event_that_names_what_it_withdraws",),
    ),
    _drafts(
        "an event may withdraw itself",
        before="    if own_id == event_id:\n",
        after="    if own_id == argument:\n",
        tests=(_WITHDRAWALS + "test_an_event_cannot_withdraw_itself",),
    ),
    _drafts(
        "an event that is too large is sent",
        before="    if size > limit:\n",
        after="    if size < 0:\n",
        tests=(_PUBLISHER + "test_an_event_over_the_size_limit_is_refused_before_it_is_sent",),
    ),
    _drafts(
        "an event of another topic is sent",
        before="        if name is None:\n            raise self._not_of_the_topic(type(event))\n        return name\n",
        after="        return name or event_type(type(event))\n",
        tests=(_PUBLISHER + "test_an_event_of_another_topic_is_refused_naming_what_the_topic_holds",),
    ),
    Bug(
        "a forked child writes into its parent's connection",
        "guard.py",
        "        if os.getpid() != self._pid:\n            raise",
        "        if self._pid is None:\n            raise",
        (_PUBLISHER + "test_a_forked_child_is_told_to_make_its_own",),
    ),
    _connect(
        "a log that is not known is shown with its password",
        before='return repr(url.partition("://")[0] + "://…") if "://" in url else "without \'://\'"',
        after="return repr(url)",
        tests=(_PUBLISHER + "test_a_log_of_no_known_kind_is_refused_without_showing_a_password",),
    ),
    _connect(
        "a contract that is missing is found when the log is open",
        before="        contracts_first = topic.codec ",
        after="        contracts_first = None ",
        tests=(_PUBLISHER + "test_a_contract_that_is_missing_is_found_before_a_log_is_opened",),
    ),
]
