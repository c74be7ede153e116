"""Events of one entity on their way into its timeline, without a log or a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from everwhen.errors import ArgumentError, RecordError
from everwhen.event import Event, Retracted, event_type
from everwhen.instants import Micros
from everwhen.projection import Arrival, CheckingFolder, Loaded, Passage, Projection, Tally
from everwhen.projection.rows import Changes, Version

_DEPTH = 1_000_000
"""Superseded beliefs that are kept: all."""


class Delivered(NamedTuple):
    """One record as the log delivers it."""

    id: str
    event: Event
    occurred_at: Micros
    withdraws: str | None


class Outcome(NamedTuple):
    """What became of the events."""

    versions: Sequence[Version]
    """In the order of valid time."""
    error: RecordError | None
    """Why the entity is parked."""

    def state(self, valid_at: Micros | None) -> str | None:
        """Return the state at an instant, or after all versions, as JSON; ``None`` where there is none."""
        begun = [row for row in self.versions if valid_at is None or row.valid_from <= valid_at]
        return begun[-1].state if begun else None


def deliver(projection: Projection[Any], entity_id: str, order: Sequence[Delivered]) -> Outcome:
    """Deliver events to an entity that has none yet, in this order.

    Every event is encoded and decoded by its contract, and every handler called twice.

    :raises ArgumentError: if an event is not of the topic.
    :raises ContractError: if classes and contract files do not agree.
    """
    if not order:
        return Outcome((), None)
    begin = max(each.occurred_at for each in order)
    arrivals = [_arrival(projection, entity_id, begin, offset, each) for offset, each in enumerate(order)]
    changes = Changes()
    passage = Passage(entity_id, Loaded(), CheckingFolder(projection).fold, _DEPTH, projection.late)
    passage.take(arrivals)
    error = next((waiting.error for waiting in passage.waiting if waiting.error is not None), None)
    passage.finish(changes, Tally())
    return Outcome(sorted(changes.inserted, key=lambda row: (row.valid_from, row.offset)), error)


def _arrival(projection: Projection[Any], entity_id: str, begin: Micros, offset: int, told: Delivered) -> Arrival:
    kind = type(told.event)
    name = event_type(kind)
    if kind is not Retracted and kind not in projection.topic.events:
        raise ArgumentError(f"{kind.__name__} is not an event class of topic {projection.topic.name}")
    row = Version(
        entity_id=entity_id,
        valid_from=told.occurred_at,
        offset=offset,
        partition=0,
        recorded_at=begin + offset,
        refolded_offset=None,
        refolded_at=None,
        event_id=told.id,
        event_type=name,
        correlation_id=None,
        causation_id=None,
        withdraws=told.withdraws,
        event=projection.topic.codec.encode(told.event),
        state=None,
    )
    return Arrival(row, kind is not Retracted and name not in projection.ignored)
