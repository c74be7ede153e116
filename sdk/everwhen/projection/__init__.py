"""Pure: what a projection is, how it folds, and how a batch changes an entity's timeline."""

from __future__ import annotations

from everwhen.projection.arrival import Apply, Arrival, Fold, Late, Loaded, Tally, since
from everwhen.projection.columns import columns
from everwhen.projection.fold import CheckingFolder, Folder, envelope
from everwhen.projection.passage import Coming, Passage, Unread, Waiting, may_help, place, straight
from everwhen.projection.projection import Projection
from everwhen.projection.sequel import Sequel, is_plain
from everwhen.projection.timeline import Timeline

__all__ = [
    "Apply",
    "Arrival",
    "CheckingFolder",
    "Coming",
    "Fold",
    "Folder",
    "Late",
    "Loaded",
    "Passage",
    "Projection",
    "Sequel",
    "Tally",
    "Timeline",
    "Unread",
    "Waiting",
    "columns",
    "envelope",
    "is_plain",
    "may_help",
    "place",
    "since",
    "straight",
]
