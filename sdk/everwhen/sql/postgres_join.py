"""Many points on PostgreSQL: two statements for all of them.

The points are given as arrays. Copied into a temporary table instead, and seeked from there, 20,000 points took as
long or longer (20 us a point against 16), and that can neither be done on a read-only replica nor without a trace in
the catalog.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from everwhen.instants import Micros
from everwhen.ports.answers import AsOf
from everwhen.ports.generations import Generation
from everwhen.projection.rows import Head
from everwhen.sql import wire
from everwhen.sql.found import NOTHING, VALID_TO, ask
from everwhen.sql.join import Looked
from everwhen.sql.postgres import Array, tuple_cursor
from everwhen.sql.queries import Queries

_PLACE: Final = VALID_TO + 1
_MOST_HEADS: Final = 4_000
"""Heads that are kept, so that an entity is not looked at again in the next chunk."""
# Both statements are sets of index probes. Without statistics PostgreSQL may plan something else; and by the sum of
# the probes' costs it would compile the statement, which takes longer than running it.
_ONLY_PROBES: Final = "; ".join(
    f"SET LOCAL {name} = off"
    for name in ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit")
)


class ArrayPoints:
    """A :class:`everwhen.sql.join.Points`; the connection is a ``psycopg.Connection`` in a transaction."""

    def __init__(self, connection: Any, queries: Queries, as_of: AsOf, generation: Generation) -> None:
        assert queries.points is not None
        assert queries.heads_of is not None
        connection.execute(_ONLY_PROBES)
        self._cursor = tuple_cursor(connection)
        self._cursor.format = 1  # binary: nothing is parsed
        self._heads = queries.heads_of
        self._known: dict[str, Head | None] = {}
        self._statement, self._parameters = ask(queries.points, as_of, generation)

    def look(self, points: Sequence[tuple[str, Micros]]) -> Looked:
        """Look at all of them at once; at an entity once, however many points are about it."""
        entity_ids = [entity_id for entity_id, _ in points]
        heads = self._heads_of(entity_ids)
        arrays = {
            "entity_ids": Array(wire.TEXT, entity_ids),
            "instants": Array(wire.INSTANT, [valid_at for _, valid_at in points]),
        }
        rows: list[Sequence[Any]] = [NOTHING] * len(points)
        for row in self._statement.run(self._cursor, self._parameters | arrays).fetchall():
            rows[row[_PLACE] - 1] = row
        return zip(map(heads.get, entity_ids), rows, strict=True)

    def _heads_of(self, entity_ids: list[str]) -> dict[str, Head | None]:
        """Return the heads of these entities, and maybe of others; in one snapshot they do not change."""
        missing = dict.fromkeys(entity_ids).keys() - self._known.keys()
        if len(self._known) + len(missing) > _MOST_HEADS:
            self._known, missing = {}, set(entity_ids)
        if missing:
            given = {"entity_ids": Array(wire.TEXT, sorted(missing))}
            self._known |= dict.fromkeys(missing)
            self._known |= {row[0]: Head(*row) for row in self._heads.run(self._cursor, given).fetchall()}
        return self._known
