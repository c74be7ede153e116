"""Answers: a state, or why there is none, and how far the answer can be trusted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from everwhen.errors import (
    AnswerError,
    BeforeFirstEvent,
    EntityDeleted,
    EntityQuarantined,
    HistoryTruncated,
    NeverExisted,
    NotYetProjected,
)
from everwhen.positions import Basis, Position
from everwhen.reader.incomplete import Incomplete

S = TypeVar("S")


class Status(StrEnum):
    """What an answer says."""

    FOUND = "found"
    """There is a state."""
    BEFORE_FIRST = "before_first"
    """The instant lies before the entity's first event."""
    DELETED = "deleted"
    """The entity is deleted at the instant."""
    NEVER_EXISTED = "never_existed"
    """No event of the entity is known."""
    TRUNCATED = "truncated"
    """The history before this instant was pruned."""
    NOT_YET_PROJECTED = "not_yet_projected"
    """The projection has not read the log up to the point of knowledge asked for."""
    QUARANTINED = "quarantined"
    """An event of the entity cannot be applied; the state is that up to the event before it."""


_ERRORS: dict[Status, tuple[type[AnswerError], str]] = {
    Status.BEFORE_FIRST: (BeforeFirstEvent, "has no event yet at this instant"),
    Status.DELETED: (EntityDeleted, "is deleted at this instant"),
    Status.NEVER_EXISTED: (NeverExisted, "has no event"),
    Status.TRUNCATED: (HistoryTruncated, "had its history before this instant pruned"),
    Status.NOT_YET_PROJECTED: (NotYetProjected, "is not projected up to the point of knowledge asked for"),
    Status.QUARANTINED: (EntityQuarantined, "is parked in front of an event that cannot be applied"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(Generic[S]):
    """A state with the interval over which it is valid.

    :ivar state: the state; ``None`` while the entity is deleted.
    :ivar valid_from: where it begins, inclusive: the event's ``occurred_at``.
    :ivar valid_to: where the next version begins, exclusive; ``None``: no end is known.
    :ivar recorded_at: when the log took the event.
    :ivar superseded_at: when a later record gave this version another state or withdrew its event; ``None`` while it
        stands. A later event that begins after it only sets ``valid_to``.
    :ivar event_id: the event that began it.
    :ivar event_type: that event's type.
    :ivar position: where that event stands in the log.
    """

    state: S | None = field(repr=False)
    valid_from: datetime
    valid_to: datetime | None
    recorded_at: datetime
    superseded_at: datetime | None
    event_id: str
    event_type: str
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[S]):
    """What was true of one entity at one instant, as known at one basis.

    :ivar entity_id: the entity asked for.
    :ivar valid_at: the instant asked for.
    :ivar status: what the answer says.
    :ivar version: the version that is valid at the instant; ``None`` where there is none.
    :ivar basis: what it was computed from. ``reader.get(entity_id, valid_at=..., basis=answer.basis)`` gives the same
        answer for ever.
    :ivar watermark: everything that the log recorded up to here is part of the answer; ``None`` before the first
        record.
    :ivar final: no later record can change the answer to this question: it named a ``basis``, or a ``known_at``
        that the projection has passed. False while the question is about what is known *now*: a late event, a
        correction or a retraction may still come.
    :ivar folded: the belief asked for is not kept as a row; it was folded from the entity's stored events.
    :ivar incomplete: set while a partition that the answer depends on stands still, as the log could not prove that it
        goes on there. Such an answer is never final.
    :ivar behind: what ``at_least`` asked for and was not reached in time, and how far the projection is; ``None`` in
        every other answer.

    The fields of ``version`` can be read from the answer itself; they are ``None`` where there is no version.
    """

    entity_id: str
    valid_at: datetime
    status: Status
    version: Version[S] | None
    basis: Basis
    watermark: datetime | None
    final: bool = False
    folded: bool = False
    incomplete: Incomplete | None = None
    behind: str | None = None

    def not_yet(self, behind: str) -> Answer[S]:
        """Return the answer to the same question where the projection has not reached what was asked for."""
        return replace(self, status=Status.NOT_YET_PROJECTED, version=None, final=False, folded=False, behind=behind)

    def require(self) -> S:
        """Return the state.

        :raises AnswerError: of the class that belongs to the status, when that is not ``FOUND``.
        """
        if self.status is Status.FOUND and self.version is not None and self.version.state is not None:
            return self.version.state
        error, reason = _ERRORS[self.status]
        behind = "" if self.behind is None else f": {self.behind}"
        raise error(f"entity {self.entity_id!r} {reason} (valid_at {self.valid_at.isoformat()}){behind}")

    @property
    def state(self) -> S | None:
        """The state, or ``None``."""
        return self.version.state if self.version is not None else None

    @property
    def valid_from(self) -> datetime | None:
        """Where the version begins."""
        return self.version.valid_from if self.version is not None else None

    @property
    def valid_to(self) -> datetime | None:
        """Where the next version begins, exclusive."""
        return self.version.valid_to if self.version is not None else None

    @property
    def recorded_at(self) -> datetime | None:
        """When the log took the event that began the version."""
        return self.version.recorded_at if self.version is not None else None

    @property
    def superseded_at(self) -> datetime | None:
        """When a later record replaced this belief; ``None`` while it is believed."""
        return self.version.superseded_at if self.version is not None else None

    @property
    def event_id(self) -> str | None:
        """The event that began the version."""
        return self.version.event_id if self.version is not None else None

    @property
    def event_type(self) -> str | None:
        """The type of that event."""
        return self.version.event_type if self.version is not None else None

    @property
    def position(self) -> Position | None:
        """Where that event stands in the log."""
        return self.version.position if self.version is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class History(Generic[S]):
    """The versions of one entity in the order of valid time, as known at one basis.

    Deletions are versions without a state, so two lives of an entity have a gap between them. Of several events at
    one instant the last one's version is listed: it is the one that is visible.

    :ivar entity_id: the entity asked for.
    :ivar status: ``FOUND``, ``NEVER_EXISTED``, ``TRUNCATED``, ``QUARANTINED`` or ``NOT_YET_PROJECTED``.
    :ivar versions: the versions.
    :ivar basis: what it was computed from.
    :ivar final: as for an :class:`Answer`.
    :ivar folded: what was believed is not kept as rows; it was folded from the entity's stored events.
    :ivar incomplete: as for an :class:`Answer`.
    :ivar pruned_before: what ended before this instant was dropped, whatever the status; ``None`` if nothing was.
    """

    entity_id: str
    status: Status
    versions: tuple[Version[S], ...]
    basis: Basis
    final: bool = False
    folded: bool = False
    incomplete: Incomplete | None = None
    pruned_before: datetime | None = None

    def __iter__(self) -> Iterator[Version[S]]:
        return iter(self.versions)

    def __len__(self) -> int:
        return len(self.versions)

    def __getitem__(self, index: int) -> Version[S]:
        return self.versions[index]
