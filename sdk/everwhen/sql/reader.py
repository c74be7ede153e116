"""Answers from one generation."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from everwhen.instants import Micros
from everwhen.ports.answers import AsOf, Changed, EntityRows, Found, HeadRow, StoreJoin, VersionRow
from everwhen.ports.continuity import Decision
from everwhen.ports.generations import Generation
from everwhen.ports.listening import Standing
from everwhen.positions import Basis
from everwhen.projection.rows import Head, Version
from everwhen.sql.database import Database
from everwhen.sql.decisions import decided
from everwhen.sql.errors import translated
from everwhen.sql.expressions import POSTGRESQL
from everwhen.sql.found import ENDED_AT, HEAD, VERSION, ask, basis_of, found_of, head_of, is_unstored, rows_of, then
from everwhen.sql.join import SqlJoin
from everwhen.sql.queries import Queries, Timed
from everwhen.sql.reached import Reached
from everwhen.sql.tables import SharedTables

if TYPE_CHECKING:
    from everwhen.sql.prepared_find import PreparedFind

_FETCHED_AT_ONCE: Final = 500

_HeadsAndRows: TypeAlias = Generator[tuple[HeadRow | None, Sequence[Any]], None, None]
_ChangedRows: TypeAlias = Generator[tuple[Micros, HeadRow | None, Sequence[Any]], None, None]


class SqlReader:
    """Questions to one generation. Implements :class:`everwhen.ports.answers.StoreReader`.

    Thread-safe; every method blocks until the database has answered.
    """

    def __init__(self, database: Database, shared: SharedTables, generation: Generation) -> None:
        self._database = database
        self._shared = shared
        self._generation = generation
        self._doing = f"reading projection {generation.projection}"
        self._queries = Queries(database.kind, database.dialect, shared, generation)
        self._reached = Reached(database.kind, database.dialect, shared, generation)
        self._prepared = _make_prepared(self._queries, generation) if database.kind == POSTGRESQL else None

    @property
    def generation(self) -> Generation:
        """The generation that answers."""
        return self._generation

    def marks(self) -> Basis:
        """Return how far each partition is projected.

        :raises StoreUnavailable: if the database cannot be reached.
        """
        with self._database.connection(self._doing) as connection:
            return self._marks(connection)

    def standing(self, partition: int) -> Standing | None:
        """Return where a partition stands; ``None`` if nobody has claimed it yet.

        :raises StoreUnavailable: if the database cannot be reached.
        """
        with self._database.connection(self._doing) as connection:
            return self._reached.standing(connection.cursor(), partition)

    def knows(self, entity_id: str, event_id: str) -> bool:
        """Say whether an event of the entity came, whatever became of it.

        :raises StoreUnavailable: if the database cannot be reached.
        """
        with self._database.connection(self._doing) as connection:
            return self._reached.knows(connection.cursor(), entity_id, event_id)

    def find(self, entity_id: str, as_of: AsOf) -> Found:
        """Find the version of one entity that is valid at the instant, in one statement and so in one snapshot.

        :raises ArgumentError: if the basis is of another topic.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        prepared = self._prepared

        def question(connection: Any, session: Any) -> Found:
            if prepared is not None:
                found = prepared.find(connection, session, entity_id, as_of)
            else:
                found = self._find(connection, self._queries.find, entity_id, as_of)
            if found is None:
                found = self._find(connection, self._queries.find_anyway, entity_id, as_of)
                assert found is not None
            return found

        return self._database.ask(self._doing, question)

    def _find(self, connection: Any, question: Timed, entity_id: str, as_of: AsOf) -> Found | None:
        statement, parameters = ask(question, as_of, self._generation)
        parameters["entity_id"] = entity_id
        row = statement.run(connection.cursor(), parameters).fetchone()
        if row is None:
            return None
        basis = basis_of(self._generation, row[0])
        return found_of(basis, head_of(row[1 : 1 + HEAD]), row[1 + HEAD :], as_of, as_of.valid_at)

    def history(self, entity_id: str, as_of: AsOf) -> tuple[Found, list[VersionRow]]:
        """Return all versions believed at the basis, ordered by ``(valid_from, offset)``, ties included.

        ``as_of.valid_at`` plays no part; ``Found.row`` is ``None``. Where ``Found.unstored`` is true, there are no
        rows. A version that shares its instant with the next one has an empty interval.

        :raises ArgumentError: if the basis is of another topic.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        statement, parameters = ask(self._queries.history, as_of, self._generation)
        parameters["entity_id"] = entity_id
        with self._database.reading(self._doing) as connection:
            cursor = connection.cursor()
            about = self._queries.about.run(cursor, {"entity_id": entity_id}).fetchone()
            head = None if about[1] is None else HeadRow.of(Head(*about[1:]))
            unstored = is_unstored(head, as_of, None)
            rows = [] if unstored else statement.run(cursor, parameters).fetchall()
        found = Found(basis_of(self._generation, about[0]), head, None, unstored)
        ends = [*(row[1] for row in rows[1:]), None]
        return found, [
            VersionRow.of(Version(*row[:VERSION]), end, row[ENDED_AT]) for row, end in zip(rows, ends, strict=False)
        ]

    def rows(self, entity_id: str) -> EntityRows:
        """Return everything that is stored about one entity, in one snapshot.

        :raises StoreUnavailable: if the database cannot be reached.
        """
        with self._database.reading(self._doing) as connection:
            return rows_of(connection.cursor(), self._queries, self._generation, entity_id)

    def decisions(self) -> list[Decision]:
        """Return what was decided where the log did not go on, in the order of time.

        :raises StoreUnavailable: if the database cannot be reached.
        """
        return decided(self._database, self._shared, self._generation)

    @contextmanager
    def believed(self, basis: Basis) -> Iterator[Iterator[tuple[Head, list[Version]]]]:
        """Stream every entity with all versions believed of it at a basis, in one snapshot.

        They are ordered by entity id, by code points, and its versions by ``(valid_from, offset)``. For an entity of
        which that belief is not kept as rows there are those that are; its head tells.

        :raises ArgumentError: if the basis is of another topic.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        parameters = then(AsOf(0, basis, basis.known_at), self._generation)
        with self._database.reading(self._doing) as connection, ExitStack() as cursors:
            heads, rows = (self._cursor(connection, name, cursors) for name in ("everwhen_heads", "everwhen_rows"))
            yield self._each_believed(self._queries.heads.run(heads, {}), self._queries.believed.run(rows, parameters))

    def _cursor(self, connection: Any, name: str, cursors: ExitStack) -> Any:
        if self._database.kind != POSTGRESQL:
            return connection.cursor()
        cursor = cursors.enter_context(connection.cursor(name=name))
        cursor.itersize = _FETCHED_AT_ONCE
        return cursor

    def _each_believed(self, heads: Any, rows: Any) -> Generator[tuple[Head, list[Version]], None, None]:
        with translated(self._database.address, self._doing):
            groups = groupby(rows, key=itemgetter(0))
            of_rows, group = next(groups, (None, ()))
            for columns in heads:
                head, versions = Head(*columns), []
                if of_rows == head.entity_id:
                    versions = [Version(*row[:VERSION]) for row in group]
                    of_rows, group = next(groups, (None, ()))
                yield head, versions

    @contextmanager
    def changes(self, since: Basis, valid_at: Micros) -> Iterator[tuple[Basis, Iterator[Changed]]]:
        """Stream every entity of which other events count now than at ``since``, in one snapshot, by entity id.

        :raises ArgumentError: if the basis is of another topic.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        parameters = {"valid_at": valid_at} | then(AsOf(valid_at, since, since.known_at), self._generation)
        with self._database.reading(self._doing) as connection:
            basis = self._marks(connection)
            # Closed here, as for a snapshot.
            with closing(self._changed(connection, basis, parameters)) as stream:
                yield basis, stream

    def _changed(self, connection: Any, basis: Basis, parameters: dict[str, Any]) -> Generator[Changed, None, None]:
        valid_at: Micros = parameters["valid_at"]
        rows = self._changed_rows_joined if self._queries.changes is not None else self._changed_rows_sought
        with translated(self._database.address, self._doing), closing(rows(connection, parameters)) as found:
            for changed_from, head, row in found:
                yield Changed(changed_from, found_of(basis, head, row, AsOf(valid_at), valid_at))

    def _changed_rows_joined(self, connection: Any, parameters: dict[str, Any]) -> _ChangedRows:
        assert self._queries.changes is not None
        with connection.cursor(name="everwhen_changes") as cursor:
            cursor.itersize = _FETCHED_AT_ONCE
            for row in self._queries.changes.run(cursor, parameters):
                yield row[0], head_of(row[1 : 1 + HEAD]), row[1 + HEAD :]

    def _changed_rows_sought(self, connection: Any, parameters: dict[str, Any]) -> _ChangedRows:
        cursor = connection.cursor()
        for row in self._queries.recorded_since.run(connection.cursor(), parameters):
            parameters["entity_id"] = row[0]
            (changed_from,) = self._queries.changed_from.run(cursor, parameters).fetchone()
            if changed_from is not None:
                yield changed_from, head_of(row), self._queries.seek.now.run(cursor, parameters).fetchone()

    @contextmanager
    def snapshot(self, as_of: AsOf) -> Iterator[tuple[Basis, Iterator[Found]]]:
        """Stream every entity that has a version at or before the instant, ordered by entity id, in one snapshot.

        Order is that of code points. The iterator holds one connection and a bounded number of rows, and ends with
        the context.

        :raises ArgumentError: if the basis is of another topic.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        with self._database.reading(self._doing) as connection:
            basis = self._marks(connection)
            # Closed here, since a cursor of the server must be gone before its transaction ends.
            with closing(self._stream(connection, basis, as_of)) as stream:
                yield basis, stream

    def _stream(self, connection: Any, basis: Basis, as_of: AsOf) -> Generator[Found, None, None]:
        rows = self._seeking(connection, as_of) if self._queries.snapshot is None else self._joined(connection, as_of)
        # Whoever iterates may not be inside the context that lent the connection, which translates errors too.
        with translated(self._database.address, self._doing), closing(rows):
            for head, row in rows:
                found = found_of(basis, head, row, as_of, as_of.valid_at)
                if found.row is not None or found.unstored or (head is not None and head.pruned_before is not None):
                    yield found

    def _joined(self, connection: Any, as_of: AsOf) -> _HeadsAndRows:
        assert self._queries.snapshot is not None
        # Loaded only here: a store in SQLite must not ask for PostgreSQL's driver.
        from everwhen.sql.postgres_rows import head_columns, stream, version_columns

        # Closed before the transaction ends, as the connection may be busy.
        with closing(stream(connection, *ask(self._queries.snapshot, as_of, self._generation))) as rows:
            for row in rows:
                yield head_of(head_columns(row[:HEAD])), version_columns(row[HEAD:])

    def _seeking(self, connection: Any, as_of: AsOf) -> _HeadsAndRows:
        statement, parameters = ask(self._queries.seek, as_of, self._generation)
        cursor = connection.cursor()
        for row in self._queries.head_rows.run(connection.cursor(), {}):
            parameters["entity_id"] = row[0]
            yield head_of(row), statement.run(cursor, parameters).fetchone()

    @contextmanager
    def join(self, as_of: AsOf) -> Iterator[StoreJoin]:
        """Open a snapshot to ask about many points in. It holds one connection, and ends with the context.

        ``as_of.valid_at`` plays no part.

        :raises ArgumentError: if the basis is of another topic.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        with self._database.reading(self._doing) as connection:
            marks = self._marks(connection)
            join = SqlJoin(self._database, self._queries, self._generation, connection, marks, as_of, self._prepared)
            try:
                yield join
            finally:
                join.settle()

    def _marks(self, connection: Any) -> Basis:
        return basis_of(self._generation, self._queries.marks.run(connection.cursor(), {}).fetchone()[0])


def _make_prepared(queries: Queries, generation: Generation) -> PreparedFind:
    # Loaded only when it is needed: a store in SQLite must not ask for PostgreSQL's driver.
    from everwhen.sql.prepared_find import PreparedFind

    return PreparedFind(queries, generation)
