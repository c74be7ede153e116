"""What an answer says while a partition that it depends on stands still."""

from __future__ import annotations

from dataclasses import dataclass

from everwhen.ports.answers import HeadRow
from everwhen.positions import Basis, Position
from everwhen.projection.rows import Head

_CONCERN_ALL = frozenset({"Repartitioned", "TopicRecreated"})
"""Any entity may have its next event there: in a new partition, or in a topic that is not read."""


@dataclass(frozen=True, slots=True)
class Incomplete:
    """Why an answer may lack events, or hold some that are not in the log: a partition stands still.

    :ivar error: the name of the class that the worker stopped with, a subclass of
        :class:`~everwhen.errors.ContinuityError`.
    :ivar position: where: the partition, and the offset that would come next there.
    """

    error: str
    position: Position

    def __str__(self) -> str:
        return f"{self.error} at {self.position}"


def incomplete_of(marks: Basis, head: Head | HeadRow | None = None) -> Incomplete | None:
    """Say whether what is asked for depends on a partition that stands still.

    :param head: of the entity asked for; ``None`` while it is unknown, and for all: then it depends on every partition.
    """
    for partition, error in marks.troubles:
        if head is None or head.partition == partition or error in _CONCERN_ALL:
            return Incomplete(error, Position(marks.topic, partition, marks.next_offset(partition)))
    return None
