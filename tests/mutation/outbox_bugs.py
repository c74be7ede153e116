"""Bugs in the outbox: versions, what a relay takes for sent, its fence, and the token of what is on its way."""

from __future__ import annotations

from functools import partial

from tests.mutation.bug import Bug

_outbox = partial(Bug, file="sql/outbox.py")
_relay = partial(Bug, file="outbox/relay.py")
_store = partial(Bug, file="sql/relay.py")

_VERSIONS = "tests/outbox/test_versions.py::"
_RELAY = "tests/outbox/test_relay.py::"
_OUTBOX = "tests/outbox/test_outbox.py::"
_STALE = _VERSIONS + "test_a_version_that_is_not_so_any_more_is_a_conflict"
_FENCED = _RELAY + "test_a_relay_that_was_silent_is_fenced"
_DONE = _RELAY + "test_a_row_is_done_only_when_the_log_has_it"
_BEHIND = _RELAY + "test_what_the_log_took_behind_a_refused_event_still_waits"
_REMOVED = _RELAY + "test_rows_that_were_sent_are_removed_but_for_the_last"
_TOKEN = _OUTBOX + "test_its_token_is_reached_once_the_event_is_projected"

BUGS = [
    _outbox(
        "an expected version may be an older one",
        before='bindparam("expected", type_=BigInteger) == version,',
        after='bindparam("expected", type_=BigInteger) <= version,',
        tests=(_STALE,),
    ),
    _outbox(
        "an expected version is not checked where nobody has to be waited for",
        before="            if expected is not None:\n                raise _conflict",
        after="            if expected == 0:\n                raise _conflict",
        tests=(_STALE,),
    ),
    _outbox(
        "a transaction that was undone under a stricter isolation level is no conflict",
        before="            raise _conflict(entity_id, expected, None) from error\n",
        after="            raise\n",
        tests=(_VERSIONS + "test_a_snapshot_that_is_older_is_a_conflict[SERIALIZABLE]",),
    ),
    _outbox(
        "a clock that goes back takes the rows of an entity out of their order",
        before="case((last.c.queued_at >= now, last.c.queued_at + 1), else_=now)",
        after="now",
        tests=(_VERSIONS + "test_a_clock_that_goes_back_changes_no_order",),
    ),
    _outbox(
        "a session that commits each statement by itself is published in",
        before="        if _commits_by_itself(connection):\n",
        after="        if False:\n",
        tests=(_OUTBOX + "test_what_cannot_be_meant_is_refused",),
    ),
    _relay(
        "a row is done before the log has acknowledged it",
        before="            if position is None:\n                holes.add(event.entity_id)\n            elif",
        after="            if",
        tests=(_DONE, _BEHIND),
    ),
    _relay(
        "a row is done though one before it was refused",
        before="            elif event.entity_id not in holes:\n",
        after="            else:\n",
        tests=(_BEHIND,),
    ),
    _relay(
        "a relay goes on behind an event that the log refuses",
        before="            raise _refusal(self._topic.name, batch) from batch.error\n",
        after="            self._stopping = True\n",
        tests=(_DONE,),
    ),
    _relay(
        "what waits is not measured while the log is away",
        before="            self._measure(time.monotonic())\n",
        after="",
        tests=(_RELAY + "test_what_waits_is_measured_while_the_log_is_silent",),
    ),
    _store(
        "a relay that lost a shard notes what it sent of it",
        before="if ours := [event for event in sent if event.shard in kept]:",
        after="if ours := list(sent):",
        tests=(_FENCED,),
    ),
    _store(
        "a relay is fenced by its token alone",
        before="                tuple_(shards.c.shard, shards.c.epoch).in_(sorted(held.items())),\n",
        after="                shards.c.shard.in_(sorted(held)),\n",
        tests=(_FENCED,),
    ),
    _store(
        "a relay takes shards that another one holds",
        before="or_(shards.c.owner.is_(None), shards.c.renewed_at < expired)",
        after="or_(shards.c.owner.is_(None), shards.c.renewed_at > expired)",
        tests=(_RELAY + "test_a_shard_is_one_relays_at_a_time",),
    ),
    _store(
        "a relay looks for what was queued after the last that it sent",
        before=(
            "        return (\n            select(table)\n"
            "            .where(rows.aggregatetype == self._topic, rows.shard == shard, rows.sent_at.is_(None))\n"
        ),
        after=(
            "        seen = table.alias()\n"
            "        last = select(func.coalesce(func.max(seen.c.queued_at), 0)).where(seen.c.sent_at.is_not(None))\n"
            "        return (\n            select(table)\n"
            "            .where(rows.aggregatetype == self._topic, rows.shard == shard, rows.sent_at.is_(None))\n"
            "            .where(rows.queued_at > last.scalar_subquery())\n"
        ),
        tests=(_RELAY + "test_what_commits_later_is_not_passed_over",),
    ),
    _store(
        "an event that is sent again has another id",
        before="        id=row.id,\n",
        after='        id=__import__("uuid").uuid4().hex,\n',
        tests=(_RELAY + "test_what_is_sent_again_has_the_same_id",),
    ),
    _store(
        "the row that counts an entity's versions is removed with the others",
        before="rows.version < keys.version)",
        after="rows.version <= keys.version)",
        tests=(_REMOVED,),
    ),
    Bug(
        "the token of an event on its way is reached by any event of its entity",
        "reader/waiting.py",
        "return reader if reader.knows(self.token.entity_id, self.token.event_id) else None",
        "return reader if reader.rows(self.token.entity_id).versions else None",
        (_TOKEN,),
    ),
    Bug(
        "the token of an event on its way names its version for its id",
        "outbox/receipt.py",
        "EventToken(self.topic, self.entity_id, self.event_id)",
        "EventToken(self.topic, self.entity_id, str(self.version))",
        (_TOKEN,),
    ),
    Bug(
        "a token of a record does not say which one",
        "tokens.py",
        "        return _encoded(_POSITION, [*self.position, self.cluster, self.topic_id])\n",
        "        return _encoded(_POSITION, [*self.position[:2], 0, self.cluster, self.topic_id])\n",
        ("tests/core/test_tokens.py::test_a_token_comes_back_from_its_text",),
    ),
]
