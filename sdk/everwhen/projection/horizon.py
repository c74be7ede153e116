"""What is settled of an entity since its history was pruned."""

from __future__ import annotations

from typing import NamedTuple

from everwhen.errors import PrunedEvent
from everwhen.instants import Micros, from_micros
from everwhen.projection.arrival import Loaded
from everwhen.projection.rows import Version


class Horizon(NamedTuple):
    """Events before an instant are settled: what a record would change there cannot be folded any more."""

    before: Micros
    settled: frozenset[str]
    """Those of the events that a batch names which count and began before the instant."""

    @classmethod
    def of(cls, loaded: Loaded) -> Horizon | None:
        """Return the horizon of an entity; ``None`` if all its history is there."""
        if loaded.head is None or loaded.head.pruned_before is None:
            return None
        before = loaded.head.pruned_before
        return cls(
            before, frozenset(i for i, known in loaded.known.items() if known.live and known.valid_from < before)
        )

    def check(self, row: Version, begin: Micros | None) -> None:
        """Refuse a record that is late by more than what is left, or that withdraws what is settled.

        :param begin: from when on it counts; ``None`` if it has no event that does.
        :raises PrunedEvent: if it is such a one.
        """
        if begin is not None and begin < self.before:
            reaches = f"it occurred at {from_micros(row.valid_from).isoformat()}"
        elif row.withdraws in self.settled:
            reaches = "it withdraws an event from before that"
        else:
            return
        raise PrunedEvent(
            f"{row.event_type} of entity {row.entity_id!r} at offset {row.offset} of partition {row.partition}: the "
            f"entity's history before {from_micros(self.before).isoformat()} was pruned, and {reaches}. Discard it "
            "with everwhen quarantine discard, and publish an event of today that says what it meant; or rebuild the "
            "projection from the log"
        )
