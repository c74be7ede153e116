"""Why an answer is what it is: the events that were folded into it, and those that were not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from everwhen.event import Event, Retracted
from everwhen.instants import from_micros
from everwhen.ports.answers import AsOf
from everwhen.ports.continuity import Decision
from everwhen.ports.generations import Generation
from everwhen.positions import Position
from everwhen.projection.rows import Conflict, Version
from everwhen.reader.answer import Answer
from everwhen.reader.chronicle import Chronicle, pruned_before
from everwhen.reader.states import States

S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One event of an entity.

    :ivar event_id: its id.
    :ivar event_type: its type.
    :ivar occurred_at: when it was true; under ``late="append"``, from when on it counts.
    :ivar recorded_at: when the log took it.
    :ivar position: where it stands in the log.
    :ivar withdraws: the event id that it withdraws, if it is a correction.
    :ivar correlation_id: the conversation it belongs to, if the publisher said so.
    :ivar causation_id: what caused it, if the publisher said so.
    :ivar event: the event itself; ``None`` for a reader without the projection's code.
    """

    event_id: str
    event_type: str
    occurred_at: datetime
    recorded_at: datetime
    position: Position
    withdraws: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    event: Event | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """A correction or a retraction, and what became of it.

    :ivar target_id: the event id that it names.
    :ivar target: the event that it withdrew; ``None`` while the entity has no such event, and then it changes nothing,
        or when that event was pruned.
    :ivar by_id: the id of the correction or the retraction.
    :ivar by_type: its event type: ``everwhen.retracted`` for a retraction.
    :ivar recorded_at: when the log took it.
    :ivar position: where it stands in the log.
    :ivar reason: what a retraction gave as its reason; ``None`` too for a reader without the projection's code.
    """

    target_id: str
    target: Fact | None
    by_id: str
    by_type: str
    recorded_at: datetime
    position: Position
    reason: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """A record that could not be applied, and that somebody decided to leave out.

    :ivar position: where it stands in the log.
    :ivar recorded_at: when the log took it.
    :ivar reason: why it was left out, as they said.
    :ivar error: why it could not be applied; ``None`` if it only waited for one that could not.
    """

    position: Position
    recorded_at: datetime
    reason: str
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation(Generic[S]):
    """An answer and where it comes from.

    :ivar answer: the answer itself, with its state.
    :ivar events: the events that were folded into it, in the order of folding.
    :ivar withdrawn: every correction and retraction known at the answer's basis, in the order of the log.
    :ivar conflicts: records under an event id that the entity already had, with other content; they changed nothing.
    :ivar discarded: records that could not be applied and were left out for good, on somebody's word.
    :ivar decisions: what was decided about the entity's partition where the log did not go on, gaps above all.
    :ivar pruned_before: the entity's history before this instant was dropped: of the events before it only the last is
        listed, whose state all of them led to; ``None`` if it is all there.
    """

    answer: Answer[S]
    events: tuple[Fact, ...]
    withdrawn: tuple[Withdrawn, ...]
    conflicts: tuple[Fact, ...]
    discarded: tuple[Discarded, ...] = ()
    decisions: tuple[Decision, ...] = ()
    pruned_before: datetime | None = None


class Explaining:
    """Shows an entity's rows as facts.

    At a basis that is not good, the events that are folded into an answer are those of the last good one before it.

    :param chronicle: the entity's rows.
    :param states: decodes events.
    :param generation: what they are stored in.
    """

    def __init__(self, chronicle: Chronicle, states: States[Any], generation: Generation) -> None:
        self._chronicle = chronicle
        self._states = states
        self._generation = generation
        self._topic = generation.topic

    @property
    def pruned_before(self) -> datetime | None:
        """The instant up to which the entity was pruned."""
        return pruned_before(self._chronicle.rows.head)

    def events(self, as_of: AsOf, *, folded: bool = False) -> tuple[Fact, ...]:
        """Return what is folded into the answer at a point of both axes.

        :param folded: the answer was folded, so the basis may be one that is not good.
        """
        if folded and (head := self._chronicle.rows.head) is not None:
            as_of = self._chronicle.last_good(as_of, self._states.folding(head.entity_id, self._generation))
        return self.facts(row for row in self._chronicle.events(as_of) if row.valid_from <= as_of.valid_at)

    def decisions(self, decided: Iterable[Decision]) -> tuple[Decision, ...]:
        """Return those of the entity's partition; of every one where the entity is unknown."""
        head = self._chronicle.rows.head
        return tuple(each for each in decided if head is None or each.partition == head.partition)

    def discarded(self, as_of: AsOf) -> tuple[Discarded, ...]:
        """Return the records that were left out for good, of those that were known."""
        return tuple(
            Discarded(
                position=Position(self._topic, each.partition, each.offset),
                recorded_at=from_micros(each.recorded_at),
                reason=each.reason or "",
                error=each.error,
            )
            for each in sorted(self._chronicle.rows.discarded)
            if self._chronicle.counts(as_of, each.offset, each.recorded_at)
        )

    def withdrawn(self, as_of: AsOf) -> tuple[Withdrawn, ...]:
        """Return the corrections and retractions that were known."""
        rows = self._chronicle.rows
        known = {row.event_id: row for row in self._chronicle.withdrawn(as_of)}
        return tuple(
            Withdrawn(
                target_id=each.target_id,
                target=None if (target := known.get(each.target_id)) is None else self._fact(target),
                by_id=each.event_id,
                by_type=each.event_type,
                recorded_at=from_micros(each.recorded_at),
                position=Position(self._topic, each.partition, each.offset),
                reason=self._reason(each.event, each.event_type),
            )
            for each in sorted(rows.withdrawals, key=lambda each: each.offset)
            if self._chronicle.counts(as_of, each.offset, each.recorded_at)
        )

    def conflicts(self, as_of: AsOf) -> tuple[Fact, ...]:
        """Return the records that changed nothing since their event id was taken."""
        return tuple(
            self._fact(each)
            for each in sorted(self._chronicle.rows.conflicts, key=lambda each: each.offset)
            if self._chronicle.counts(as_of, each.offset, each.recorded_at)
        )

    def facts(self, rows: Iterable[Version]) -> tuple[Fact, ...]:
        """Show events."""
        return tuple(map(self._fact, rows))

    def _fact(self, row: Version | Conflict) -> Fact:
        more: dict[str, str | None] = {}
        if isinstance(row, Version):
            more = {name: getattr(row, name) for name in ("withdraws", "correlation_id", "causation_id")}
        return Fact(
            event_id=row.event_id,
            event_type=row.event_type,
            occurred_at=from_micros(row.valid_from),
            recorded_at=from_micros(row.recorded_at),
            position=Position(self._topic, row.partition, row.offset),
            event=self._states.event(row.event, row.event_type),
            **more,
        )

    def _reason(self, value: bytes, event_type: str) -> str | None:
        event = self._states.event(value, event_type)
        return event.reason if isinstance(event, Retracted) else None
