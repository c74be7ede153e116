"""What the tables must hold: the definition applied to the log, again at every record.

At a basis those events count that stand below it and that nothing below it withdraws, in the order of their instants
and then of their offsets; the first record of an event id is the event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tests.checker.records import RETRACTED, Record
from tests.checker.stores import Row

State: TypeAlias = tuple[str, ...] | None
Belief: TypeAlias = list[tuple[int, int, State]]
"""Where each version begins, its offset, its state."""

IGNORED = ("torture.ignored", RETRACTED)


def reduce(state: State, record: Record) -> State:
    """Apply one event: the second implementation of the workload's handlers."""
    match record.type:
        case "torture.added":
            return (*(state or ()), record.payload["item"])
        case "torture.replaced":
            return (record.payload["item"],)
        case "torture.deleted":
            return None
    raise ValueError(f"the workload has no type {record.type}")


@dataclass
class Entity:
    """All rows of one entity, and what was believed after each of its records."""

    head: Row
    versions: dict[int, Row] = field(default_factory=dict)
    superseded: dict[tuple[int, int], Row] = field(default_factory=dict)
    withdrawals: dict[str, Row] = field(default_factory=dict)
    conflicts: dict[int, Row] = field(default_factory=dict)
    beliefs: list[tuple[int, Belief]] = field(default_factory=list)


class _Folding:
    """One entity while its log is read."""

    def __init__(self, first: Record) -> None:
        self.known: dict[str, Record] = {}
        self.entity = Entity({"entity_id": first.entity, "partition": first.partition})

    def take(self, record: Record) -> None:
        entity, first = self.entity, self.known.get(record.event_id)
        if first is not None:
            if not _same(first, record):
                entity.conflicts[record.offset] = _conflict(record)
        elif record.type not in IGNORED or record.withdraws is not None:
            self.known[record.event_id] = record
            if record.withdraws is not None:
                entity.withdrawals[record.event_id] = _withdrawal(record)
            self._believe(record)
        entity.beliefs.append((record.offset, _belief(entity.versions.values())))

    def _believe(self, by: Record) -> None:
        live, before = fold(self.known.values()), self.entity.versions
        for offset, row in list(before.items()):
            if offset not in live:
                self._end(row, by, withdrawn=True)
                del before[offset]
            elif live[offset] != row["state"]:
                self._end(row, by, withdrawn=False)
                before[offset] = row | {
                    "state": live[offset],
                    "refolded_offset": by.offset,
                    "refolded_at": by.recorded_at,
                }
        if by.offset in live:
            before[by.offset] = _version(by, live[by.offset])
        elif by.type not in IGNORED:
            self._end(_version(by, None), by, withdrawn=True)

    def _end(self, row: Row, by: Record, *, withdrawn: bool) -> None:
        ending = {"ended_offset": by.offset, "ended_at": by.recorded_at, "withdrawn": withdrawn}
        self.entity.superseded[row["offset"], by.offset] = row | ending

    def finish(self, last: Record) -> Entity:
        belief = _belief(self.entity.versions.values())
        folded = [each for each in self.known.values() if each.type not in IGNORED]
        self.entity.head |= {
            "state": belief[-1][2] if belief else None,
            "first_valid": belief[0][0] if belief else None,
            "last_valid": belief[-1][0] if belief else None,
            "last_offset": last.offset,
            "versions": len(belief),
            "lead": max([0, *(each.valid_at - each.recorded_at for each in folded)]),
            "withdrawals": len(self.entity.withdrawals),
            "quarantined_offset": None,
            "quarantined_at": None,
            "pruned_before": None,
            "failing_valid": None,
            "failing_offset": None,
            "mended_offset": None,
            "mended_from": None,
            "pruned_offset": None,
            "pruned_at": None,
        }
        return self.entity


def fold_entity(records: Sequence[Record]) -> Entity:
    """Fold the log of one entity, which is in the order of offsets."""
    folding = _Folding(records[0])
    for record in records:
        folding.take(record)
    return folding.finish(records[-1])


def fold(known: Iterable[Record]) -> dict[int, State]:
    """Return the state after each event that counts, by offset."""
    events = list(known)
    withdrawn = {each.withdraws for each in events}
    left = [each for each in events if each.type not in IGNORED and each.event_id not in withdrawn]
    states: dict[int, State] = {}
    state: State = None
    for each in sorted(left, key=lambda each: (each.valid_at, each.offset)):
        state = states[each.offset] = reduce(state, each)
    return states


def _belief(rows: Iterable[Row]) -> Belief:
    return sorted(((row["valid_from"], row["offset"], row["state"]) for row in rows), key=lambda each: each[:2])


def _same(first: Record, again: Record) -> bool:
    placed = again.type not in IGNORED
    return (first.type, first.value, first.withdraws) == (again.type, again.value, again.withdraws) and (
        not placed or first.valid_at == again.valid_at
    )


def _common(record: Record) -> Row:
    return {
        "entity_id": record.entity,
        "offset": record.offset,
        "partition": record.partition,
        "recorded_at": record.recorded_at,
        "event_id": record.event_id,
        "event_type": record.type,
        "event": record.value,
    }


def _version(record: Record, state: Any) -> Row:
    return _common(record) | {
        "valid_from": record.valid_at,
        "refolded_offset": None,
        "refolded_at": None,
        "correlation_id": record.correlation_id,
        "causation_id": record.causation_id,
        "withdraws": record.withdraws,
        "state": state,
    }


def _withdrawal(record: Record) -> Row:
    only_withdraws = record.type in IGNORED
    return _common(record) | {"target_id": record.withdraws, "event": record.value if only_withdraws else b""}


def _conflict(record: Record) -> Row:
    return _common(record) | {"valid_from": record.valid_at}
