"""Asking: one entity at an instant, its history, and every entity at one instant."""

from __future__ import annotations

from everwhen.reader.answer import Answer, History, Status, Version
from everwhen.reader.reader import Reader
from everwhen.reader.snapshot import Snapshot
from everwhen.reader.states import DictStates, ModelStates

__all__ = ["Answer", "DictStates", "History", "ModelStates", "Reader", "Snapshot", "Status", "Version"]
