"""What a store must answer, worked out from the definition by trying everything.

A log of a few records is folded anew for every basis; from how beliefs differ from one basis to the next follow the
rows that a store is given. It shares no code with the timeline.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from everwhen.instants import Micros
from everwhen.ports.answers import AsOf
from everwhen.positions import Basis, Mark
from everwhen.projection.rows import Changes, Head, Superseded, Version, Withdrawal

TOPIC = "things"


class Entry(NamedTuple):
    """A record of the log: an event, or the retraction of an earlier one."""

    partition: int
    offset: int
    recorded_at: Micros
    entity_id: str
    valid_from: Micros
    event_id: str
    deletes: bool = False
    retracts: str | None = None
    """The event id that it withdraws; then it is no event itself."""


class Row(NamedTuple):
    """One believed version."""

    valid_from: Micros
    offset: int
    state: str | None


class Expected(NamedTuple):
    """An answer about one entity at one point of both axes."""

    row: Row
    valid_to: Micros | None
    superseded_at: Micros | None


class Oracle:
    """A log, what is believed at each of its bases, and the rows that follow.

    :param log: records; in offset order within each partition, each entity in one partition.
    """

    def __init__(self, log: Sequence[Entry]) -> None:
        self.log = list(log)
        self.entities = sorted({entry.entity_id for entry in self.log})

    def believed(self, entity_id: str, as_of: AsOf) -> list[Row]:
        """Fold the entity's events that count; return its versions in order."""
        return _fold([entry for entry in self._of(entity_id) if _counts(entry, as_of)])

    def find(self, entity_id: str, as_of: AsOf) -> Expected | None:
        """Answer by the definition."""
        rows = self.believed(entity_id, as_of)
        here = [row for row in rows if row.valid_from <= as_of.valid_at]
        after = [row.valid_from for row in rows if row.valid_from > as_of.valid_at]
        if not here:
            return None
        return Expected(here[-1], min(after, default=None), self.superseded_at(entity_id, here[-1], as_of))

    def superseded_at(self, entity_id: str, row: Row, as_of: AsOf) -> Micros | None:
        """Say when the row was no longer believed."""
        for entry in self._of(entity_id):
            if not _counts(entry, as_of) and row not in self.believed(entity_id, _after(entry)):
                return entry.recorded_at
        return None

    def bases(self) -> Iterator[Basis]:
        """Return the basis after each prefix of the log, beginning with none of it."""
        marks: dict[int, Mark] = {}
        yield Basis.of(TOPIC, marks)
        for entry in self.log:
            marks[entry.partition] = Mark(entry.offset + 1, entry.recorded_at)
            yield Basis.of(TOPIC, marks)

    def changes(self, entries: Sequence[Entry]) -> Changes:
        """Return what a batch of these entries, all of one partition, writes after all that is before them."""
        changes = Changes()
        for entity_id in sorted({entry.entity_id for entry in entries}):
            timeline = _Rows()
            for entry in self._of(entity_id):
                if entry.offset == next(e.offset for e in entries if e.entity_id == entity_id):
                    timeline.begin_batch()
                if entry.offset <= entries[-1].offset:
                    timeline.take(entry, self.believed(entity_id, _after(entry)))
            timeline.finish(changes)
        return changes

    def _of(self, entity_id: str) -> list[Entry]:
        return [entry for entry in self.log if entry.entity_id == entity_id]


def _after(entry: Entry) -> AsOf:
    return AsOf(0, basis=Basis.of(TOPIC, {entry.partition: Mark(entry.offset + 1, entry.recorded_at)}))


def _counts(entry: Entry, as_of: AsOf) -> bool:
    if as_of.basis is not None and entry.offset >= as_of.basis.next_offset(entry.partition):
        return False
    return as_of.known_at is None or entry.recorded_at <= as_of.known_at


def _fold(entries: Sequence[Entry]) -> list[Row]:
    retracted = {entry.retracts for entry in entries}
    events = [entry for entry in entries if entry.retracts is None and entry.event_id not in retracted]
    rows: list[Row] = []
    folded: list[str] = []
    for event in sorted(events, key=lambda event: (event.valid_from, event.offset)):
        folded = [] if event.deletes else [*folded, event.event_id]
        rows.append(Row(event.valid_from, event.offset, None if event.deletes else json.dumps(folded)))
    return rows


class _Rows:
    """The rows of one entity, kept while its beliefs change."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._now: dict[tuple[Micros, int], Version] = {}
        self._before: dict[tuple[Micros, int], Version] = {}
        self._batch = Changes()
        self._withdrawals = 0
        self._lead: Micros | None = None
        self._last: Entry | None = None

    def begin_batch(self) -> None:
        self._before, self._batch = dict(self._now), Changes()

    def take(self, entry: Entry, believed: Sequence[Row]) -> None:
        self._last = self._entries[entry.offset] = entry
        if entry.retracts is not None:
            self._withdrawals += 1
            self._batch.withdrawals.append(
                Withdrawal(
                    entry.entity_id,
                    entry.retracts,
                    entry.offset,
                    entry.partition,
                    entry.recorded_at,
                    entry.event_id,
                    "thing.retracted",
                    b"",
                )
            )
        else:
            ahead = entry.valid_from - entry.recorded_at
            self._lead = ahead if self._lead is None else max(self._lead, ahead)
        rows = {(row.valid_from, row.offset): row for row in believed}
        for key, version in list(self._now.items()):
            row = rows.get(key)
            if row is None or row.state != version.state:
                self._batch.superseded.append(
                    Superseded(version, entry.offset, entry.recorded_at, withdrawn=row is None)
                )
                del self._now[key]
        for key, row in rows.items():
            if key not in self._now:
                self._now[key] = self._version(row, entry)

    def finish(self, changes: Changes) -> None:
        for key, version in self._now.items():
            if key not in self._before:
                self._batch.inserted.append(version)
            elif self._before[key] != version:
                self._batch.updated.append(version)
        self._batch.removed = [version for key, version in self._before.items() if key not in self._now]
        self._batch.heads.append(self._head())
        for name in ("inserted", "updated", "removed", "superseded", "withdrawals", "heads"):
            getattr(changes, name).extend(getattr(self._batch, name))

    def _version(self, row: Row, by: Entry) -> Version:
        entry = self._entries[row.offset]
        later = by.offset != entry.offset
        return Version(
            entity_id=entry.entity_id,
            valid_from=entry.valid_from,
            offset=entry.offset,
            partition=entry.partition,
            recorded_at=entry.recorded_at,
            refolded_offset=by.offset if later else None,
            refolded_at=by.recorded_at if later else None,
            event_id=entry.event_id,
            event_type="thing.happened",
            correlation_id=None,
            causation_id=None,
            withdraws=None,
            event=entry.event_id.encode(),
            state=row.state,
        )

    def _head(self) -> Head:
        last, keys = self._last, sorted(self._now)
        assert last is not None
        return Head(
            entity_id=last.entity_id,
            partition=last.partition,
            state=self._now[keys[-1]].state if keys else None,
            first_valid=keys[0][0] if keys else None,
            last_valid=keys[-1][0] if keys else None,
            last_offset=last.offset,
            versions=len(keys),
            lead=self._lead or 0,
            withdrawals=self._withdrawals,
            unstored_offset=None,
            unstored_valid=None,
            quarantined_offset=None,
        )
