"""What tells whether a log goes on where the store stands, and what an operator decides: part of the store port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

from everwhen.instants import Micros
from everwhen.ports.log import TopicDescription

if TYPE_CHECKING:
    from everwhen.ports.answers import EntityRows
    from everwhen.ports.generations import Generation
    from everwhen.ports.store import StoreBatch
    from everwhen.projection.rows import Quarantined

Kind: TypeAlias = Literal["gap", "roll-back", "restart", "partitions"]


class Applied(NamedTuple):
    """The last record of a partition that was applied: what the log is known by again."""

    offset: int
    checksum: int
    """CRC-32 of all that it holds."""
    leader_epoch: int | None
    """As for a :class:`~everwhen.ports.log.Record`."""


class Trouble(NamedTuple):
    """Why a partition stands still: the log could not prove that it goes on there."""

    error: str
    """The name of a subclass of :class:`~everwhen.errors.ContinuityError`."""
    from_offset: int | None = None
    to_offset: int | None = None
    """As for the error."""


class Decision(NamedTuple):
    """What was decided about a partition; kept for good."""

    partition: int
    decided_at: Micros
    """By the clock of the machine that it was decided on."""
    kind: Kind
    from_offset: int
    """Where the partition stood."""
    to_offset: int
    """Where it was put."""
    reason: str


class PartitionStand(NamedTuple):
    """Where a partition of a generation stands."""

    partition: int
    next_offset: int
    applied: Applied | None
    trouble: Trouble | None
    owner: str | None
    """The token of the last claim, whether its worker still runs or not; ``None`` before the first one."""
    epoch: int
    """How many claims there were."""
    complete_until: Micros
    """Up to which instant it is projected, by its last record or by what was noted while it was idle; -1 if unknown."""


class StoreRollBack(Protocol):
    """One open transaction in which a partition goes back; the checkpoint stands where it is to be by its end."""

    @property
    def stood(self) -> int:
        """Where the partition stood."""
        ...

    @property
    def batch(self) -> StoreBatch:
        """What the entities are written with again."""
        ...

    def entities(self) -> Iterator[list[tuple[EntityRows, list[Quarantined]]]]:
        """Yield every entity that a record from the offset on has touched, some at a time.

        Each comes with what is kept aside of it and not discarded. By then, all of this is removed from the store.
        """
        ...


class StoreContinuity(Protocol):
    """Decisions about one generation. Each is one transaction that fences the workers of what it concerns."""

    @property
    def generation(self) -> Generation:
        """The generation that is decided about."""
        ...

    def partitions(self) -> list[PartitionStand]:
        """Return where all partitions stand, in order."""
        ...

    def decisions(self) -> list[Decision]:
        """Return all that was decided, in the order of time."""
        ...

    def accept_gap(self, topic: TopicDescription, partition: int, to_offset: int, reason: str) -> Decision:
        """Go on at a later offset, without the records in between.

        :raises ContinuityError: if the topic is another one than was read.
        :raises ArgumentError: if the partition stands there or behind it already, or is not there.
        """
        ...

    def accept_partitions(self, reason: str) -> list[Decision]:
        """Read the partitions that the topic was given, from their beginning.

        :raises ArgumentError: if there are none.
        """
        ...

    def restart(self, topic: TopicDescription, reason: str) -> list[Decision]:
        """Throw away all that the generation holds, and begin at the beginning of a topic."""
        ...

    def roll_back(self, partition: int, to_offset: int, reason: str) -> AbstractContextManager[StoreRollBack]:
        """Open a transaction in which a partition goes back, for whoever folds its entities again.

        :raises ArgumentError: if the partition stands in front of the offset, or is not there, or if one of
            the entities that it touches was pruned.
        """
        ...
