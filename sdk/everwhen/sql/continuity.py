"""Whether the log goes on where the store stands: what is kept of it in ``checkpoints`` and ``generations``."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Row,
    Table,
    bindparam,
    case,
    null,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from everwhen.errors import ClusterReplaced, ContinuityError, GenerationNotFound, Repartitioned, TopicRecreated
from everwhen.ports.continuity import Applied, Trouble
from everwhen.ports.generations import Generation
from everwhen.ports.log import UNKNOWN_ID, TopicDescription
from everwhen.ports.store import Claim
from everwhen.sql.claims import not_ours, of_generation, ours, place, unread_row
from everwhen.sql.database import Database
from everwhen.sql.expressions import POSTGRESQL
from everwhen.sql.tables import SharedTables

NOBODY: Final = "nobody"
"""The owner of a partition that nobody has claimed yet."""


class PartitionTroubles:
    """Notes in the checkpoints why partitions stand still. Thread-safe."""

    def __init__(self, database: Database, shared: SharedTables) -> None:
        self._database = database
        self._checkpoints = shared.checkpoints
        self._generations = shared.generations

    def note(self, claim: Claim, trouble: Trouble | None) -> None:
        """Keep why a partition stands still, or that it does not.

        :raises Fenced: if the partition was claimed by somebody else.
        """
        noted = update(self._checkpoints).where(ours(self._checkpoints, claim)).values(columns_of(trouble))
        with self._database.core(f"noting whether {place(claim)} goes on") as connection:
            if connection.execute(noted).rowcount != 1:
                raise not_ours(claim)

    def note_new_partitions(self, connection: Connection, generation: Generation, topic: TopicDescription) -> None:
        """Keep how many partitions a generation is built from; later ones get a row that says so."""
        table = self._generations
        built = self._built_from(connection, generation)
        if built is None:
            first = update(table).where(of_generation(table, generation), table.c.partitions.is_(None))
            connection.execute(first.values(partitions=topic.partitions))
            return
        rows = [_unread(generation, partition, topic, built) for partition in range(built, topic.partitions)]
        if rows:
            insert = postgresql.insert if self._database.kind == POSTGRESQL else sqlite.insert
            new: Any = insert(self._checkpoints).values(rows)
            connection.execute(new.on_conflict_do_nothing())

    def _built_from(self, connection: Connection, generation: Generation) -> int | None:
        """Return how many partitions a generation is built from; as long as the transaction lasts it is not dropped.

        :raises GenerationNotFound: if it was.
        """
        table = self._generations.c
        asked = select(table.partitions).where(of_generation(self._generations, generation), table.state != "dropped")
        row = connection.execute(asked.with_for_update(read=True, key_share=True)).one_or_none()
        if row is None:
            raise GenerationNotFound(
                f"generation {generation.number} of projection {generation.projection} was dropped from "
                f"{self._database.address}; start the worker again, for the generation that its code built"
            )
        built: int | None = row.partitions
        return built

    def note_recreated(self, generation: Generation, topic: TopicDescription) -> None:
        """Keep for every partition that its topic is gone: ids are never used twice, so no worker can go on."""
        table = self._checkpoints
        gone = table.c.topic_id.not_in([topic.topic_id, UNKNOWN_ID])
        values = columns_of(Trouble(TopicRecreated.__name__)) | {"trouble_from": table.c.next_offset}
        with self._database.core(f"noting that topic {topic.name} was made again") as connection:
            connection.execute(update(table).where(of_generation(table, generation), gone).values(values))


def check_incarnation(row: Row[Any], generation: Generation, partition: int, topic: TopicDescription) -> None:
    """Compare the ids of cluster and topic with those that the partition was read from.

    :raises ClusterReplaced: for another cluster.
    :raises TopicRecreated: for another topic of the same name.
    """
    stood = f"{topic.name}[{partition}] was read up to offset {row.next_offset} from"
    remedy = (
        "so offsets do not mean the same. Connect to the log that the store was built from; if there is only this one, "
        f"begin anew with: everwhen continuity restart MODULE:{generation.projection} --reason TEXT"
    )
    kinds: tuple[tuple[str, type[ContinuityError], str, str, str], ...] = (
        ("cluster", ClusterReplaced, "it is another cluster", row.cluster_id, topic.cluster_id),
        ("topic id", TopicRecreated, "the topic was deleted and made again", row.topic_id, topic.topic_id),
    )
    for what, error, fate, held, found in kinds:
        if found not in (held, UNKNOWN_ID):
            raise error(
                f"{stood} {what} {held}, and this log has {what} {found}: {fate}, {remedy}", from_offset=row.next_offset
            )


def applied_columns(table: Table) -> dict[str, ColumnElement[Any]]:
    """Write how a batch keeps its last record; one without records leaves the earlier one."""
    offset = bindparam("applied_offset", type_=BigInteger)
    given = {
        "last_offset": offset,
        "last_checksum": bindparam("applied_checksum", type_=BigInteger),
        "leader_epoch": bindparam("applied_epoch", type_=Integer),
    }
    kept: dict[str, ColumnElement[Any]] = {
        name: case((offset.is_(None), table.c[name]), else_=value) for name, value in given.items()
    }
    return kept | {name: null() for name in ("trouble", "trouble_from", "trouble_to")}


def applied_parameters(applied: Applied | None) -> dict[str, int | None]:
    """Return the parameters for :func:`applied_columns`."""
    offset, checksum, epoch = applied or (None, None, None)
    return {"applied_offset": offset, "applied_checksum": checksum, "applied_epoch": epoch}


CLAIMED: Final = ("last_offset", "last_checksum", "leader_epoch", "trouble", "trouble_from", "trouble_to")
"""The columns that :func:`claimed_of` reads."""


def claimed_of(row: Row[Any]) -> tuple[Applied | None, Trouble | None]:
    """Return the last record that was applied, and why the partition stands still."""
    known = row.last_offset is not None and row.last_checksum is not None
    return (
        Applied(row.last_offset, row.last_checksum, row.leader_epoch) if known else None,
        None if row.trouble is None else Trouble(row.trouble, row.trouble_from, row.trouble_to),
    )


def columns_of(trouble: Trouble | None) -> dict[str, Any]:
    """Return the values of the columns that say why a partition stands still."""
    error, from_offset, to_offset = trouble or (None, None, None)
    return {"trouble": error, "trouble_from": from_offset, "trouble_to": to_offset}


def _unread(generation: Generation, partition: int, topic: TopicDescription, built: int) -> dict[str, Any]:
    added = columns_of(Trouble(Repartitioned.__name__, built, topic.partitions))
    return unread_row(generation, partition, topic) | {"owner": NOBODY, "epoch": 0, "attempts": 0} | added
