"""Bugs in the store: how rows are written, and how those that were believed are found."""

from __future__ import annotations

from functools import partial

from tests.mutation.bug import Bug
from tests.mutation.selections import ANSWERS, EDGES, POSTGRES, SQLITE, UNSTORED

_seek = partial(Bug, file="sql/seeks.py")
_query = partial(Bug, file="sql/queries.py")
_found = partial(Bug, file="sql/found.py")
_lookup = partial(Bug, file="sql/lookups.py")

_EXACT = SQLITE + "test_an_instant_is_exact"
_CHANGED = SQLITE + "test_what_changed_is_what_counts_now_or_counted_then"

_SEEKS = [
    _seek(
        "an event does not count yet at its own instant",
        before=".where(versions.valid_from <= valid_at)",
        after=".where(versions.valid_from < valid_at)",
        tests=(_EXACT,),
    ),
    _seek(
        "an event does not count yet at its own instant, as known then",
        before="lambda c: c.valid_from <= past.until, _BACKWARDS",
        after="lambda c: c.valid_from < past.until, _BACKWARDS",
        tests=(_EXACT,),
    ),
    _seek(
        "an interval ends where it begins",
        before=".where(versions.valid_from > valid_at)",
        after=".where(versions.valid_from >= valid_at)",
        tests=(ANSWERS,),
    ),
    _seek(
        "an interval ends where it begins, as known then",
        before="lambda c: c.valid_from > valid_at, _ONWARDS",
        after="lambda c: c.valid_from >= valid_at, _ONWARDS",
        tests=(ANSWERS,),
    ),
    _seek(
        "of several events at one instant the first is visible",
        before='_BACKWARDS: _Order = desc("valid_from"), desc("offset")',
        after='_BACKWARDS: _Order = desc("valid_from"), asc("offset")',
        tests=(ANSWERS,),
    ),
    _seek(
        "a history lists events at one instant backwards",
        before='_ONWARDS: _Order = asc("valid_from"), asc("offset")',
        after='_ONWARDS: _Order = asc("valid_from"), desc("offset")',
        tests=(ANSWERS,),
    ),
    _seek(
        "beliefs that were replaced are not looked at",
        before="for name in names), *endings)\n",
        after='for name in names), *endings).where(literal_column("1 = 0"))\n',
        tests=(ANSWERS,),
    ),
    _seek(
        "a state that was folded again counts from the offset of its event on",
        before="    made_offset = func.coalesce(row.refolded_offset, row.offset)\n",
        after="    made_offset = row.offset\n",
        tests=(ANSWERS,),
    ),
    _seek(
        "a state that was folded again counts from the recorded time of its event on",
        before="    made_at = func.coalesce(row.refolded_at, row.recorded_at)\n",
        after="    made_at = row.recorded_at\n",
        tests=(ANSWERS,),
    ),
    _seek(
        "a basis holds the record at its next offset",
        before="    return and_(offset < past.next_offset, recorded_at <= past.known_at)\n",
        after="    return and_(offset <= past.next_offset, recorded_at <= past.known_at)\n",
        tests=(ANSWERS,),
    ),
    _seek(
        "a basis holds the record at its next offset, on PostgreSQL",
        before="    return and_(offset < past.next_offset, recorded_at <= past.known_at)\n",
        after="    return and_(offset <= past.next_offset, recorded_at <= past.known_at)\n",
        tests=(POSTGRES + "test_answers_follow_the_definition",),
    ),
    _seek(
        "what was recorded at known_at is not known",
        before="    return and_(offset < past.next_offset, recorded_at <= past.known_at)\n",
        after="    return and_(offset < past.next_offset, recorded_at < past.known_at)\n",
        tests=(ANSWERS,),
    ),
    _seek(
        "a version ends at an event that was withdrawn already",
        before="    return and_(stands, _counts(past, row.offset, row.recorded_at), _has_not_ended(past, row))\n",
        after="    return and_(stands, _counts(past, row.offset, row.recorded_at))\n",
        tests=(ANSWERS,),
    ),
    _seek(
        "a version does not end at an event that was withdrawn since",
        before="    stands = or_(row.ended_offset.is_(None), row.withdrawn)\n",
        after="    stands = row.ended_offset.is_(None)\n",
        tests=(ANSWERS,),
    ),
    _seek(
        "a version ends at an event that is out of reach",
        before="case((first.c.valid_from <= past.reach, first.c.valid_from))",
        after="case((first.c.valid_from.is_not(None), first.c.valid_from))",
        tests=(ANSWERS,),
    ),
]

