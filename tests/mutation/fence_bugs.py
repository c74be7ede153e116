"""Bugs in exactly once: claims, fences, the one transaction of rows and checkpoint, and what a failure is taken for."""

from __future__ import annotations

from functools import partial

from tests.mutation.bug import Bug
from tests.mutation.selections import POSTGRES, SQLITE

_claims = partial(Bug, file="sql/checkpoints.py")
_store = partial(Bug, file="sql/store.py")
_database = partial(Bug, file="sql/database.py")
_engine = partial(Bug, file="sql/engine.py")
_errors = partial(Bug, file="sql/errors.py")
_catalog = partial(Bug, file="sql/catalog.py")

_ENGINE = "tests/store/test_engine.py::"
_CLAIMS = "tests/store/test_claims.py::"
_CANARIES = "tests/security/test_canaries.py::"
_FENCED = SQLITE + "test_an_earlier_owner_is_fenced"
_ELSEWHERE = SQLITE + "test_a_batch_from_elsewhere_is_fenced"
_TAKEN_OVER = SQLITE + "test_a_claim_says_how_far_the_partition_is"
_ROLLED_BACK = SQLITE + "test_an_exception_rolls_everything_back"
_MADE_ANEW = SQLITE + "test_a_topic_that_was_created_again_is_refused"
_STANDS = "test_where_a_claimed_partition_stands"
_QUIET = SQLITE + "test_quiet_"

_FENCE = """    still_ours = and_(
        table.c.owner == bindparam("of_owner"),
        table.c.epoch == bindparam("of_epoch"),
        table.c.next_offset == bindparam("expected"),
    )
"""

_FENCES = [
    _claims(
        "no fence",
        before=_FENCE,
        after='    still_ours = table.c.partition == bindparam("of_partition")\n',
        tests=(_FENCED,),
    ),
    _claims(
        "the fence does not look at the owner's token",
        before='        table.c.owner == bindparam("of_owner"),\n',
        after="",
        tests=(_ENGINE + "test_a_claim_of_a_store_that_was_restored",),
    ),
    _claims(
        "the fence does not look at the epoch",
        before='        table.c.epoch == bindparam("of_epoch"),\n',
        after="",
        tests=(_CLAIMS + "test_a_claim_counts_as_a_whole",),
    ),
    _claims(
        "a batch may begin behind the checkpoint with a hole in between",
        before='table.c.next_offset == bindparam("expected")',
        after='table.c.next_offset <= bindparam("expected")',
        tests=(_ELSEWHERE,),
    ),
    _claims(
        "a batch may be written again in front of the checkpoint",
        before='table.c.next_offset == bindparam("expected")',
        after='table.c.next_offset >= bindparam("expected")',
        tests=(_ELSEWHERE,),
    ),
    _claims(
        "nobody looks whether the fence held",
        before="        if not moved:\n",
        after="        if not moved:\n            return 0\n        if not moved:\n",
        tests=(_FENCED,),
    ),
    _store(
        "the fence comes last in the transaction",
        before="            prunings = self._checkpoints.move(connection, claim, expected, reached, applied)\n"
        "            yield SqlBatch(writer, connection, prunings)\n",
        after="            yield SqlBatch(writer, connection)\n"
        "            self._checkpoints.move(connection, claim, expected, reached, applied)\n",
        tests=(POSTGRES + "test_a_takeover_comes_before_or_after_a_batch",),
    ),
    _store(
        "the offset is committed first, the rows after it",
        before="            yield SqlBatch(writer, connection, prunings)\n",
        after='        with self._database.writing("") as connection:\n'
        "            yield SqlBatch(writer, connection, prunings)\n",
        tests=(_ROLLED_BACK,),
    ),
    _store(
        "the offset is committed in a second transaction",
        before="            prunings = self._checkpoints.move(connection, claim, expected, reached, applied)\n"
        "            yield SqlBatch(writer, connection, prunings)\n",
        after="            yield SqlBatch(writer, connection)\n"
        '        with self._database.writing("") as connection:\n'
        "            self._checkpoints.move(connection, claim, expected, reached, applied)\n",
        tests=(_FENCED,),
    ),
    _database(
        "what failed is committed all the same",
        before="            raw.rollback()\n",
        after='            raw.execute("COMMIT")\n',
        tests=(_ROLLED_BACK,),
    ),
    _database(
        "a question on SQLite does not wait for the batch that is being written",
        before='        return "BEGIN IMMEDIATE"\n',
        after='        return "BEGIN"\n',
        tests=(SQLITE + _STANDS,),
    ),
    _claims(
        "a question on PostgreSQL does not wait for the commit that is under way",
        before="connection.execute(standing.with_for_update())",
        after="connection.execute(standing)",
        tests=(POSTGRES + _STANDS,),
    ),
    _claims(
        "who lost its claim is told where the partition stands",
        before="select(self._table.c.next_offset).where(ours(self._table, claim))",
        after="select(self._table.c.next_offset).where(self._table.c.partition == claim.partition)",
        tests=(SQLITE + _STANDS,),
    ),
]

