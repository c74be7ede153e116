"""Version 4: several generations of a projection stand side by side."""

from __future__ import annotations

from typing import Final

from everwhen.sql.migrations.step import Step

GENERATIONS: Final = Step(
    version=4,
    shared=(
        "ALTER TABLE {shared}generations ADD COLUMN retired_at {instant}",
        "ALTER TABLE {shared}generations ADD COLUMN columns TEXT",
    ),
    comments=(
        ("{shared}generations.state", "live, building, retired or dropped"),
        ("{shared}generations.retired_at", "when another generation began to answer instead"),
        ("{shared}generations.columns", "the state's fields for views, as JSON: [[name, kind], ...]"),
    ),
)
