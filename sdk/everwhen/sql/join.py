"""Many points, all in one snapshot of the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from everwhen.instants import Micros
from everwhen.ports.answers import AsOf, EntityRows, Found, HeadRow
from everwhen.ports.generations import Generation
from everwhen.positions import Basis
from everwhen.sql.database import Database
from everwhen.sql.errors import translated
from everwhen.sql.found import NOTHING, ask, found_of, head_of, rows_of
from everwhen.sql.queries import Queries

if TYPE_CHECKING:
    from everwhen.sql.prepared_find import PreparedFind

Point: TypeAlias = tuple[str, Micros]
"""An entity and an instant."""
Looked: TypeAlias = Iterable[tuple[Micros, HeadRow | None, Sequence[Any]]]
"""For each point its instant, the head, and the columns that a seek gives."""


class Points(Protocol):
    """How many points are looked at."""

    def look(self, points: Iterable[Point]) -> Looked:
        """Look at all points, in the order given. Other questions may be put in between, after :meth:`settle`."""
        ...

    def settle(self) -> None:
        """Wait until the connection is free."""
        ...


class SqlJoin:
    """Questions about many points. Implements :class:`everwhen.ports.answers.StoreJoin`.

    :param connection: in a transaction that sees one snapshot.
    :param marks: how far everything is projected in it.
    :param as_of: what was known.
    :param prepared: statements for PostgreSQL.
    """

    def __init__(
        self,
        database: Database,
        queries: Queries,
        generation: Generation,
        connection: Any,
        marks: Basis,
        as_of: AsOf,
        prepared: PreparedFind | None,
    ) -> None:
        self.generation = generation
        self.marks = marks
        self._address = database.address
        self._doing = f"reading projection {generation.projection}"
        self._queries = queries
        self._connection = connection
        self._as_of = as_of
        self._points = _make_points(prepared, connection, queries, as_of, generation)
        self._last: tuple[str, EntityRows] | None = None

    def find(self, points: Iterable[Point]) -> Iterator[Found]:
        """Find the version that is valid for each entity and instant, in the order given.

        :raises StoreUnavailable: if the database failed.
        """
        # Whoever iterates is not inside the context that lent the connection, and so has errors translated.
        with translated(self._address, self._doing):
            for valid_at, head, row in self._points.look(points):
                yield found_of(self.marks, head, row, self._as_of, valid_at)

    def settle(self) -> None:
        """Wait for what the server is doing, so that the transaction can end."""
        self._points.settle()

    def rows(self, entity_id: str) -> EntityRows:
        """Return everything that is stored about one entity.

        :raises StoreUnavailable: if the database failed.
        """
        # Points are sorted, so the same entity may be asked for many times on end.
        if self._last is None or self._last[0] != entity_id:
            with translated(self._address, self._doing):
                self._points.settle()
                rows = rows_of(self._connection.cursor(), self._queries, self.generation, entity_id)
            self._last = entity_id, rows
        return self._last[1]


class SeekingPoints:
    """A seek for each point: in the same process there is no round trip to save. Connections are of any database."""

    def __init__(self, connection: Any, queries: Queries, as_of: AsOf, generation: Generation) -> None:
        self._cursor = connection.cursor()
        self._head = queries.head
        self._statement, self._parameters = ask(queries.seek, as_of, generation)

    def look(self, points: Iterable[Point]) -> Looked:
        """Look at one after the other; at an entity once for neighbours."""
        cursor, parameters = self._cursor, self._parameters
        entity, head = None, None
        for entity_id, valid_at in points:
            if entity_id != entity:
                entity = parameters["entity_id"] = entity_id
                head = head_of(self._head.run(cursor, parameters).fetchone() or NOTHING)
            parameters["valid_at"] = valid_at
            yield valid_at, head, NOTHING if head is None else self._statement.run(cursor, parameters).fetchone()

    def settle(self) -> None:
        """Do nothing: nothing is under way when the caller has control."""


def _make_points(
    prepared: PreparedFind | None, connection: Any, queries: Queries, as_of: AsOf, generation: Generation
) -> Points:
    if prepared is None:
        return SeekingPoints(connection, queries, as_of, generation)
    # Loaded only when it is needed: a store in SQLite must not ask for PostgreSQL's driver.
    from everwhen.sql.postgres_join import ArrayPoints

    return ArrayPoints(connection, queries, as_of, generation, prepared)