_BOUNDS = [
    _query(
        "events that were known ahead of their instant are out of reach",
        before="    reach = NotBefore(bound + lead)\n",
        after="    reach = NotBefore(bound)\n",
        tests=(SQLITE + "test_what_was_known_early_is_found_late",),
    ),
    _query(
        "the reach ends a microsecond early",
        before="    reach = NotBefore(bound + lead)\n",
        after="    reach = NotBefore(bound + lead - 1)\n",
        tests=(SQLITE + "test_what_was_known_early_is_found_late",),
    ),
    Bug(
        "the reach ends a millisecond early on PostgreSQL",
        file="sql/expressions.py",
        before="DOUBLE PRECISION) / 1000000 + 0.001",
        after="DOUBLE PRECISION) / 1000000 - 0.001",
        tests=(POSTGRES + "test_what_was_known_early_is_found_late",),
    ),
    _query(
        "a question about the past forgets the instant it is about",
        before="until=Earlier(valid_at, reach))",
        after="until=reach)",
        tests=(ANSWERS,),
    ),
    Bug(
        "an instant is a microsecond off on PostgreSQL",
        file="sql/wire.py",
        before="8, begins - _EPOCH, 8, offset",
        after="8, begins - _EPOCH + 1, 8, offset",
        tests=(POSTGRES + "test_an_instant_is_exact",),
    ),
    Bug(
        "a snapshot that is left leaves rows on the connection",
        file="sql/postgres_rows.py",
        before="        if under_way:\n            answer(connection)\n",
        after="        pass\n",
        tests=(POSTGRES + "test_a_snapshot_may_be_left_early",),
    ),
    Bug(
        "a snapshot on PostgreSQL ends with its first rows",
        file="sql/postgres_rows.py",
        before="                _fetch(connection)\n                under_way = True\n",
        after="                pass\n",
        tests=(POSTGRES + "test_a_snapshot_stands_still",),
    ),
    Bug(
        "SQLite gets whole statements of rows only",
        file="sql/sqlite_insert.py",
        before="_SIZES: Final = (500, 64, 8, 1)\n",
        after="_SIZES: Final = (500, 64, 8)\n",
        tests=(SQLITE + "test_rows_can_be_inserted_bit_by_bit",),
    ),
    _query(
        "a snapshot on PostgreSQL leaves out whose beliefs are not kept",
        before="or_(row.c.offset.is_not(None), head.c.unstored_offset.is_not(None), head",
        after="or_(row.c.offset.is_not(None), head",
        tests=(
            "tests/store/test_unstored.py::test_a_snapshot_has_an_entity_all_of_whose_rows_are_of_a_later_belief[postgres]",
        ),
    ),
]

_UNSTORED = [
    _found(
        "at the first instant whose beliefs are not kept the rows are believed",
        before="valid_at < head.unstored_valid",
        after="valid_at <= head.unstored_valid",
        tests=(UNSTORED,),
    ),
    _found(
        "at the last basis whose beliefs are not kept the rows are believed",
        before="next_offset(head.partition) <= head.unstored_offset",
        after="next_offset(head.partition) < head.unstored_offset",
        tests=(UNSTORED,),
    ),
    _found(
        "beliefs that are not kept are kept as of an instant",
        before="as_of.known_at < head.unstored_at)",
        after="as_of.known_at < 0)",
        tests=(UNSTORED,),
    ),
    _found(
        "a basis without a partition holds all of it",
        before='"other_offset": 0, "other_bound": 0}',
        after='"other_offset": 2**62, "other_bound": MAX_MICROS}',
        tests=(SQLITE + "test_a_basis_without_the_partition_knows_nothing",),
    ),
]

_CHANGES = [
    _query(
        "changes leaves out the record at the next offset of the basis",
        before="heads.c.last_offset >= since,",
        after="heads.c.last_offset > since,",
        tests=(_CHANGED,),
    ),
    _seek(
        "changes forgets events that were withdrawn",
        before="            ended.withdrawn,\n",
        after="            ended.withdrawn.is_(None),\n",
        tests=(_CHANGED,),
    ),
    _seek(
        "changes gives what was withdrawn before the basis",
        before="            not_(_counts(since, ended.ended_offset, ended.ended_at)),\n",
        after="",
        tests=(EDGES + "test_changes_leave_out_what_was_withdrawn_before_the_basis",),
    ),
    _seek(
        "changes gives events that came and went after the basis",
        before="            _counts(since, ended.offset, ended.recorded_at),\n",
        after="",
        tests=(_CHANGED,),
    ),
]

