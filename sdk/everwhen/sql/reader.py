"""Answers from one generation."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from typing import Any, Final, TypeAlias

from everwhen.errors import ArgumentError
from everwhen.instants import MAX_MICROS, Micros
from everwhen.ports.store import AsOf, Found, Generation, VersionRow
from everwhen.positions import Basis, Mark
from everwhen.projection.rows import Head, Version
from everwhen.sql.database import Database
from everwhen.sql.queries import Queries, Timed
from everwhen.sql.statement import Statement
from everwhen.sql.tables import SharedTables

_HEAD: Final = len(Head._fields)
_VERSION: Final = len(Version._fields)
_ROW: Final = _VERSION + 3  # and its end: offset, recorded time, withdrawn
_ENDED_AT: Final = _VERSION + 1
_FETCHED_AT_ONCE: Final = 500
_EVERY_OFFSET: Final = {"offsets": "{}", "bounds": "{}", "other_offset": 2**63 - 1, "other_bound": MAX_MICROS}

_HeadsAndRows: TypeAlias = Generator[tuple[Head | None, Sequence[Any]], None, None]


class SqlReader:
    """Questions to one generation. Implements :class:`everwhen.ports.store.StoreReader`.

    Thread-safe; every method blocks until the database has answered.
    """

    def __init__(self, database: Database, shared: SharedTables, generation: Generation) -> None:
        self._database = database
        self._generation = generation
        self._doing = f"reading projection {generation.projection}"
        self._queries = Queries(database.kind, database.dialect, shared, generation)

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

    def find(self, entity_id: str, as_of: AsOf) -> Found:
        """Find the version of one entity that is valid at the instant, in one statement and so in one snapshot.

        :raises ArgumentError: if the basis is of another topic.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        statement, parameters = self._ask(self._queries.find, as_of)
        parameters["entity_id"] = entity_id
        with self._database.connection(self._doing) as connection:
            row = statement.run(connection.cursor(), parameters).fetchone()
        basis = _basis(self._generation.topic, row[0])
        return _found(basis, _head(row[1 : 1 + _HEAD]), row[1 + _HEAD :], as_of)

    def history(self, entity_id: str, as_of: AsOf) -> tuple[Found, list[VersionRow]]:
        """Return all versions believed at the basis, ordered by ``(valid_from, offset)``, ties included.

        ``as_of.valid_at`` plays no part; ``Found.row`` is ``None``. Where ``Found.unstored`` is true, there are no
        rows. A version that shares its instant with the next one has an empty interval.

        :raises ArgumentError: if the basis is of another topic.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        statement, parameters = self._ask(self._queries.history, as_of)
        parameters["entity_id"] = entity_id
        with self._database.reading(self._doing) as connection:
            cursor = connection.cursor()
            about = self._queries.about.run(cursor, {"entity_id": entity_id}).fetchone()
            head = _head(about[1:])
            unstored = _is_unstored(head, as_of, None)
            rows = [] if unstored else statement.run(cursor, parameters).fetchall()
        found = Found(_basis(self._generation.topic, about[0]), head, None, unstored)
        ends = [*(row[1] for row in rows[1:]), None]
        return found, [
            VersionRow(Version(*row[:_VERSION]), end, row[_ENDED_AT]) for row, end in zip(rows, ends, strict=False)
        ]

    def events(self, entity_id: str, as_of: AsOf) -> list[Version]:
        """Return every event of the entity that the basis holds and does not withdraw, in the order of folding.

        ``as_of.valid_at`` plays no part, and the rows' ``state`` means nothing.

        :raises ArgumentError: if the basis is of another topic.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        statement, parameters = self._ask(self._queries.events, as_of)
        parameters["entity_id"] = entity_id
        with self._database.connection(self._doing) as connection:
            rows = statement.run(connection.cursor(), parameters).fetchall()
        return [Version(*row[:_VERSION]) for row in rows]

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
        with closing(rows):
            for head, row in rows:
                found = _found(basis, head, row, as_of)
                if found.row is not None or found.unstored:
                    yield found

    def _joined(self, connection: Any, as_of: AsOf) -> _HeadsAndRows:
        assert self._queries.snapshot is not None
        statement, parameters = self._ask(self._queries.snapshot, as_of)
        with connection.cursor(name="everwhen_snapshot") as cursor:
            cursor.itersize = _FETCHED_AT_ONCE
            for row in statement.run(cursor, parameters):
                yield _head(row[:_HEAD]), row[_HEAD:]

    def _seeking(self, connection: Any, as_of: AsOf) -> _HeadsAndRows:
        statement, parameters = self._ask(self._queries.seek, as_of)
        cursor = connection.cursor()
        for row in self._queries.heads.run(connection.cursor(), {}):
            parameters["entity_id"] = row[0]
            found = statement.run(cursor, parameters).fetchone()
            yield Head(*row), found if found is not None else _NOTHING

    def _marks(self, connection: Any) -> Basis:
        return _basis(self._generation.topic, self._queries.marks.run(connection.cursor(), {}).fetchone()[0])

    def _ask(self, question: Timed, as_of: AsOf) -> tuple[Statement, dict[str, Any]]:
        """Return the statement for the belief asked for, and its parameters."""
        parameters: dict[str, Any] = {"valid_at": as_of.valid_at}
        if as_of.basis is None and as_of.known_at is None:
            return question.now, parameters
        known_at = MAX_MICROS if as_of.known_at is None else as_of.known_at
        parameters |= {"known_at": known_at, "known_micros": known_at}
        if as_of.basis is None:
            return question.past, parameters | _EVERY_OFFSET
        self._check_topic(as_of.basis)
        offsets = {str(partition): mark.next_offset for partition, mark in as_of.basis.items()}
        bounds = {str(partition): mark.watermark for partition, mark in as_of.basis.items()}
        of_basis = {"offsets": json.dumps(offsets), "bounds": json.dumps(bounds), "other_offset": 0, "other_bound": 0}
        return question.past, parameters | of_basis

    def _check_topic(self, basis: Basis) -> None:
        if basis.topic != self._generation.topic:
            raise ArgumentError(
                f"the basis is of topic {basis.topic}, and projection {self._generation.projection} is of topic "
                f"{self._generation.topic}; give a basis that an answer of this projection had"
            )


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
    return Found(basis, head, VersionRow(Version(*row[:_VERSION]), row[_ROW], row[_ENDED_AT]), unstored=False)


def _is_unstored(head: Head | None, as_of: AsOf, valid_at: Micros | None) -> bool:
    """Say whether the belief asked for, at one instant or at any, may not be kept as rows."""
    if head is None or head.unstored_offset is None or head.unstored_valid is None:
        return False
    if valid_at is not None and valid_at < head.unstored_valid:
        return False
    if as_of.basis is not None and as_of.basis.next_offset(head.partition) <= head.unstored_offset:
        return True
    return as_of.known_at is not None and (head.unstored_at is None or as_of.known_at < head.unstored_at)
