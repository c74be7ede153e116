"""Pure: what a projection is, how it folds, and how a batch changes an entity's timeline."""

from __future__ import annotations

from everwhen.projection.columns import columns
from everwhen.projection.fold import Folder, envelope
from everwhen.projection.projection import Projection
from everwhen.projection.timeline import Arrival, Fold, Late, Loaded, Tally, Timeline, since

__all__ = [
    "Arrival",
    "Fold",
    "Folder",
    "Late",
    "Loaded",
    "Projection",
    "Tally",
    "Timeline",
    "columns",
    "envelope",
    "since",
]
