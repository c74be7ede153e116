"""Entities with long histories, folded by the timeline and written through the store port without a log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from random import Random
from typing import Final

from examples.flights.model import aircraft, flights

from everwhen.instants import Micros
from everwhen.ports.log import TopicDescription
from everwhen.ports.store import Claim, Store
from everwhen.positions import Mark
from everwhen.projection import Arrival, Loaded, Tally, Timeline
from everwhen.projection.rows import Changes, Head, Version
from everwhen.worker.worker import blueprint

FIRST: Final[Micros] = 1_356_998_400_000_000
"""2013-01-01, in microseconds."""
STEP: Final[Micros] = 60_000_000
"""From one event to the next."""
DELAY: Final[Micros] = 5_000_000
"""From an event to its record."""
_BATCH = 20_000
_EVENT = bytes(64)
_ALL_STORED = 10**9
"""How many superseded beliefs a batch may keep: so many that all are stored."""


class Place:
    """One partition of a generation that is being filled."""

    def __init__(self, store: Store) -> None:
        self._store = store
        generation = store.prepare(blueprint(aircraft))
        topic = TopicDescription(flights.name, 1, "benchmark", "benchmark")
        self._claim: Claim = store.claim(generation, [0], topic)[0]
        self._mark = self._claim.mark

    def fill(self, entity_id: str, minutes: Iterable[tuple[int, int]]) -> int:
        """Write an entity's events.

        :param minutes: when each was recorded and when it had happened, in the order of the records.
        :return: how many were late.
        """
        tally = Tally()
        head: Head | None = None
        todo = iter(minutes)
        while some := list(islice(todo, _BATCH)):
            begin = self._mark.next_offset
            rows = [_row(entity_id, offset, *each) for offset, each in enumerate(some, begin)]
            head = self._write(entity_id, rows, head, tally)
        return tally.late

    def _write(self, entity_id: str, rows: Sequence[Version], head: Head | None, tally: Tally) -> Head:
        changes = Changes()
        earliest = min(row.valid_from for row in rows)
        since = earliest if head is not None and head.last_valid is not None and earliest < head.last_valid else None
        mark = Mark(rows[-1].offset + 1, max(self._mark.watermark, rows[-1].recorded_at))
        with self._store.batch(self._claim, self._mark.next_offset, mark) as batch:
            tail = batch.tails({entity_id: since}).get(entity_id, ()) if since is not None else ()
            timeline = Timeline(entity_id, Loaded(head, since, tail), _fold, _ALL_STORED, changes, tally)
            for row in rows:
                timeline.apply(Arrival(row))
            timeline.finish()
            batch.write(changes)
        self._mark = mark
        return changes.heads[0]


def in_order(count: int) -> Iterator[tuple[int, int]]:
    """One event a minute, each recorded when it happens."""
    return ((minute, minute) for minute in range(count))


def with_late(count: int, *, share: float, depth: int) -> list[tuple[int, int]]:
    """One event a minute, of which a share are recorded up to ``depth`` minutes later."""
    lots = Random(1)
    return sorted(
        (minute + lots.randint(1, depth) if lots.random() < share else minute, minute) for minute in range(count)
    )


def _row(entity_id: str, offset: int, recorded: int, happened: int) -> Version:
    return Version(
        entity_id=entity_id,
        valid_from=FIRST + happened * STEP,
        offset=offset,
        partition=0,
        recorded_at=FIRST + recorded * STEP + DELAY,
        refolded_offset=None,
        refolded_at=None,
        event_id=f"{entity_id}-{offset}",
        event_type="flight.departed",
        correlation_id=None,
        causation_id=None,
        withdraws=None,
        event=_EVENT,
        state=None,
    )


def _fold(state: str | None, row: Version) -> str:
    departures = 1 if state is None else json.loads(state)["departures"] + 1
    return f'{{"airport":null,"carrier":"UA","departures":{departures},"landings":0,"cancellations":0,"miles":0}}'
