"""Nearly all of what ever comes to an entity: events that follow all that it has."""

from __future__ import annotations

from everwhen.errors import RecordError
from everwhen.event import Event
from everwhen.instants import MIN_MICROS
from everwhen.projection.arrival import Apply
from everwhen.projection.rows import Head, Version, VersionValues


class Sequel:
    """One entity while events are applied to it that follow all that it has.

    Faster than a :class:`~everwhen.projection.timeline.Timeline`, since nothing is looked for that cannot be. Which way
    is taken makes no difference: the same rows come out. It takes them up to the first event that is of
    another kind; a timeline, which begins with the head and the rows so far, says then what becomes of it.

    An event that is later than all others is not asked for its id: it is no duplicate. If its id was used for another
    event of the entity, the store refuses its row.

    :param entity_id: the entity.
    :param partition: where its records come from.
    :param head: what is stored of it; one that :func:`is_plain`, or ``None`` for a new entity.

    Not thread-safe.
    """

    __slots__ = ("_entity_id", "_first", "_head", "_ids", "_last", "_lead", "_offset", "_partition", "_state", "count")

    def __init__(self, entity_id: str, partition: int, head: Head | None) -> None:
        self.count = 0
        """How many events it took."""
        self._entity_id = entity_id
        self._partition = partition
        self._head = head
        self._first = self._offset = 0
        self._state = None if head is None else head.state
        self._last = MIN_MICROS - 1 if head is None or head.last_valid is None else head.last_valid
        self._lead = 0 if head is None else head.lead
        self._ids: str | set[str] | None = None
        """Of the events at the last instant; ``None``: not known, as they are stored."""

    def follow(self, row: Version, event: Event, apply: Apply) -> VersionValues | None:
        """Take one more event that is to be folded, in offset order.

        :param row: the version that it begins; its ``state`` is not known yet.
        :param event: the same, decoded.
        :param apply: applies it to the state before it.
        :return: its row, or ``None`` if a timeline has to take it.
        """
        begins = row.valid_from
        if row.withdraws is not None:
            return None
        if begins > self._last:
            self._ids = row.event_id
        elif begins < self._last or not self._is_new(row.event_id):
            return None
        try:
            state = apply(self._state, row, event)
        except RecordError:
            return None
        if not self.count:
            self._first = begins
        self.count += 1
        self._state, self._last, self._offset = state, begins, row.offset
        if begins - row.recorded_at > self._lead:
            self._lead = begins - row.recorded_at
        return row[:-1] + (state,)  # noqa: RUF005 - a list in between would take twice as long

    def head(self) -> Head:
        """Return what is known of the entity now; at least one event was taken."""
        head = self._head
        if head is not None:
            return head._replace(
                state=self._state,
                last_valid=self._last,
                last_offset=self._offset,
                versions=head.versions + self.count,
                lead=self._lead,
            )
        return Head(
            entity_id=self._entity_id,
            partition=self._partition,
            state=self._state,
            first_valid=self._first,
            last_valid=self._last,
            last_offset=self._offset,
            versions=self.count,
            lead=self._lead,
            withdrawals=0,
            unstored_offset=None,
            unstored_valid=None,
            quarantined_offset=None,
        )

    def _is_new(self, event_id: str) -> bool:
        """Whether it is known that no event at the last instant has this id; from now on one has it."""
        if isinstance(self._ids, str):
            self._ids = {self._ids}
        if self._ids is None or event_id in self._ids:
            return False
        self._ids.add(event_id)
        return True


def is_plain(head: Head | None, partition: int) -> bool:
    """Say whether events may follow what is stored of an entity that its records of a partition come to."""
    return head is None or (
        head.partition == partition
        and head.last_valid is not None
        and not head.withdrawals
        and head.quarantined_offset is None
        and head.pruned_before is None
    )
