"""Tells a log: what is published when, as records on a tape and as the definition's entries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from everwhen import Event, Topic
from everwhen.local.murmur2 import partition_of
from tests import oracle
from tests.axes.logs import START
from tests.ledger import Skipped, Writer
from tests.simulation.log import Item, Tape

MINUTE = 60_000_000
_MICRO = 1_000_000


@dataclass
class Story:
    """A log that is being told.

    :ivar beat: seconds of the clock between two records of a partition.
    """

    topic: Topic
    partitions: int = 1
    beat: float = 0.02
    entries: dict[str, list[oracle.Entry]] = field(default_factory=dict)
    instants: set[int] = field(default_factory=set)
    breaks: list[tuple[float, int, float, bool]] = field(default_factory=list)
    now: float = 0.0

    def __post_init__(self) -> None:
        self._items: dict[int, list[Item]] = {p: [] for p in range(self.partitions)}
        self._next = dict.fromkeys(range(self.partitions), 0)
        self._recorded = dict.fromkeys(range(self.partitions), -1)
        self._open: dict[int, list[Any]] = {}

    def partition(self, entity: str) -> int:
        """Where an entity's records go."""
        return partition_of(entity.encode(), self.partitions)

    def tell(
        self,
        entity: str,
        event: Event,
        minute: float,
        *,
        event_id: str | None = None,
        withdraws: str | None = None,
        behind: float = 0.0,
        aborted: bool = False,
        settled: float | None = None,
    ) -> str:
        """Publish an event that happened at a minute; return its id.

        :param behind: by how many seconds the broker's clock is behind.
        :param aborted: in a transaction that is aborted.
        :param settled: when its transaction ends; at once if left out.
        """
        partition = self.partition(entity)
        offset = self._next[partition]
        self._next[partition] += 1
        self.now += self.beat
        recorded = (START + round((self.now - behind) * _MICRO)) // 1000 * 1000
        valid = START + round(minute * MINUTE)
        event_id = event_id or f"{partition}-{offset}"
        record = Writer(self.topic, partition).record(
            offset, entity, event, occurred_at=valid, recorded_at=recorded, event_id=event_id, withdraws=withdraws
        )
        at_end = self.now if settled is None else settled
        self._items[partition].append(Item(offset, self.now, at_end, None if aborted else record))
        if not aborted:
            self._recorded[partition] = recorded = max(recorded, self._recorded[partition])
            self.instants.add(valid)
            contributes = not isinstance(event, Skipped)
            if contributes or withdraws is not None:
                self.entries.setdefault(entity, []).append(
                    oracle.Entry(offset, recorded, valid, event_id, event, withdraws, contributes)
                )
        return event_id

    def marker(self, partition: int = 0) -> None:
        """Put an offset that is never delivered: the marker of a transaction."""
        self._items[partition].append(Item(self._next[partition], self.now, self.now, None))
        self._next[partition] += 1

    def hole(self, partition: int = 0, width: int = 3) -> None:
        """Leave offsets out, as compaction does."""
        self._next[partition] += width

    def take_away(self, partition: int, seconds: float, *, lost: bool) -> None:
        """Have the group take a partition away now, and give it to somebody after so many seconds."""
        self.breaks.append((self.now, partition, seconds, lost))

    def tape(self) -> Tape:
        """What was told."""
        return Tape(self.topic.name, self._items, self.breaks)
