"""What changed in our tables from version to version, as steps that are never edited once they are released."""

from __future__ import annotations

from typing import Final

from everwhen.sql.migrations.m003_pruning import PRUNING
from everwhen.sql.migrations.m004_generations import GENERATIONS
from everwhen.sql.migrations.m005_unique_events import UNIQUE_EVENTS
from everwhen.sql.migrations.step import Dialect, Step

__all__ = ["BASELINE", "STEPS", "Dialect", "Step"]

BASELINE: Final = 2
"""The first version that can be upgraded."""
STEPS: Final = (PRUNING, GENERATIONS, UNIQUE_EVENTS)
"""In order; the last one leads to :data:`everwhen.sql.tables.SCHEMA_VERSION`."""