_TAKEOVERS = [
    _claims(
        "a claim does not raise the epoch",
        before='"epoch": table.c.epoch + 1,',
        after='"epoch": table.c.epoch,',
        tests=(_TAKEN_OVER,),
    ),
    _claims(
        "all owners have one token",
        before="owner = secrets.token_hex(16)",
        after='owner = "owner"',
        tests=(_TAKEN_OVER,),
    ),
    _claims(
        "a claim leaves the token of the earlier owner",
        before='            "owner": first.excluded.owner,\n',
        after='            "owner": table.c.owner,\n',
        tests=(_FENCED,),
    ),
    _claims(
        "a claim begins at offset 0 again",
        before='            "owner": first.excluded.owner,\n',
        after='            "next_offset": 0,\n            "owner": first.excluded.owner,\n',
        tests=(_TAKEN_OVER,),
    ),
    _claims(
        "the watermark does not move with the offset",
        before=', "watermark": bindparam("new_watermark")}',
        after="}",
        tests=(_TAKEN_OVER,),
    ),
    Bug(
        "the topic's id is not compared",
        file="sql/continuity.py",
        before='made again", row.topic_id, topic.topic_id),\n',
        after='made again", row.topic_id, row.topic_id),\n',
        tests=(_MADE_ANEW + "[topic]",),
    ),
    Bug(
        "the cluster's id is not compared",
        file="sql/continuity.py",
        before='another cluster", row.cluster_id, topic.cluster_id),\n',
        after='another cluster", row.cluster_id, row.cluster_id),\n',
        tests=(_MADE_ANEW + "[cluster]",),
    ),
    _claims(
        "a claim takes the ids of the topic that it finds",
        before="else_=table.c[name])",
        after="else_=first.excluded[name])",
        tests=(_MADE_ANEW,),
    ),
    _claims(
        "another topic is read into the same rows",
        before="        if topic.name != generation.topic:\n",
        after="        if not topic.name:\n",
        tests=(SQLITE + "test_another_topic_is_refused",),
    ),
    _catalog(
        "another version of the code writes into the rows of this one",
        before="        if not is_same(generation, blueprint):\n            raise",
        after="        if not generation:\n            raise",
        tests=(SQLITE + "test_other_code_is_refused",),
    ),
    _claims(
        "a partition is noted to be quiet by whoever asks",
        before="            tuple_(rows.c.partition, rows.c.owner, rows.c.epoch, rows.c.next_offset).in_(places),\n",
        after="            rows.c.partition.in_([place[0] for place in places]),\n",
        tests=(_QUIET + "needs_the_claim_and_the_place",),
    ),
    _claims(
        "how far a quiet partition is complete goes back",
        before="            or_(rows.c.quiet_until.is_(None), rows.c.quiet_until < until),\n",
        after="",
        tests=(_QUIET + "never_goes_back",),
    ),
    _claims(
        "a quiet partition is noted as its watermark",
        before=".values(quiet_until=until, attempts=0)",
        after=".values(watermark=until, attempts=0)",
        tests=(_QUIET + "is_no_time_of_a_record",),
    ),
]

