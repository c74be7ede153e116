"""Asking: one entity or all of them, at any point of both axes, and what changed and why."""

from __future__ import annotations

from everwhen.reader.answer import Answer, History, Status, Version
from everwhen.reader.audit import Audit, Belief
from everwhen.reader.changes import Changed, Changes
from everwhen.reader.compare import Comparison, Difference
from everwhen.reader.diff import Diff, FieldChange
from everwhen.reader.explanation import Discarded, Explanation, Fact, Withdrawn
from everwhen.reader.incomplete import Incomplete
from everwhen.reader.join import Join
from everwhen.reader.point import At
from everwhen.reader.reader import Reader
from everwhen.reader.snapshot import Snapshot
from everwhen.reader.states import DictStates, ModelStates

__all__ = [
    "Answer",
    "At",
    "Audit",
    "Belief",
    "Changed",
    "Changes",
    "Comparison",
    "DictStates",
    "Diff",
    "Difference",
    "Discarded",
    "Explanation",
    "Fact",
    "FieldChange",
    "History",
    "Incomplete",
    "Join",
    "ModelStates",
    "Reader",
    "Snapshot",
    "Status",
    "Version",
    "Withdrawn",
]
