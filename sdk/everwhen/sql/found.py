"""From a point on both axes to a statement's parameters, and from its rows to what the store port gives."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import starmap
from typing import Any, Final

from everwhen.errors import ArgumentError
from everwhen.instants import MAX_MICROS, Micros
from everwhen.ports.answers import AsOf, EntityRows, Found, HeadRow, VersionRow
from everwhen.ports.generations import Generation
from everwhen.positions import Basis, Mark
from everwhen.projection.rows import Conflict, Head, Quarantined, Superseded, Version, Withdrawal
from everwhen.sql.queries import Queries, Timed
from everwhen.sql.statement import Statement
from everwhen.sql.tables import SCHEMA_VERSION
from everwhen.sql.versions import mismatch

HEAD: Final = len(HeadRow._fields)
SHOWN: Final = len(VersionRow._fields)
_VALID_TO: Final = VersionRow._fields.index("valid_to")
VERSION: Final = len(Version._fields)
ENDED_AT: Final = VERSION + 1
"""Behind the columns of a whole version stand those of its end: offset, recorded time, withdrawn."""
NOTHING: Final = (None,) * max(HEAD, SHOWN)
"""The columns of a head, or of a version, that is not there."""

_new = tuple.__new__  # what a NamedTuple's own __new__ calls, in half the time
_EVERY_OFFSET: Final = {"offsets": "{}", "bounds": "{}", "other_offset": 2**63 - 1, "other_bound": MAX_MICROS}


def ask(question: Timed, as_of: AsOf, generation: Generation) -> tuple[Statement, dict[str, Any]]:
    """Return the statement for the belief asked for, and its parameters.

    :raises ArgumentError: if the basis is of another topic.
    """
    parameters: dict[str, Any] = {"valid_at": as_of.valid_at}
    if as_of.is_now:
        return question.now, parameters
    return question.past, parameters | then(as_of, generation)


def then(as_of: AsOf, generation: Generation) -> dict[str, Any]:
    """Return the parameters that say what was known, for a statement about the past.

    :raises ArgumentError: if the basis is of another topic.
    """
    known_at = MAX_MICROS if as_of.known_at is None else as_of.known_at
    parameters: dict[str, Any] = {"known_at": known_at, "known_micros": known_at}
    if as_of.basis is None:
        return parameters | _EVERY_OFFSET
    _check_topic(as_of.basis, generation)
    offsets = {str(partition): mark.next_offset for partition, mark in as_of.basis.items()}
    bounds = {str(partition): mark.watermark for partition, mark in as_of.basis.items()}
    of_basis = {"offsets": json.dumps(offsets), "bounds": json.dumps(bounds), "other_offset": 0, "other_bound": 0}
    return parameters | of_basis


@lru_cache(maxsize=64)
def basis_of(generation: Generation, text: str | None) -> Basis:
    """Read what the statements give as marks; equal texts are frequent.

    :raises StoreMismatch: if the tables are of another version.
    """
    version, _, listed = (text or "").partition(";")
    rows = (mark.split(":") for mark in listed.split(",")) if listed else ()
    return basis_at(
        generation,
        int(version) if version else None,
        [
            (int(partition), int(next_offset), int(watermark), trouble)
            for partition, next_offset, watermark, trouble in rows
        ],
    )


def basis_at(generation: Generation, version: int | None, rows: Iterable[tuple[int, int, Micros, str]]) -> Basis:
    """Return the basis that checkpoints make.

    :param version: of the tables; ``None`` if they do not say.
    :param rows: partition, next offset, watermark, and the class of an error or an empty text.
    :raises StoreMismatch: if the tables are of another version.
    """
    if version != SCHEMA_VERSION:
        raise mismatch("the store", version)
    marks: dict[int, Mark] = {}
    troubles: list[tuple[int, str]] = []
    for partition, next_offset, watermark, trouble in rows:
        marks[partition] = Mark(next_offset, watermark)
        if trouble:
            troubles.append((partition, trouble))
    return replace(Basis.of(generation.topic, marks), generation=generation.number, troubles=tuple(sorted(troubles)))


def head_of(columns: Sequence[Any]) -> HeadRow | None:
    """Read the columns of a head row, which are null where there is none."""
    return _new(HeadRow, columns) if columns[0] is not None else None


def found_of(basis: Basis, head: HeadRow | None, row: Sequence[Any], as_of: AsOf, valid_at: Micros) -> Found:
    """Read the columns of a version row, which are null, but for ``valid_to``, where there is none.

    :param as_of: what was known; its ``valid_at`` plays no part.
    """
    if is_unstored(head, as_of, valid_at):
        return Found(basis, head, None, unstored=True, following=row[_VALID_TO])
    if row[0] is None:
        return Found(basis, head, None, unstored=False, following=row[_VALID_TO])
    return _new(Found, (basis, head, _new(VersionRow, row), False, None))


def is_unstored(head: HeadRow | None, as_of: AsOf, valid_at: Micros | None) -> bool:
    """Say whether the belief asked for, at one instant or at any, may not be kept as rows."""
    if head is None or head.unstored_offset is None or head.unstored_valid is None:
        return False
    if valid_at is not None and valid_at < head.unstored_valid:
        return False
    if as_of.basis is not None and as_of.basis.next_offset(head.partition) <= head.unstored_offset:
        return True
    return as_of.known_at is not None and (head.unstored_at is None or as_of.known_at < head.unstored_at)


def rows_of(cursor: Any, queries: Queries, generation: Generation, entity_id: str) -> EntityRows:
    """Read everything that is stored about one entity, with a cursor of a transaction that sees one snapshot."""
    key = {"entity_id": entity_id}
    about = queries.about.run(cursor, key).fetchone()
    versions = queries.history.now.run(cursor, key).fetchall()
    superseded, withdrawals, conflicts, discarded = (
        part.run(cursor, key).fetchall() for part in queries.parts.values()
    )
    return EntityRows(
        marks=basis_of(generation, about[0]),
        head=Head(*about[1:]) if about[1] is not None else None,
        versions=[Version(*row[:VERSION]) for row in versions],
        superseded=list(map(_superseded, superseded)),
        withdrawals=list(starmap(Withdrawal, withdrawals)),
        conflicts=list(starmap(Conflict, conflicts)),
        discarded=list(starmap(Quarantined, discarded)),
    )


def _superseded(row: Sequence[Any]) -> Superseded:
    ended_offset, ended_at, withdrawn = row[VERSION:]
    return Superseded(Version(*row[:VERSION]), ended_offset, ended_at, bool(withdrawn))


def _check_topic(basis: Basis, generation: Generation) -> None:
    if basis.topic != generation.topic:
        raise ArgumentError(
            f"the basis is of topic {basis.topic}, and projection {generation.projection} is of topic "
            f"{generation.topic}; give a basis that an answer of this projection had"
        )
