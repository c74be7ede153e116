"""What operators decide when a log does not go on: the table ``decisions``, and the checkpoints they move."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, delete, insert, null, select, text, update

from everwhen.errors import ArgumentError, Repartitioned
from everwhen.ports.continuity import Decision, Kind, PartitionStand
from everwhen.ports.generations import Generation
from everwhen.ports.log import TopicDescription
from everwhen.sql.batch import SqlBatch, Writer
from everwhen.sql.claims import of_generation
from everwhen.sql.continuity import NOBODY, check_incarnation, claimed_of, columns_of
from everwhen.sql.database import Database
from everwhen.sql.expressions import POSTGRESQL
from everwhen.sql.queries import Queries
from everwhen.sql.rollback import SqlRollBack, Touched
from everwhen.sql.tables import GenerationTables, SharedTables
from everwhen.sql.versions import check_version


class SqlContinuity:
    """Implements :class:`everwhen.ports.continuity.StoreContinuity`."""

    def __init__(self, database: Database, shared: SharedTables, generation: Generation, writer: Writer) -> None:
        self._database = database
        self._shared = shared
        self._generation = generation
        self._writer = writer
        self._tables = GenerationTables(database.kind, generation.projection, generation.number)
        self._doing = f"deciding about projection {generation.projection}"

    @property
    def generation(self) -> Generation:
        """The generation that is decided about."""
        return self._generation

    def partitions(self) -> list[PartitionStand]:
        """Return where all partitions stand, in order.

        :raises StoreUnavailable: if the database cannot be reached.
        """
        table = self._shared.checkpoints
        asked = select(table).where(self._ours(table)).order_by(table.c.partition)
        with self._database.core(self._doing, reading=True) as connection:
            rows = connection.execute(asked).all()
        return list(map(_stand, rows))

    def decisions(self) -> list[Decision]:
        """Return all that was decided, in the order of time.

        :raises StoreUnavailable: if the database cannot be reached.
        """
        return decided(self._database, self._shared, self._generation)

    def accept_gap(self, topic: TopicDescription, partition: int, to_offset: int, reason: str) -> Decision:
        """Go on at a later offset, without the records in between.

        :raises ContinuityError: if the topic is another one than was read.
        :raises ArgumentError: if the partition stands there or behind it already, or is not there.
        """
        with self._database.core(self._doing) as connection:
            row = self._take(connection, partition)
            check_incarnation(row, self._generation, partition, topic)
            if row.next_offset >= to_offset:
                raise ArgumentError(
                    f"{self._place(partition)} stands at offset {row.next_offset}, and the log holds {to_offset} and "
                    "what follows: there is no gap to accept"
                )
            self._put(connection, partition, to_offset)
            return self._keep(connection, partition, "gap", row.next_offset, to_offset, reason)

    def accept_partitions(self, reason: str) -> list[Decision]:
        """Read the partitions that the topic was given, from their beginning.

        :raises ArgumentError: if there are none.
        """
        new = [
            each.partition
            for each in self.partitions()
            if each.trouble is not None and each.trouble.error == Repartitioned.__name__
        ]
        if not new:
            raise ArgumentError(f"topic {self._generation.topic} has no partition that waits to be accepted")
        with self._database.core(self._doing) as connection:
            table = self._shared.generations
            connection.execute(update(table).where(self._ours(table)).values(partitions=max(new) + 1))
            decisions = []
            for partition in new:
                self._take(connection, partition)
                self._put(connection, partition, 0)
                decisions.append(self._keep(connection, partition, "partitions", 0, 0, reason))
        return decisions

    def restart(self, topic: TopicDescription, reason: str) -> list[Decision]:
        """Throw away all that the generation holds, and begin at the beginning of a topic."""
        table, built = self._shared.checkpoints, self._shared.generations
        ids = {"cluster_id": topic.cluster_id, "topic_id": topic.topic_id}
        decisions = []
        with self._database.core(self._doing) as connection:
            found = select(table.c.partition).where(self._ours(table)).order_by(table.c.partition)
            for partition in connection.execute(found).scalars().all():
                row = self._take(connection, partition)
                self._put(connection, partition, 0, watermark=null(), **ids)
                decisions.append(self._keep(connection, partition, "restart", row.next_offset, 0, reason))
            connection.execute(delete(table).where(self._ours(table), table.c.partition >= topic.partitions))
            connection.execute(update(built).where(self._ours(built)).values(partitions=topic.partitions))
            for each in self._tables.metadata.sorted_tables:
                self._empty(connection, each)
        return decisions

    @contextmanager
    def roll_back(self, partition: int, to_offset: int, reason: str) -> Iterator[SqlRollBack]:
        """Open a transaction in which a partition goes back, for whoever folds its entities again.

        :raises ArgumentError: if the partition stands in front of the offset, or is not there, or if one of
            the entities that it touches was pruned.
        """
        queries = Queries(self._database.kind, self._database.dialect, self._shared, self._generation)
        with self._database.core(self._doing) as connection:
            row = self._take(connection, partition)
            if not 0 <= to_offset <= row.next_offset:
                raise ArgumentError(f"{self._place(partition)} stands at offset {row.next_offset}: it can only go back")
            touched = Touched(connection, self._tables, partition, to_offset)
            if (pruned := touched.pruned()) is not None:
                raise ArgumentError(
                    f"{self._place(partition)} cannot go back to offset {to_offset}: entity {pruned!r} has records "
                    "from there on, and its history was pruned, so it cannot be folded again from its rows. Begin "
                    "anew from the log with everwhen continuity restart"
                )
            watermark = touched.watermark()
            batch = SqlBatch(self._writer, connection.connection.driver_connection)
            yield SqlRollBack(row.next_offset, batch, touched, queries, self._generation)
            touched.forget_records()
            self._put(connection, partition, to_offset, watermark=watermark)
            self._keep(connection, partition, "roll-back", row.next_offset, to_offset, reason)

    def _take(self, connection: Connection, partition: int) -> Row[Any]:
        """Claim a partition for this transaction, so that every worker is fenced when it commits."""
        table = self._shared.checkpoints
        here = (self._ours(table), table.c.partition == partition)
        taken = {"owner": secrets.token_hex(16), "epoch": table.c.epoch + 1}
        row = connection.execute(update(table).where(*here).values(taken).returning(*table.c)).one_or_none()
        check_version(connection, self._shared, self._database.address)
        if row is None:
            raise ArgumentError(f"{self._place(partition)} of projection {self._generation.projection} was never read")
        return row

    def _put(self, connection: Connection, partition: int, offset: int, **more: Any) -> None:
        """Let a partition stand elsewhere, with nothing against it, and no record to know the log by."""
        table = self._shared.checkpoints
        here = (self._ours(table), table.c.partition == partition)
        unknown: dict[str, Any] = {
            "last_offset": None,
            "last_checksum": None,
            "leader_epoch": None,
            "quiet_until": None,
        }
        unknown |= {"attempts": 0, "suspect_offset": None, "suspect_deaths": None}
        connection.execute(
            update(table).where(*here).values({"next_offset": offset, **unknown, **columns_of(None), **more})
        )

    def _keep(self, connection: Connection, partition: int, kind: Kind, start: int, end: int, reason: str) -> Decision:
        decision = Decision(partition, time.time_ns() // 1000, kind, start, end, reason)
        of = {"projection": self._generation.projection, "number": self._generation.number}
        connection.execute(insert(self._shared.decisions).values(of | decision._asdict()))
        return decision

    def _empty(self, connection: Connection, table: Table) -> None:
        if self._database.kind == POSTGRESQL:
            name = connection.dialect.identifier_preparer.format_table(table)
            connection.execute(text(f"TRUNCATE {name}"))
        else:
            connection.execute(delete(table))

    def _ours(self, table: Table) -> ColumnElement[bool]:
        return of_generation(table, self._generation)

    def _place(self, partition: int) -> str:
        return f"{self._generation.topic}[{partition}]"


def decided(database: Database, shared: SharedTables, generation: Generation) -> list[Decision]:
    """Return what was decided about a generation, in the order of time."""
    table = shared.decisions
    rows = table.c
    asked = (
        select(*(rows[name] for name in Decision._fields))
        .where(of_generation(table, generation))
        .order_by(rows.decided_at, rows.partition)
    )
    with database.core("looking at what was decided", reading=True) as connection:
        return [Decision(*row) for row in connection.execute(asked)]


def _stand(row: Row[Any]) -> PartitionStand:
    owner = None if row.owner == NOBODY else row.owner
    known = [instant for instant in (row.watermark, row.quiet_until) if instant is not None]
    until = max(known, default=-1)
    return PartitionStand(row.partition, row.next_offset, *claimed_of(row), owner, row.epoch, until)
