"""Answers from one generation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

from everwhen.errors import ArgumentError
from everwhen.instants import Micros
from everwhen.projection.rows import Head, Version
from everwhen.ports.store import AsOf, Found, Generation, VersionRow
from everwhen.positions import Basis, Mark
from everwhen.sql.engine import Database
from everwhen.sql.expressions import POSTGRESQL
from everwhen.sql.queries import Queries
from everwhen.sql.seeks import Belief
from everwhen.sql.tables import SharedTables

_HEAD: Final = len(Head._fields)
_VERSION: Final = len(Version._fields)
_ROW: Final = _VERSION + 2  # and when it ended: offset and recorded time
_FETCHED_AT_ONCE: Final = 500


class SqlReader:
    """Questions to one generation. Implements :class:`everwhen.ports.store.StoreReader`.

    Thread-safe; every method blocks until the database has answered.
    """

    def __init__(self, database: Database, shared: SharedTables, generation: Generation) -> None:
        self._database = database
        self._generation = generation
        self._queries = Queries(database.kind, database.dialect, shared, generation)

    @property
    def generation(self) -> Generation:
        """The generation that answers."""
        return self._generation

    def marks(self) -> Basis:
        """Return how far each partition is projected.

        :raises StoreUnavailable: if the database cannot be reached.
        """
        with self._database.connection(self._doing()) as connection:
            return self._marks(connection)

    def find(self, entity_id: str, as_of: AsOf) -> Found:
        """Find the version of one entity that is valid at the instant, in one statement and so in one snapshot.

        :raises ArgumentError: if the basis is of another topic.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        belief, parameters = self._ask(as_of)
        parameters["entity_id"] = entity_id
        with self._database.connection(self._doing()) as connection:
            row = self._queries.find[belief].run(connection.cursor(), parameters).fetchone()
        basis = _basis(self._generation.topic, row[0])
        return _found(basis, _head(row[1 : 1 + _HEAD]), row[1 + _HEAD :], as_of)

    def history(self, entity_id: str, as_of: AsOf) -> tuple[Found, list[VersionRow]]:
        """Return all versions believed at the basis, ordered by ``(valid_from, offset)``, ties included.

        ``as_of.valid_at`` plays no part; ``Found.row`` is ``None``. Where ``Found.unstored`` is true, there are no
        rows. A version that shares its instant with the next one has an empty interval.

        :raises ArgumentError: if the basis is of another topic.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        belief, parameters = self._ask(as_of)
        parameters["entity_id"] = entity_id
        with self._database.reading(self._doing()) as connection:
            cursor = connection.cursor()
            about = self._queries.about.run(cursor, {"entity_id": entity_id}).fetchone()
            head = _head(about[1:])
            unstored = _is_unstored(head, as_of, None)
            rows = [] if unstored else self._queries.history[belief].run(cursor, parameters).fetchall()
        found = Found(_basis(self._generation.topic, about[0]), head, None, unstored)
        ends = [*(row[1] for row in rows[1:]), None]
        return found, [VersionRow(Version(*row[:_VERSION]), end, row[-1]) for row, end in zip(rows, ends, strict=False)]

    @contextmanager
    def snapshot(self, as_of: AsOf) -> Iterator[tuple[Basis, Iterator[Found]]]:
        """Stream every entity that has a version at or before the instant, ordered by entity id, in one snapshot.

        Order is that of code points. The iterator holds one connection and a bounded number of rows, and ends with
        the context.

        :raises ArgumentError: if the basis is of another topic.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        belief, parameters = self._ask(as_of)
        with self._database.reading(self._doing()) as connection:
            basis = self._marks(connection)
            stream = self._stream_joined if self._database.kind == POSTGRESQL else self._stream_seeking
            yield (
                basis,
                (
                    found
                    for head, row in stream(connection, belief, parameters)
                    if (found := _found(basis, head, row, as_of)).row is not None or found.unstored
                ),
            )

    def _stream_joined(
        self, connection: Any, belief: Belief, parameters: dict[str, Any]
    ) -> Iterator[tuple[Head | None, Sequence[Any]]]:
        with connection.cursor(name="everwhen_snapshot") as cursor:
            cursor.itersize = _FETCHED_AT_ONCE
            for row in self._queries.snapshot[belief].run(cursor, parameters):
                yield _head(row[:_HEAD]), row[_HEAD:]

    def _stream_seeking(
        self, connection: Any, belief: Belief, parameters: dict[str, Any]
    ) -> Iterator[tuple[Head | None, Sequence[Any]]]:
        cursor, seek = connection.cursor(), self._queries.seek[belief]
        for row in self._queries.heads.run(connection.cursor(), {}):
            found = seek.run(cursor, parameters | {"entity_id": row[0]}).fetchone()
            yield Head(*row), found if found is not None else _NOTHING

    def _marks(self, connection: Any) -> Basis:
        return _basis(self._generation.topic, self._queries.marks.run(connection.cursor(), {}).fetchone()[0])

    def _ask(self, as_of: AsOf) -> tuple[Belief, dict[str, Any]]:
        """Return whose belief is asked for, and the parameters for it."""
        parameters: dict[str, Any] = {"valid_at": as_of.valid_at}
        if as_of.basis is not None:
            if as_of.basis.topic != self._generation.topic:
                raise ArgumentError(
                    f"the basis is of topic {as_of.basis.topic}, and projection {self._generation.projection} is of "
                    f"topic {self._generation.topic}; give a basis that an answer of this projection had"
                )
            parameters["offsets"] = json.dumps({key: mark.next_offset for key, mark in as_of.basis.items()})
            parameters["bounds"] = json.dumps({key: mark.watermark for key, mark in as_of.basis.items()})
            return Belief.AT_BASIS, parameters
        if as_of.known_at is not None:
            parameters["known_at"] = parameters["known_micros"] = as_of.known_at
            return Belief.KNOWN_AT, parameters
        return Belief.PRESENT, parameters

    def _doing(self) -> str:
        return f"reading projection {self._generation.projection}"


_NOTHING: Final = (None,) * (_ROW + 1)


@lru_cache(maxsize=64)
def _basis(topic: str, text: str | None) -> Basis:
    """Read what the statements give as marks; equal texts are frequent."""
    marks: dict[int, Mark] = {}
    for mark in text.split(",") if text else ():
        partition, next_offset, watermark = map(int, mark.split(":"))
        marks[partition] = Mark(next_offset, watermark)
    return Basis.of(topic, marks)


def _head(columns: Sequence[Any]) -> Head | None:
    return Head(*columns) if columns[0] is not None else None


def _found(basis: Basis, head: Head | None, row: Sequence[Any], as_of: AsOf) -> Found:
    if _is_unstored(head, as_of, as_of.valid_at):
        return Found(basis, head, None, unstored=True)
    if row[0] is None:
        return Found(basis, head, None, unstored=False)
    return Found(basis, head, VersionRow(Version(*row[:_VERSION]), row[_ROW], row[_ROW - 1]), unstored=False)


def _is_unstored(head: Head | None, as_of: AsOf, valid_at: Micros | None) -> bool:
    """Say whether the belief asked for, at one instant or at any, may not be kept as rows."""
    if head is None or head.unstored_offset is None or head.unstored_valid is None:
        return False
    if valid_at is not None and valid_at < head.unstored_valid:
        return False
    if as_of.basis is not None:
        return as_of.basis.next_offset(head.partition) <= head.unstored_offset
    if as_of.known_at is not None:
        return head.unstored_at is None or as_of.known_at < head.unstored_at
    return False
