"""The table ``checkpoints``: taking partitions over, and moving on only while they are still ours."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    case,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from everwhen.errors import Fenced, GenerationMismatch, TopicRecreated
from everwhen.instants import Micros
from everwhen.ports.continuity import Applied
from everwhen.ports.generations import Generation
from everwhen.ports.log import UNKNOWN_ID, TopicDescription
from everwhen.ports.store import Claim, Suspect
from everwhen.positions import Mark
from everwhen.sql.claims import not_ours, ours, place, unread_row
from everwhen.sql.continuity import (
    CLAIMED,
    PartitionTroubles,
    applied_columns,
    applied_parameters,
    check_incarnation,
    claimed_of,
)
from everwhen.sql.database import Database
from everwhen.sql.expressions import POSTGRESQL
from everwhen.sql.statement import Statement
from everwhen.sql.stuck import end_stuck
from everwhen.sql.tables import SharedTables
from everwhen.sql.versions import check_version

NOTHING_RECORDED: Final = -1
"""The watermark of a partition before its first record, outside the database."""
_CLAIMED: Final = ("next_offset", "watermark", "quiet_until", "epoch", "attempts")
_SUSPECT: Final = ("suspect_offset", "suspect_records", "suspect_deaths")


class Checkpoints:
    """Claims partitions and moves their checkpoints. Thread-safe."""

    def __init__(self, database: Database, shared: SharedTables) -> None:
        self._database = database
        self._shared = shared
        self._table = shared.checkpoints
        self.troubles = PartitionTroubles(database, shared)
        self._move = Statement(lambda: _moving(self._table), database.dialect)
        self._stand = Statement(lambda: _standing(self._table), database.dialect)

    def claim(self, generation: Generation, partitions: Sequence[int], topic: TopicDescription) -> dict[int, Claim]:
        """Take partitions over in one transaction; every earlier owner is fenced once it commits.

        :raises GenerationMismatch: if the generation is of another topic.
        :raises StoreMismatch: if the tables were upgraded since they were looked at.
        :raises TopicRecreated: if the topic is not the one that was read so far.
        :raises ClusterReplaced: if the cluster is not.
        """
        if topic.name != generation.topic:
            raise GenerationMismatch(
                f"projection {generation.projection} in {self._database.address} is of topic {generation.topic}, not "
                f"of {topic.name}; read the topic that it was built from, or use a fresh store"
            )
        owner = secrets.token_hex(16)
        try:
            with self._database.core(f"claiming partitions of {topic.name}") as connection:
                if self._database.kind == POSTGRESQL:
                    end_stuck(connection, self._table, self._database.statement_limit)
                self._check_version(connection)
                self.troubles.note_new_partitions(connection, generation, topic)
                # Always in the same order, so that two workers cannot wait for each other in a circle.
                return {
                    partition: self._claim_one(connection, generation, partition, topic, owner)
                    for partition in sorted(partitions)
                }
        except TopicRecreated:
            self.troubles.note_recreated(generation, topic)
            raise

    def move(self, connection: Any, claim: Claim, expected: int, reached: Mark, applied: Applied | None) -> int:
        """Move the checkpoint: the first statement of every batch, which also locks its row.

        :return: how many transactions have pruned entities of the partition.
        :raises Fenced: if the partition was claimed by somebody else or stands elsewhere.
        """
        parameters = _place(claim) | {
            "of_owner": claim.owner,
            "of_epoch": claim.epoch,
            "expected": expected,
            "reached": reached.next_offset,
            "new_watermark": stored_watermark(reached.watermark),
            **applied_parameters(applied),
        }
        # Closed whatever happens: on SQLite, a row that is left unread keeps later transactions from being committed.
        with closing(connection.cursor()) as cursor:
            moved = self._move.run(cursor, parameters).fetchall()
        if not moved:
            raise Fenced(self._why_fenced(connection, claim, expected))
        prunings: int = moved[0][0]
        return prunings

    def next_offset(self, claim: Claim) -> int:
        """Return where a claimed partition stands, after waiting for a transaction that is still writing it.

        :raises Fenced: if the partition was claimed by somebody else.
        """
        standing = select(self._table.c.next_offset).where(ours(self._table, claim))
        with self._database.core(f"looking where {place(claim)} stands") as connection:
            # Locked: a server that lost its connection to us may not have finished our commit yet.
            stands = connection.execute(standing.with_for_update()).scalar()
        if stands is None:
            raise not_ours(claim)
        return int(stands)

    def note_quiet(self, stands: Sequence[tuple[Claim, int]], until: Micros) -> frozenset[int]:
        """Note for partitions that are still ours, and stand where they stood, that they are quiet until an instant.

        :param stands: claims of one generation, each with its next offset.
        :return: the partitions for which it was noted; where a later instant is noted already, it stays.
        """
        if not stands:
            return frozenset()
        generation = stands[0][0].generation
        with self._database.core(f"noting idle partitions of {generation.topic}") as connection:
            noted = connection.execute(_quieting(self._table, generation, stands, until))
            return frozenset(noted.scalars())

    def _check_version(self, connection: Connection) -> None:
        """Refuse tables of another version, and keep those of ours from being upgraded until the transaction ends."""
        if self._database.kind == POSTGRESQL:
            name = connection.dialect.identifier_preparer.format_table(self._table)
            connection.exec_driver_sql(f"LOCK TABLE {name} IN ROW EXCLUSIVE MODE")
        check_version(connection, self._shared, self._database.address)

    def _claim_one(
        self, connection: Connection, generation: Generation, partition: int, topic: TopicDescription, owner: str
    ) -> Claim:
        values = unread_row(generation, partition, topic) | {"owner": owner, "epoch": 1, "attempts": 1}
        row = connection.execute(_claiming(self._table, self._database.kind, values)).one()
        check_incarnation(row, generation, partition, topic)
        watermark, quiet_until = (
            NOTHING_RECORDED if instant is None else instant for instant in (row.watermark, row.quiet_until)
        )
        suspect = Suspect(*row[-3:]) if row.suspect_deaths else None
        mark = Mark(row.next_offset, watermark)
        return Claim(
            generation,
            partition,
            owner,
            row.epoch,
            mark,
            quiet_until,
            row.attempts - 1,
            suspect,
            *claimed_of(row),
        )

    def _why_fenced(self, connection: Any, claim: Claim, expected: int) -> str:
        row = self._stand.run(connection.cursor(), _place(claim)).fetchone()
        found = f"it stands at {row[0]} under claim {row[1]}" if row is not None else "it is not there"
        return (
            f"{place(claim)} of projection {claim.generation.projection} was expected at "
            f"offset {expected} under claim {claim.epoch}, and {found}: another worker has taken the partition over. "
            "Nothing of this batch was written; claim it again to go on"
        )


def _place(claim: Claim) -> dict[str, Any]:
    return {
        "of_projection": claim.generation.projection,
        "of_number": claim.generation.number,
        "of_partition": claim.partition,
    }


def stored_watermark(watermark: Micros) -> Micros | None:
    """Return the watermark as the database keeps it."""
    return None if watermark == NOTHING_RECORDED else watermark


def _moving(table: Table) -> Update:
    still_ours = and_(
        table.c.owner == bindparam("of_owner"),
        table.c.epoch == bindparam("of_epoch"),
        table.c.next_offset == bindparam("expected"),
    )
    moved: dict[str, Any] = {"next_offset": bindparam("reached"), "watermark": bindparam("new_watermark")}
    moved |= {"attempts": 0, "suspect_offset": None, "suspect_deaths": None}
    moving = update(table).where(_here(table), still_ours).values(moved | applied_columns(table))
    return moving.returning(table.c.prunings)


def _quieting(table: Table, generation: Generation, stands: Sequence[tuple[Claim, int]], until: Micros) -> Any:
    """Write the one statement for all partitions: several rows are locked at once only here and when claiming.

    It takes none that is locked: a claim waits for the rows of others one by one, and could wait for this in a circle.
    """
    places = [(claim.partition, claim.owner, claim.epoch, next_offset) for claim, next_offset in stands]

    def still_ours(rows: FromClause) -> ColumnElement[bool]:
        return and_(
            rows.c.projection == generation.projection,
            rows.c.number == generation.number,
            tuple_(rows.c.partition, rows.c.owner, rows.c.epoch, rows.c.next_offset).in_(places),
            or_(rows.c.quiet_until.is_(None), rows.c.quiet_until < until),
        )

    free = table.alias("free")
    # A common table expression, so that it is worked out once and not for each row again.
    unlocked = select(free.c.partition).where(still_ours(free)).with_for_update(skip_locked=True).cte("unlocked")
    ours_and_free = and_(still_ours(table), table.c.partition.in_(select(unlocked.c.partition)))
    noted = update(table).where(ours_and_free).values(quiet_until=until, attempts=0)
    return noted.returning(table.c.partition)


def _standing(table: Table) -> Select[Any]:
    return select(table.c.next_offset, table.c.epoch).where(_here(table))


def _here(table: Table) -> ColumnElement[bool]:
    return and_(
        table.c.projection == bindparam("of_projection"),
        table.c.number == bindparam("of_number"),
        table.c.partition == bindparam("of_partition"),
    )


def _claiming(table: Table, kind: str, values: dict[str, Any]) -> Any:
    insert = postgresql.insert if kind == POSTGRESQL else sqlite.insert
    first: Any = insert(table).values(values)
    learned = {
        name: case((table.c[name] == UNKNOWN_ID, first.excluded[name]), else_=table.c[name])
        for name in ("cluster_id", "topic_id")
    }
    return first.on_conflict_do_update(
        index_elements=table.primary_key.columns.keys(),
        set_={
            "owner": first.excluded.owner,
            "epoch": table.c.epoch + 1,
            "attempts": table.c.attempts + 1,
            **learned,
        },
    ).returning(*(table.c[name] for name in (*_CLAIMED, *learned, *CLAIMED, *_SUSPECT)))
