"""The store on a SQL database."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import URL, Engine

from everwhen.instants import Micros
from everwhen.ports.continuity import Applied, Trouble
from everwhen.ports.generations import Blueprint, Generation
from everwhen.ports.listening import Heard, Listening, Moved
from everwhen.ports.log import TopicDescription
from everwhen.ports.store import Claim
from everwhen.positions import Mark
from everwhen.projection.rows import Quarantined
from everwhen.sql.batch import SqlBatch, Writer
from everwhen.sql.catalog import Catalog
from everwhen.sql.checkpoints import Checkpoints
from everwhen.sql.database import Database
from everwhen.sql.decisions import SqlContinuity
from everwhen.sql.engine import Timeouts
from everwhen.sql.expressions import POSTGRESQL
from everwhen.sql.generations import SqlGenerations
from everwhen.sql.listening import Listeners
from everwhen.sql.pruning import SqlPruning
from everwhen.sql.quarantine import SqlQuarantine, requested
from everwhen.sql.reader import SqlReader
from everwhen.sql.schema import SqlSchema
from everwhen.sql.suspects import Suspects
from everwhen.sql.tables import GenerationTables, SharedTables


class SqlStore:
    """Generations of projections in PostgreSQL or in an SQLite file.

    :param target: a URL (``postgresql+psycopg://…``, also written ``postgresql://…``, or ``sqlite:///FILE``), or an
        ``Engine`` of one of these. An engine that is given is never closed, and its connections are used as they
        are; a file that is given by its URL is opened with ``synchronous=NORMAL``.
    :param timeouts: how long a transaction that writes may be in the way of others.
    :raises SettingsError: if the URL is of another database, or of one in memory.
    :raises MissingExtra: if the driver is not installed.

    Opening connects to nothing. Implements :class:`everwhen.ports.store.Store`. Thread-safe; every method blocks
    until the database has answered.
    """

    def __init__(self, target: str | URL | Engine, *, timeouts: Timeouts | None = None) -> None:
        self._database = Database(target, timeouts or Timeouts())
        self._shared = SharedTables(self._database.kind)
        self._catalog = Catalog(self._database, self._shared)
        self._checkpoints = Checkpoints(self._database, self._shared)
        self._suspects = Suspects(self._database, self._shared)
        self._listeners = Listeners(self._database)
        self._writers: dict[tuple[str, int], Writer] = {}
        self._making = threading.Lock()

    @property
    def address(self) -> str:
        """Where it is, without secrets, for messages."""
        return self._database.address

    def schema(self) -> SqlSchema:
        """Open the tables themselves: to make, upgrade and check them."""
        return SqlSchema(self._database, self._shared, self._catalog)

    def prepare(self, blueprint: Blueprint, number: int | None = None) -> Generation:
        """Make sure that tables and a generation for the projection are there; create what is missing.

        Any number of processes may do so at once.

        :param number: of the generation to return; left out, the one that answers if this code built it, else the
            newest one that this code built.
        :raises GenerationNotFound: if there is none of this number.
        :raises ArgumentError: if the projection's name cannot be one of tables.
        :raises GenerationMismatch: if it was built by another version or other code, or all of them were.
        :raises StoreMismatch: if the tables are of another schema version.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        return self._catalog.prepare(blueprint, number)

    def claim(self, generation: Generation, partitions: Sequence[int], topic: TopicDescription) -> dict[int, Claim]:
        """Take partitions over, in a transaction of its own: from here on every earlier owner is fenced.

        :raises GenerationMismatch: if the generation is of another topic.
        :raises GenerationNotFound: if the generation was dropped.
        :raises StoreMismatch: if the tables were upgraded since they were looked at.
        :raises TopicRecreated: if the topic is not the one that was read so far, though it has the same name.
        :raises ClusterReplaced: if it is in another cluster.
        :raises StoreUnavailable: if the database failed, or a batch of the earlier owner did not end in time.
        """
        return self._checkpoints.claim(generation, partitions, topic)

    @contextmanager
    def batch(
        self, claim: Claim, expected: int, reached: Mark, *, applied: Applied | None = None
    ) -> Iterator[SqlBatch]:
        """Open a transaction whose first statement moves the checkpoint from ``expected`` to ``reached``.

        Leaving the context commits; an exception rolls everything back.

        :param applied: the last record of the batch, kept with the checkpoint; ``None`` if there is none.
        :raises Fenced: if the partition was claimed by somebody else or stands elsewhere.
        :raises StoreUnavailable: if the database failed; whether a commit took effect is then unknown.
        """
        writer = self._writer(claim.generation)
        place = f"{claim.generation.topic}[{claim.partition}]@{expected}"
        moved = Moved(claim.generation.number, claim.partition, reached.next_offset)
        told = self._listeners.notification(claim.generation.projection, moved)
        with self._database.writing(f"projecting {place}", afterwards=told) as connection:
            prunings = self._checkpoints.move(connection, claim, expected, reached, applied)
            yield SqlBatch(writer, connection, prunings)

    def note_trouble(self, claim: Claim, trouble: Trouble | None) -> None:
        """Keep why a partition stands still, or that it does not; the next batch forgets it too.

        :raises Fenced: if the partition was claimed by somebody else.
        :raises StoreUnavailable: if the database failed.
        """
        self._checkpoints.troubles.note(claim, trouble)

    def next_offset(self, claim: Claim) -> int:
        """Return where a claimed partition stands, after waiting for a transaction that is still writing it.

        So it says for certain whether a batch took effect whose commit was not answered.

        :raises Fenced: if the partition was claimed by somebody else.
        :raises StoreUnavailable: if the database failed, or the transaction did not end in time.
        """
        return self._checkpoints.next_offset(claim)

    def note_quiet(self, stands: Sequence[tuple[Claim, int]], until: Micros) -> frozenset[int]:
        """Note that no record comes any more that is recorded at or before ``until``; never go back.

        A partition that was claimed by somebody else, stands elsewhere or is being written is passed over.

        :param stands: claims of one generation, each with the next offset at which the partition was found idle.
        :return: the partitions for which it was noted.
        :raises StoreUnavailable: if the database failed.
        """
        return self._checkpoints.note_quiet(stands, until)

    def suspect(self, claim: Claim, offset: int, records: int) -> int:
        """Note, in a transaction of its own, that a claimed partition's next records are about to be applied.

        :return: in how many claims exactly this was noted, this one included, and not removed or taken back.
        :raises Fenced: if the partition was claimed by somebody else.
        :raises StoreUnavailable: if the database failed.
        """
        return self._suspects.note(claim, offset, records)

    def take_back(self, claim: Claim, offset: int, records: int) -> None:
        """Take back what :meth:`suspect` noted under this claim: the process is alive, and the records not to blame.

        :raises StoreUnavailable: if the database failed.
        """
        self._suspects.take_back(claim, offset, records)

    def release(self, claims: Sequence[Claim]) -> None:
        """Say that these claims end in order, so that they do not count as deaths; those of somebody else stay.

        :param claims: of one generation, under none of which a batch was committed.
        :raises StoreUnavailable: if the database failed.
        """
        self._suspects.release(claims)

    def requests(self, claims: Sequence[Claim]) -> list[Quarantined]:
        """Return the records of these partitions that something is asked for, in order of their positions.

        :raises StoreUnavailable: if the database failed.
        """
        return requested(self._database, claims)

    def listening(self, projection: str, heard: Heard) -> AbstractContextManager[Listening]:
        """Have ``heard`` called after batches of the projection while the context lasts; never on SQLite.

        All who listen to one projection share one connection, which is no part of the engine's pool, and a thread; both
        are there while somebody listens, and for a few seconds more. A database that is reached through a pool of
        connections that gives each transaction another one, or that only follows another, tells nothing.
        """
        return self._listeners.listening(projection, heard)

    def generations(self, projection: str) -> SqlGenerations:
        """Open the generations of a projection. Asks the database nothing yet."""
        return SqlGenerations(self._database, self._shared, self._catalog, projection)

    def find(self, projection: str, number: int | None = None) -> Generation:
        """Return the generation that answers for the projection, or the one of a number.

        :raises ProjectionNotFound: naming the projections that are there.
        :raises GenerationNotFound: naming the generations that are there.
        :raises StoreMismatch: if the tables are of another schema version.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        return self._catalog.find(projection, number)

    def standing_for(self, projection: str, number: int) -> Generation:
        """Return the generation that answers as the one of a number does: that one or, if it was dropped, its like.

        :raises GenerationNotFound: if it was never there, or other code built all that is left.

        Other errors are those of :meth:`find`.
        """
        return self._catalog.standing_for(projection, number)

    def quarantine(self, projection: str, number: int | None = None) -> SqlQuarantine:
        """Open what is kept aside of the generation that answers for the projection, or of the one of a number.

        Errors are those of :meth:`find`.
        """
        return SqlQuarantine(self._database, self.find(projection, number))

    def continuity(self, projection: str, number: int | None = None) -> SqlContinuity:
        """Open what can be decided about the generation that answers for the projection, or the one of a number.

        Errors are those of :meth:`find`.
        """
        generation = self.find(projection, number)
        return SqlContinuity(self._database, self._shared, generation, self._writer(generation))

    def pruning(self, projection: str, number: int | None = None) -> SqlPruning:
        """Open what can be dropped of the generation that answers for the projection, or of the one of a number.

        Errors are those of :meth:`find`.
        """
        return SqlPruning(self._database, self._shared, self.find(projection, number))

    def reader(self, projection: str, number: int | None = None) -> SqlReader:
        """Open the generation that answers for the projection, or the one of a number.

        Errors are those of :meth:`find`.
        """
        return SqlReader(self._database, self._shared, self.find(projection, number))

    def close(self) -> None:
        """Free every connection that this object opened. Idempotent."""
        self._listeners.close()
        self._database.close()

    def _writer(self, generation: Generation) -> Writer:
        key = (generation.projection, generation.number)
        with self._making:
            if key not in self._writers:
                self._writers[key] = _make_writer(self._database, GenerationTables(self._database.kind, *key))
            return self._writers[key]


def _make_writer(database: Database, tables: GenerationTables) -> Writer:
    # Each is loaded only when it is needed: a store in SQLite must not ask for PostgreSQL's driver.
    if database.kind == POSTGRESQL:
        from everwhen.sql.postgres import PostgresWriter

        return PostgresWriter(tables, database.dialect)
    from everwhen.sql.sqlite import SqliteWriter

    return SqliteWriter(tables)
