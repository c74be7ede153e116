"""Version 5: the database itself refuses an event id that its entity has already."""

from __future__ import annotations

from typing import Final

from everwhen.sql.migrations.step import Step

UNIQUE_EVENTS: Final = Step(
    version=5,
    own=(
        # In this order, since PostgreSQL lets nobody ask from a drop on until all is committed.
        "CREATE UNIQUE INDEX {bare}versions_ids ON {own}versions (entity_id, event_id)",
        "DROP INDEX {own}versions_event",
    ),
)