_FAILURES = [
    _database(
        "a claim waits for a lock for ever",
        before='"lock_timeout": _milliseconds(timeouts.lock)',
        after='"lock_timeout": "0"',
        tests=("tests/worker/test_outages.py::test_a_lock_that_does_not_come",),
    ),
    _database(
        "a worker that was stopped in its transaction keeps the partition for ever",
        before='"idle_in_transaction_session_timeout": _milliseconds(timeouts.idle)',
        after='"idle_in_transaction_session_timeout": "0"',
        tests=(_ENGINE + "test_a_zombie_inside_its_transaction",),
    ),
    _database(
        "a worker that was stopped in the middle of its rows keeps the partition for ever",
        before='"statement_timeout": _milliseconds(timeouts.statement)',
        after='"statement_timeout": "0"',
        tests=(_ENGINE + "test_a_zombie_in_the_middle_of_its_rows",),
    ),
    _database(
        "a reader on PostgreSQL sees more than one moment",
        before="BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        after="BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
        tests=("tests/store/test_one_moment.py::test_a_snapshot_begins_with_its_marks[postgresql]",),
    ),
    _database(
        "connections that broke with another are used again",
        before="                    self._kept.pop().invalidate(error)\n            self.engine.dispose()\n",
        after="                    self._kept.pop().invalidate(error)\n",
        tests=("tests/store/test_connections.py::test_the_siblings_of_a_broken_connection_are_thrown_away",),
    ),
    _engine(
        "a server that says nothing is waited for",
        before='    event.listen(engine, "do_connect", _connect_bounded)\n',
        after="",
        tests=("tests/worker/test_outages_of_networks.py::test_a_server_that_does_not_answer",),
    ),
    _errors(
        "a deadlock is for good",
        before='_CONFLICTS = {"40001", "40P01"}',
        after='_CONFLICTS = {"40001"}',
        tests=(_ENGINE + "test_two_transactions_that_wait_for_each_other",),
    ),
    _errors(
        "a server that shuts down is for good",
        before='_PASSING_CLASSES = ("08", "53", "57")',
        after='_PASSING_CLASSES = ("08", "53")',
        tests=(_ENGINE + "test_a_terminated_backend",),
    ),
    _errors(
        "a full disk is for good",
        before="    sqlite3.SQLITE_FULL,\n",
        after="",
        tests=("tests/worker/test_outages_of_files.py::test_a_disk_that_is_full",),
    ),
    _errors(
        "a file that another writes to is for good",
        before="    sqlite3.SQLITE_BUSY,\n",
        after="",
        tests=(_ENGINE + "test_a_file_that_another_writes_to",),
    ),
    _errors(
        "a message of PostgreSQL is shown with its values",
        before='f"{name}, SQLSTATE {code}" if',
        after='f"{name}, SQLSTATE {code}: {error}" if',
        tests=(POSTGRES + "test_a_row_that_is_there_already_fails_the_batch",),
    ),
    _engine(
        "the password is shown",
        before="hide_password=True)",
        after="hide_password=False)",
        tests=(_CANARIES + "test_stores_that_are_refused",),
    ),
    _engine(
        "a password among the parameters is shown",
        before=' if "password" in name.lower()}',
        after=' if name == "secret"}',
        tests=(_ENGINE + "test_a_password_among_the_parameters_is_hidden",),
    ),
    _engine(
        "a store may live in memory",
        before="    if kind == SQLITE and _is_in_memory(url):\n",
        after="    if kind == SQLITE and not url:\n",
        tests=(_ENGINE + "test_memory_is_refused",),
    ),
    Bug(
        "a server that proves nothing is not warned of",
        "sql/tls.py",
        'if mode == "verify-full" or',
        'if mode != "disable" or',
        ("tests/security/test_postgres_tls.py::test_warning",),
    ),
]

BUGS = [*_FENCES, *_TAKEOVERS, *_FAILURES]
