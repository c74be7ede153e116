"""Version 3: history before an instant can be dropped, and the ids of its events stay known."""

from __future__ import annotations

from typing import Final

from everwhen.sql.migrations.step import Step

PRUNING: Final = Step(
    version=3,
    shared=("ALTER TABLE {shared}checkpoints ADD COLUMN prunings BIGINT DEFAULT '0' NOT NULL",),
    own=(
        "ALTER TABLE {own}entities ADD COLUMN pruned_offset BIGINT",
        "ALTER TABLE {own}entities ADD COLUMN pruned_at {instant}",
        "CREATE TABLE {own}pruned (entity_id {id} NOT NULL, event_id {id} NOT NULL, valid_from {instant} NOT NULL, "
        "withdraws TEXT, counted BOOLEAN NOT NULL, digest {blob} NOT NULL, PRIMARY KEY (entity_id, event_id)){by_key}",
    ),
    comments=(
        ("{shared}checkpoints.prunings", "how often entities were pruned"),
        ("{own}pruned.counted", "it was not withdrawn"),
        ("{own}pruned.digest", "SHA-256 of what the event held"),
    ),
)
