"""The year of flights as a worker leaves it in a store, written through the store port without a log."""

from __future__ import annotations

from functools import cache
from itertools import islice
from operator import attrgetter
from typing import Final
from zlib import crc32

from examples.flights.data import events
from examples.flights.model import aircraft, flights

from everwhen.event import Event, event_type
from everwhen.instants import Micros, to_micros
from everwhen.ports.log import TopicDescription
from everwhen.ports.store import Claim, Store
from everwhen.positions import Mark
from everwhen.projection import Arrival, Loaded, Tally, Timeline
from everwhen.projection.arrival import since
from everwhen.projection.fold import Folder
from everwhen.projection.rows import Changes, Version
from everwhen.worker.worker import blueprint

DELAY: Final[Micros] = 1_000
"""From the event that was the latest so far to a record."""
_BATCH: Final = 10_000
_DEPTH: Final = 32
"""A worker's default."""


def fill(store: Store, *, events_at_most: int | None = None) -> None:
    """Write the year, or its beginning, into an empty store: in batches of one partition each, as a worker does."""
    generation = store.prepare(blueprint(aircraft))
    topic = TopicDescription(flights.name, flights.partitions, "benchmark", "benchmark")
    claims = store.claim(generation, range(flights.partitions), topic)
    lanes = [_Lane(store, claims[number]) for number in range(flights.partitions)]
    for number, (entity_id, event, happened) in enumerate(islice(events(), events_at_most)):
        lane = lanes[_partition(entity_id)]
        lane.take(entity_id, event, to_micros(happened, "occurred_at"), f"nycflights13-{number}")
    for lane in lanes:
        lane.flush()


@cache
def _partition(entity_id: str) -> int:
    return crc32(entity_id.encode()) % flights.partitions


class _Lane:
    """One partition: records are collected, and written together."""

    def __init__(self, store: Store, claim: Claim) -> None:
        self._store = store
        self._claim = claim
        self._mark = claim.mark
        self._recorded = 0
        self._rows: list[Version] = []
        self._events: dict[int, Event] = {}
        self._folder = Folder(aircraft)

    def take(self, entity_id: str, event: Event, happened: Micros, event_id: str) -> None:
        """Take one more record, that the log takes as soon as the event has happened."""
        self._recorded = max(self._recorded, happened + DELAY)
        offset = self._mark.next_offset + len(self._rows)
        self._events[offset] = event
        self._rows.append(
            Version(
                entity_id=entity_id,
                valid_from=happened,
                offset=offset,
                partition=self._claim.partition,
                recorded_at=self._recorded,
                refolded_offset=None,
                refolded_at=None,
                event_id=event_id,
                event_type=event_type(type(event)),
                correlation_id=None,
                causation_id=None,
                withdraws=None,
                event=flights.codec.encode(event),
                state=None,
            )
        )
        if len(self._rows) == _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what was collected."""
        if not self._rows:
            return
        mark, changes = Mark(self._rows[-1].offset + 1, self._recorded), Changes()
        by_entity: dict[str, list[Arrival]] = {}
        for row in self._rows:
            by_entity.setdefault(row.entity_id, []).append(Arrival(row))
        with self._store.batch(self._claim, self._mark.next_offset, mark) as batch:
            heads = batch.heads(by_entity)
            touched = {each: since(heads.get(each), rows, {}) for each, rows in by_entity.items()}
            tails = batch.tails({each: instant for each, instant in touched.items() if instant is not None})
            for entity_id, arrivals in by_entity.items():
                loaded = Loaded(heads.get(entity_id), touched[entity_id], tails.get(entity_id, ()))
                timeline = Timeline(entity_id, loaded, self._fold, _DEPTH, changes, Tally())
                for arrival in arrivals:
                    timeline.apply(arrival)
                timeline.finish()
            changes.inserted.sort(key=_offset)  # the order in which the log has them
            batch.write(changes)
        self._mark, self._rows = mark, []
        self._events.clear()

    def _fold(self, state: str | None, row: Version) -> str | None:
        event = self._events.get(row.offset)
        return self._folder.fold(state, row) if event is None else self._folder.apply(state, row, event)


_offset = attrgetter("offset")
