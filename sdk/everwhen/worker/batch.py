"""The records of one transaction, by entity: what is loaded for them, how they are folded, and what is written."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, cast

from everwhen.errors import ProcessDied, RecordError, SplitEntity
from everwhen.instants import Micros
from everwhen.ports.log import Record
from everwhen.ports.store import StoreBatch
from everwhen.projection import (
    Arrival,
    Coming,
    Folder,
    Late,
    Loaded,
    Passage,
    Tally,
    Timeline,
    Unread,
    Waiting,
    may_help,
    place,
    since,
    straight,
)
from everwhen.projection.rows import Changes, Head, Known, Quarantined
from everwhen.worker import quarantine
from everwhen.worker.heads import HeadCache
from everwhen.worker.intake import Intake
from everwhen.worker.observer import Laps
from everwhen.worker.sequels import Sequels
from everwhen.worker.stored import Stored, groups, is_pruned
from everwhen.worker.stream import portions
from everwhen.worker.suspicion import is_convicted, verdict

_offset = attrgetter("offset")


class Rules(NamedTuple):
    """How records become rows."""

    intake: Intake
    folder: Folder[Any]
    depth: int
    late: Late


class Notes(NamedTuple):
    """What is to be logged once the batch is committed."""

    parked: list[Quarantined]
    """The first record of each entity that was parked."""
    unkeyed: list[Quarantined]
    """Records that are kept aside and park nothing."""
    healed: list[tuple[str, int]]
    """Entities that go on, each with the offset of the first record that had waited."""
    errors: dict[int, RecordError]
    """By offset, what the first record of an entity that was parked failed with."""


class Batch:
    """The records of one transaction.

    :param rules: how they become rows.
    :param partition: where they come from.
    """

    def __init__(self, rules: Rules, partition: int) -> None:
        self.tally = Tally()
        self.laps = Laps()
        self.notes = Notes([], [], [], {})
        self.heads: list[Head] = []
        """The new heads of all entities, once they are written."""
        self.failed = 0
        """How many records could not be applied, those not counted that only wait for one."""
        self._rules = rules
        self._partition = partition
        self._coming: dict[str, list[Coming]] = {}
        """By entity, what does not simply follow all that it has."""
        self._unreadable: set[str] = set()
        """Of these entities, those with a record that cannot be read."""
        self._records: Sequence[Record] = ()
        self._watermark: Micros | None = None
        """The latest recorded time before the records; ``None``: they are not to be read."""
        self._named: set[str] = set()
        """The entities that the records are known to belong to before they are read; their heads are looked for."""
        self._aside: list[Quarantined] = []
        self._queues: dict[str, list[Quarantined]] = {}
        self._resumed: dict[str, int] = {}
        """Entities that are tried again, each with how far the log is read then."""

    # -- what comes ----------------------------------------------------------------------------------------------

    def take(self, records: Sequence[Record], watermark: Micros) -> None:
        """Take records, in offset order; they are read when they are written.

        :param watermark: the latest recorded time before them.
        """
        self._records = records
        self._watermark = watermark
        self._named = self._rules.intake.entities_of(records)

    def refuse(self, record: Record, recorded_at: Micros, error: RecordError) -> None:
        """Take a record without reading it, because of ``error``."""
        self._records = [record]
        unread = Unread(record.partition, record.offset, recorded_at, error)
        if (entity_id := self._parked_by(record, unread)) is not None:
            self._coming[entity_id] = [unread]

    def _parked_by(self, record: Record, unread: Unread) -> str | None:
        """Return the entity of a record that cannot be read; if nothing can say which, keep the record aside."""
        entity_id = self._rules.intake.entity_of(record, unread.recorded_at)
        if entity_id is None:
            self._set_aside(quarantine.kept(record, None, unread.recorded_at, unread.error))
        else:
            self._unreadable.add(entity_id)
        return entity_id

    def resume(self, entity_id: str, queue: Sequence[Quarantined], reached: int, asked: Collection[int] = ()) -> None:
        """Try what waits of a parked entity as if it came now.

        :param queue: all of it that is to be tried, as stored.
        :param reached: the offset that comes next in the log.
        :param asked: at which offsets also such records are to be read as may end the process.
        """
        self._resumed[entity_id] = reached
        self._queues[entity_id] = list(queue)
        self._coming[entity_id] = self._comings(queue, asked)

    def _comings(self, queue: Iterable[Quarantined], asked: Collection[int] = ()) -> list[Coming]:
        return [
            Unread(row.partition, row.offset, row.recorded_at, verdict(row))
            if is_convicted(row) and row.offset not in asked
            else self._read_again(row)
            for row in queue
        ]

    def _read_again(self, row: Quarantined) -> Coming:
        try:
            version, contributes, _ = self._rules.intake.read(quarantine.record_of(row), row.recorded_at)
        except RecordError as error:
            return Unread(row.partition, row.offset, row.recorded_at, error)
        return Arrival(version, contributes)

    # -- what is written -----------------------------------------------------------------------------------------

    def write(self, store: StoreBatch, cache: HeadCache, *, careful: bool = False) -> None:
        """Read, fold and write.

        :param careful: look each event id up. Else those are not looked up whose events are later than all that their
            entity has: such an event is no duplicate, and only in conflict if its id was used for another one.
        :raises Repeated: if one was, unless careful; the batch has to be made anew then.
        :raises Ahead: if a record was written with a schema that is not known yet; so it has then.
        """
        cache.follow(store.prunings)
        heads = self._heads(store, cache)
        self.laps.lap("load")
        if self._watermark is not None:
            self._write_sequels(store, heads, () if careful else self._named, self._watermark)
        self._leave_out_split(heads)
        parked = {e for e, h in heads.items() if h.parking is not None and e not in self._resumed and e in self._coming}
        helped = {entity_id for entity_id in parked if self._may_heal(heads[entity_id], self._coming[entity_id])}
        self.heads += self._let_wait(store, {entity_id: heads[entity_id] for entity_id in parked - helped})
        waiting = self._waiting(store, helped)
        self.laps.lap("load")
        self._write_rest(store, heads, waiting)
        if self._aside:
            store.write(Changes(kept=self._aside))
            self.laps.lap("write")

    def _write_sequels(
        self, store: StoreBatch, heads: dict[str, Head], named: Collection[str], watermark: Micros
    ) -> None:
        """Read the records; fold and write those that follow all that their entity has, and file the others."""
        sequels = Sequels(self._partition, named, heads, self._rules.folder.apply)
        with store.inserting() as insert:
            for portion in portions(self._rules.intake, self._records, watermark):
                self.laps.lap("decode")
                rows = sequels.follow(portion.read)
                self.laps.lap("fold")
                if rows:
                    insert(rows)
                if portion.unread is not None and (entity_id := self._parked_by(*portion.unread)) is not None:
                    sequels.leave(entity_id, portion.unread[1])
                self.laps.lap("write")
        self.laps.lap("write")  # what the store had not yet written
        self.tally.applied += sequels.count
        changes = Changes(heads=[*sequels.heads(), *sequels.ended])
        heads.update((head.entity_id, head) for head in sequels.ended)
        self._coming = sequels.left
        if others := self._coming.keys() - self._named:
            heads |= store.heads(others)
        self._write(store, changes)

    def _write_rest(
        self, store: StoreBatch, heads: Mapping[str, Head], waiting: Mapping[str, Sequence[Waiting]]
    ) -> None:
        """Fold and write entities whose events have to be looked up."""
        entity_ids = list(self._coming)
        corrected = {entity_id for entity_id in entity_ids if entity_id in heads and heads[entity_id].withdrawals}
        known = self._known(store, entity_ids, heads, corrected, waiting)
        withdrawn = store.withdrawn(corrected) if corrected else {}
        stored = Stored(heads, known, withdrawn, waiting)
        starts = {entity_id: self._since(entity_id, stored) for entity_id in entity_ids}
        self.laps.lap("load")
        self._write_new(store, [entity_id for entity_id, start in starts.items() if start is None], stored)
        for group in groups(starts, heads):
            self._write_late(store, group, stored)

    def _write_new(self, store: StoreBatch, entity_ids: Iterable[str], stored: Stored) -> None:
        """Fold and write entities of which no stored version changes."""
        changes = Changes()
        for entity_id in entity_ids:
            self._apply(entity_id, stored.of(entity_id), changes, stored.waiting.get(entity_id, ()))
        self._write(store, changes)

    def _write(self, store: StoreBatch, changes: Changes) -> None:
        self.laps.lap("fold")
        store.write(changes)
        self.heads += changes.heads
        self.laps.lap("write")

    def _write_late(self, store: StoreBatch, starts: Mapping[str, Micros], stored: Stored) -> None:
        """Fold and write entities whose versions from an instant on are folded again."""
        tails = store.tails(starts)
        changes = Changes()
        self.laps.lap("load")
        for entity_id, start in starts.items():
            loaded = stored.of(entity_id)._replace(since=start, tail=tails.get(entity_id, ()))
            self._apply(entity_id, loaded, changes, stored.waiting.get(entity_id, ()))
        self._write(store, changes)

    def _apply(self, entity_id: str, loaded: Loaded, changes: Changes, waiting: Sequence[Waiting]) -> None:
        rules, coming = self._rules, self._coming[entity_id]
        if not waiting and entity_id not in self._unreadable and entity_id not in self._resumed:
            arrivals = cast("list[Arrival]", coming)
            timeline = Timeline(entity_id, loaded, rules.folder.fold, rules.depth, changes, self.tally, rules.late)
            if straight(timeline, arrivals, changes, self.tally):
                return
        passage = Passage(entity_id, loaded, rules.folder.fold, rules.depth, rules.late, waiting)
        passage.take(coming)
        before = loaded.head.quarantined_offset if loaded.head is not None else None
        if before is not None and entity_id in self._resumed:
            passage.mend(self._resumed[entity_id], before)
        passage.finish(changes, self.tally)
        self._keep(entity_id, passage.waiting, changes)
        first = passage.waiting[0].offset if passage.waiting else None
        if before is not None and first != before:
            self.notes.healed.append((entity_id, before))

    def _keep(self, entity_id: str, waiting: Sequence[Waiting], changes: Changes) -> None:
        """Write which of the entity's records wait now, where that differs from what is stored."""
        before = {row.offset: row for row in self._queues.get(entity_id, ())}
        left = {each.offset for each in waiting}
        changes.released += [row for offset, row in before.items() if offset not in left]
        first = waiting[0].offset if waiting else None
        tried = entity_id in self._resumed
        for each in waiting:
            row = before.get(each.offset)
            if row is None:
                changes.kept.append(self._kept(entity_id, each.coming, each.error))
            elif tried:
                changes.kept.append(_tried(row, each.error))
        if first is not None and (first not in before or tried):
            self.notes.parked.append(next(row for row in changes.kept if row.offset == first))
            if waiting[0].error is not None:
                self.notes.errors[first] = waiting[0].error

    def _kept(self, entity_id: str, coming: Coming, error: RecordError | None) -> Quarantined:
        self.failed += error is not None
        return quarantine.kept(self._record(coming), entity_id, place(coming).recorded_at, error)

    def _record(self, coming: Coming) -> Record:
        return self._records[bisect_left(self._records, place(coming).offset, key=_offset)]

    # -- entities that are parked --------------------------------------------------------------------------------

    def _leave_out_split(self, heads: dict[str, Head]) -> None:
        """Keep records aside whose entity has its records in another partition: no order puts them into its log."""
        for entity_id in [e for e, head in heads.items() if head.partition != self._partition]:
            head = heads.pop(entity_id)
            for coming in self._coming.pop(entity_id, ()):
                record = self._record(coming)
                error = SplitEntity(
                    f"{self._rules.intake.where(record)}: the entity's records so far are in partition "
                    f"{head.partition}, and offsets of two partitions have no order between them. Publish with one "
                    "partitioner (murmur2_random), and never change the number of partitions of an event topic; then "
                    "discard this record"
                )
                self._set_aside(quarantine.kept(record, entity_id, place(coming).recorded_at, error))

    def _set_aside(self, row: Quarantined) -> None:
        self._aside.append(row)
        self.notes.unkeyed.append(row)
        self.failed += 1
        self.tally.parked += 1

    def _may_heal(self, head: Head, coming: Iterable[Coming]) -> bool:
        if head.failing_valid is None or head.failing_offset is None:
            return False
        failing = head.failing_valid, head.failing_offset
        return any(isinstance(each, Arrival) and may_help(each, failing) for each in coming)

    def _let_wait(self, store: StoreBatch, parked: Mapping[str, Head]) -> list[Head]:
        """Keep records aside that cannot put right what is wrong with their entity; return heads that are new."""
        changes = Changes()
        for entity_id, head in parked.items():
            for coming in self._coming.pop(entity_id):
                error = coming.error if isinstance(coming, Unread) else None
                changes.kept.append(self._kept(entity_id, coming, error))
                self.tally.parked += 1
            if entity_id in self._unreadable and head.failing_valid is not None:
                changes.heads.append(head._replace(failing_valid=None, failing_offset=None))
        if changes.kept:
            store.write(changes)
        return changes.heads

    def _waiting(self, store: StoreBatch, helped: Collection[str]) -> dict[str, list[Waiting]]:
        found: dict[str, list[Waiting]] = {}
        for entity_id, rows in (store.quarantined(helped) if helped else {}).items():
            queue = self._queues[entity_id] = [row for row in rows if row.partition == self._partition]
            found[entity_id] = [
                Waiting(coming, coming.error if isinstance(coming, Unread) else None) for coming in self._comings(queue)
            ]
        return found

    # -- what is loaded ------------------------------------------------------------------------------------------

    def _since(self, entity_id: str, stored: Stored) -> Micros | None:
        arrivals = self._arrivals(entity_id, stored.waiting)
        return since(stored.heads.get(entity_id), arrivals, stored.known.get(entity_id, {}), self._rules.late)

    def _arrivals(self, entity_id: str, waiting: Mapping[str, Sequence[Waiting]]) -> Iterable[Arrival]:
        coming = self._coming[entity_id]
        if entity_id in waiting:
            coming = [*(each.coming for each in waiting[entity_id]), *coming]
        return (each for each in coming if isinstance(each, Arrival))

    def _heads(self, store: StoreBatch, cache: HeadCache) -> dict[str, Head]:
        named = self._named | self._coming.keys()
        heads = {entity_id: head for entity_id in named if (head := cache.get(entity_id)) is not None}
        missing = named - heads.keys()
        return heads | store.heads(missing) if missing else heads

    def _known(
        self,
        store: StoreBatch,
        entity_ids: Iterable[str],
        heads: Mapping[str, Head],
        corrected: Collection[str],
        waiting: Mapping[str, Sequence[Waiting]],
    ) -> dict[str, dict[str, Known]]:
        pairs: set[tuple[str, str]] = set()
        for entity_id in heads.keys() & entity_ids:
            for row, _ in self._arrivals(entity_id, waiting):
                pairs.add((entity_id, row.event_id))
                if row.withdraws is not None:
                    pairs.add((entity_id, row.withdraws))
        found: dict[str, dict[str, Known]] = {}
        pruned = {entity_id for entity_id in entity_ids if is_pruned(heads.get(entity_id))}
        for known in store.known(pairs, corrected, pruned) if pairs else ():
            found.setdefault(known.entity_id, {})[known.event_id] = known
        return found


def _tried(row: Quarantined, error: RecordError | None) -> Quarantined:
    if isinstance(error, ProcessDied):
        return row._replace(request=None)  # it was not tried
    if is_convicted(row):
        row = row._replace(attempts=row.attempts - 1)  # it was counted before it was tried
    return quarantine.waiting(row) if error is None else quarantine.failed(row, error)
