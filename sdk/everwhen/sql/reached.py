"""How far a generation is, for whoever waits for one event."""

from __future__ import annotations

import base64
from typing import Any

from sqlalchemy import ColumnElement, Integer, Text, bindparam, cast, literal_column, select, union_all
from sqlalchemy.engine import Dialect

from everwhen.ports.generations import Generation
from everwhen.ports.listening import Standing
from everwhen.sql.lookups import GONE, LIVE, PRUNED, WITHDRAWING
from everwhen.sql.statement import Statement
from everwhen.sql.tables import GenerationTables, SharedTables
from everwhen.sql.types import Id

_PARTITION = bindparam("of_partition", type_=Integer)
_ENTITY_ID = bindparam("entity_id", type_=Id)
_EVENT_ID = bindparam("event_id", type_=Id)
_HEADER = bindparam("header", type_=Text)


class Reached:
    """The statements that tell it, compiled once. Thread-safe; cursors are the driver's."""

    def __init__(self, kind: str, dialect: Dialect, shared: SharedTables, generation: Generation) -> None:
        self._generation = generation
        self._checkpoints = shared.checkpoints.c
        self._tables = GenerationTables(kind, generation.projection, generation.number)
        self._standing = Statement(self._write_standing, dialect)
        self._known = Statement(self._write_known, dialect)

    def standing(self, cursor: Any, partition: int) -> Standing | None:
        """Return where a partition stands; ``None`` if nobody has claimed it yet."""
        row = self._standing.run(cursor, {"of_partition": partition}).fetchone()
        return None if row is None else Standing(*row)

    def knows(self, cursor: Any, entity_id: str, event_id: str) -> bool:
        """Say whether an event came, whatever became of it: it counts, was withdrawn or pruned, or is kept aside."""
        event = {"entity_id": entity_id, "event_id": event_id, "header": _header_with(event_id)}
        return self._known.run(cursor, event).fetchone() is not None

    def _write_standing(self) -> Any:
        rows = self._checkpoints
        return select(rows.next_offset, rows.cluster_id, rows.topic_id).where(
            rows.projection == self._generation.projection,
            rows.number == self._generation.number,
            rows.partition == _PARTITION,
        )

    def _write_known(self) -> Any:
        one: ColumnElement[int] = literal_column("1").label("known")
        looks = [
            look.inner(self._tables, _ENTITY_ID, _EVENT_ID).with_only_columns(one)
            for look in (LIVE, GONE, WITHDRAWING, PRUNED)
        ]
        kept = self._tables.quarantine.c
        aside = select(one).where(kept.entity_id == _ENTITY_ID, cast(kept.headers, Text).like(_HEADER))
        return union_all(*looks, aside).limit(literal_column("1"))


def _header_with(event_id: str) -> str:
    """Write a pattern for the headers of a record that was kept aside, whose values are in base64.

    Whichever header has the id: a record from elsewhere may name it otherwise.
    """
    return f'%"{base64.b64encode(event_id.encode()).decode()}"%'