_BATCHES = [
    _lookup(
        "a late event at the instant of the version before takes that for its past",
        before="rows.valid_from < key[1])",
        after="rows.valid_from <= key[1])",
        tests=(SQLITE + "test_a_tail_begins_with_the_version_before",),
    ),
    _lookup(
        "what follows at the very instant of a late event is not loaded",
        before="rows.valid_from >= key[1])",
        after="rows.valid_from > key[1])",
        tests=(SQLITE + "test_a_tail_begins_with_the_version_before",),
    ),
    _lookup(
        "a fold starts from the first of several events at one instant",
        before=".order_by(rows.valid_from.desc(), rows.offset.desc())",
        after=".order_by(rows.valid_from.desc(), rows.offset)",
        tests=(SQLITE + "test_a_tail_begins_with_the_version_before",),
    ),
    Bug(
        "the first withdrawal of an entity is not noticed",
        file="worker/batch.py",
        before="if entity_id in heads and heads[entity_id].withdrawals}",
        after="if entity_id in heads and heads[entity_id].withdrawals > 1}",
        tests=(EDGES + "test_a_retracted_event_that_comes_again_is_a_duplicate",),
    ),
    Bug(
        "of several withdrawals of one event the last one counts",
        file="sql/batch.py",
        before="targets[target_id] = min(offset,",
        after="targets[target_id] = max(offset,",
        tests=(SQLITE + "test_what_was_withdrawn_is_known",),
    ),
    Bug(
        "a batch is written wherever the checkpoint stands",
        file="sql/checkpoints.py",
        before='        table.c.next_offset == bindparam("expected"),\n',
        after='        table.c.next_offset >= bindparam("expected") - 2**40,\n',
        tests=(SQLITE + "test_a_batch_from_elsewhere_is_fenced",),
    ),
]

_VIEWS = [
    Bug(
        "the current state in a BI tool is the first of several at one instant",
        file="sql/views.py",
        before=".order_by(rows.valid_from.desc(), rows.offset.desc())",
        after=".order_by(rows.valid_from.desc(), rows.offset)",
        tests=("tests/store/test_views.py::test_current_is_what_is_valid_now",),
    ),
]

_BESIDE = "tests/store/test_upgrades_beside_others.py::"
_VERSIONS = [
    Bug(
        "a worker of an older version claims again after an upgrade",
        file="sql/checkpoints.py",
        before="                self._check_version(connection)\n",
        after="",
        tests=(_BESIDE + "test_a_claim_of_before_writes_nothing_and_is_not_given_again[sqlite]",),
    ),
    Bug(
        "a claim does not wait for an upgrade that has begun",
        file="sql/checkpoints.py",
        before='            connection.exec_driver_sql(f"LOCK TABLE {name} IN ROW EXCLUSIVE MODE")\n',
        after="            del name\n",
        tests=(_BESIDE + "test_a_claim_comes_before_or_after_an_upgrade[claim]",),
    ),
    Bug(
        "an upgrade leaves workers their claims",
        file="sql/schema.py",
        before="        statements.append(_text(connection, fence))\n",
        after="        del fence\n",
        tests=(_BESIDE + "test_a_claim_of_before_writes_nothing_and_is_not_given_again[sqlite]",),
    ),
    Bug(
        "an answer is read from tables of whatever version",
        file="sql/found.py",
        before="if version != SCHEMA_VERSION:",
        after="if version is None:",
        tests=(_BESIDE + "test_a_reader_of_before_is_told_and_answers_nothing[sqlite]",),
    ),
    Bug(
        "an upgrade forgets the tables of all generations but the first",
        file="sql/schema.py",
        before="for each in _kept(self._built(connection))]\n",
        after="for each in _kept(self._built(connection))][:1]\n",
        tests=(
            "tests/store/test_migrations.py::test_the_tables_of_an_upgraded_store_are_those_of_a_fresh_one[sqlite]",
        ),
    ),
    Bug(
        "what was pruned before it was folded counts as what never was",
        file="reader/answering.py",
        before="if rows.head is not None and rows.head.pruned_before != found.head.pruned_before:",
        after="if rows.head is None:",
        tests=(
            "tests/worker/test_pruning.py::"
            "test_an_answer_that_is_folded_while_its_history_is_dropped_is_truncated[sqlite]",
        ),
    ),
]

BUGS = [*_SEEKS, *_BOUNDS, *_UNSTORED, *_CHANGES, *_BATCHES, *_VIEWS, *_VERSIONS]
