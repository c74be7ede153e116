"""Many points on PostgreSQL: two statements for all of them.

The points are given as arrays. Copied into a temporary table instead, and seeked from there, 20,000 points took as
long or longer (20 us a point against 16), and that can neither be done on a read-only replica nor without a trace in
the catalog.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from psycopg.pq.abc import PGresult

from everwhen.ports.answers import AsOf, HeadRow
from everwhen.ports.generations import Generation
from everwhen.sql import wire
from everwhen.sql.found import NOTHING, then
from everwhen.sql.join import Looked, Point
from everwhen.sql.postgres import Array, tuple_cursor
from everwhen.sql.postgres_rows import Reading, version_columns
from everwhen.sql.prepared import answer
from everwhen.sql.prepared_find import PreparedFind
from everwhen.sql.queries import Queries

_AT_ONCE: Final = 1_000
"""Points that the server looks at while those before are answered; what it says of them fits the buffers between."""
_MOST_HEADS: Final = 10_000
"""Heads that are kept, so that an entity is not looked at again in the next chunk."""
# Both statements are sets of index probes. Without statistics PostgreSQL may plan something else; and by the sum of
# the probes' costs it would compile the statement, which takes longer than running it.
_ONLY_PROBES: Final = "; ".join(
    f"SET LOCAL {name} = off"
    for name in ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit")
)


class _Part:
    """Some of the points, packed for the server; what it says of them once it is there."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = points
        self.arrays = {
            "entity_ids": wire.array(wire.TEXT, [entity_id for entity_id, _ in points]),
            "instants": wire.array(wire.INSTANT, [valid_at for _, valid_at in points]),
        }
        self.heads: Mapping[str, HeadRow | None] = {}
        self.result: PGresult | None = None


class ArrayPoints:
    """A :class:`everwhen.sql.join.Points`; the connection is a ``psycopg.Connection`` in a transaction.

    While rows of some points are read and turned into answers, the server looks at the next ones: each takes about as
    long. So the connection may be busy whenever the caller has control, and whoever else needs it has to call
    :meth:`settle`.
    """

    def __init__(
        self, connection: Any, queries: Queries, as_of: AsOf, generation: Generation, prepared: PreparedFind
    ) -> None:
        assert queries.heads_of is not None
        connection.execute(_ONLY_PROBES)
        self._connection = connection
        self._cursor = tuple_cursor(connection)
        self._cursor.format = 1  # binary: nothing is parsed
        self._reading = Reading()
        self._heads = queries.heads_of
        self._known: dict[str, HeadRow | None] = {}
        self._parameters = {} if as_of.is_now else then(as_of, generation)
        self._statement = prepared.points_now if as_of.is_now else prepared.points_past
        self._under_way: _Part | None = None

    def look(self, points: Iterable[Point]) -> Looked:
        """Look at all points, some at a time; at an entity once, however many are about it."""
        parts = map(_Part, _batched(points))
        following = next(parts, None)
        while (part := following) is not None:
            self._begin(part)
            following = next(parts, None)  # whoever gives the points takes his time while the server has some
            self.settle()
            if following is not None:
                self._begin(following)
            for (entity_id, valid_at), row in zip(part.points, self._rows(part), strict=True):
                yield valid_at, part.heads.get(entity_id), row

    def settle(self) -> None:
        """Wait for what the server is doing, so that it can be asked for something else."""
        part, self._under_way = self._under_way, None
        if part is not None:
            part.result = answer(self._connection)

    def _begin(self, part: _Part) -> None:
        if part is self._under_way or part.result is not None:
            return
        self.settle()
        part.heads = self._heads_of([entity_id for entity_id, _ in part.points])
        self._statement.send(self._connection, self._parameters | part.arrays)
        self._under_way = part

    def _rows(self, part: _Part) -> Sequence[Sequence[Any]]:
        assert part.result is not None
        rows: list[Sequence[Any]] = [NOTHING] * len(part.points)
        for row in self._reading.rows(part.result):
            rows[row.pop() - 1] = version_columns(row)
        return rows

    def _heads_of(self, entity_ids: list[str]) -> dict[str, HeadRow | None]:
        """Return the heads of these entities, and maybe of others; in one snapshot they do not change."""
        missing = dict.fromkeys(entity_ids).keys() - self._known.keys()
        if len(self._known) + len(missing) > _MOST_HEADS:
            self._known, missing = {}, set(entity_ids)
        if missing:
            given = {"entity_ids": Array(wire.TEXT, sorted(missing))}
            self._known |= dict.fromkeys(missing)
            self._known |= {row[0]: HeadRow(*row) for row in self._heads.run(self._cursor, given).fetchall()}
        return self._known


def _batched(points: Iterable[Point]) -> Iterator[list[Point]]:
    given = iter(points)
    while some := list(islice(given, _AT_ONCE)):
        yield some
