"""What must stand in the store: at every commit, and in the end."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from everwhen.instants import Micros
from tests.simulation.database import File, Slot
from tests.simulation.log import Tape

PREFIX = "everwhen_ledger__1_"
Rows = dict[str, list[tuple[Any, ...]]]


class Stand(NamedTuple):
    """Where a partition stands."""

    next_offset: int
    watermark: int | None
    quiet_until: int | None
    owner: str
    epoch: int


def stands(file: File) -> dict[int, Stand]:
    """Where each partition stands."""
    names = ", ".join(Stand._fields)
    found = file.rows(f"SELECT partition, {names} FROM everwhen_checkpoints")
    return {partition: Stand(*rest) for partition, *rest in found}


def judged(file: File) -> list[str]:
    """The generation's tables, but for the one that ``everwhen prune`` alone writes: no history runs it."""
    return [name for name in file.tables() if name.startswith(PREFIX) and name != f"{PREFIX}pruned"]


def rows_of(file: File, tables: Sequence[str]) -> dict[int, Rows]:
    """Every row of these tables by partition, each table in an order of its own."""
    found: dict[int, Rows] = {}
    for table in tables:
        for partition, *row in file.rows(f'SELECT partition, * FROM "{table}"'):
            found.setdefault(partition, {}).setdefault(table, []).append(tuple(row))
    for rows in found.values():
        for each in rows.values():
            each.sort(key=repr)
    return found


class Reference:
    """What an undisturbed projection, one record at a time, has after every record.

    :ivar exact: whether rows follow from the log alone; not so where a fold is put off to the end of its batch.
    """

    def __init__(self, tape: Tape, *, exact: bool) -> None:
        self.exact = exact
        self.offsets = {p: [record.offset for record in tape.records(p)] for p in tape.partitions}
        self._after: dict[tuple[int, int], Rows] = {}
        self._watermarks: dict[tuple[int, int], int | None] = {(p, 0): None for p in tape.partitions}

    def note(self, partition: int, count: int, rows: Rows, watermark: int | None) -> None:
        """Keep what stands there after so many records."""
        self._after[partition, count] = rows
        self._watermarks[partition, count] = watermark

    def count(self, partition: int, next_offset: int) -> int:
        """How many records are below an offset."""
        return bisect_left(self.offsets[partition], next_offset)

    def rows(self, partition: int, next_offset: int) -> Rows:
        """What must stand there when everything below the offset is projected."""
        return self._after.get((partition, self.count(partition, next_offset)), {})

    def watermark(self, partition: int, next_offset: int) -> int | None:
        """The highest recorded time below the offset."""
        return self._watermarks[partition, self.count(partition, next_offset)]


class Watcher:
    """The judge of a run."""

    def __init__(self, file: File, tape: Tape, reference: Reference) -> None:
        self._file = file
        self._tape = tape
        self._reference = reference
        self._tables = judged(file)
        self._before: dict[int, Stand] = {}
        self.commits = 0
        self._recorded = {p: _recorded(tape, p) for p in tape.partitions}

    def committed(self, slot: Slot, now: Micros) -> None:
        """After a commit: nothing went back, it was allowed to write, and the rows are those below the checkpoints."""
        self.commits += 1
        if not self._tables:
            self._tables = judged(self._file)
            if not self._tables:
                return
        after = stands(self._file)
        for partition, stand in after.items():
            before = self._before.get(partition)
            if before is not None:
                assert stand.next_offset >= before.next_offset, f"partition {partition} went back from {before}"
                assert stand.epoch >= before.epoch, f"the epoch of partition {partition} went back from {before}"
                assert (stand.quiet_until or -1) >= (before.quiet_until or -1), f"partition {partition} is less quiet"
            self._check_stand(partition, stand)
        if slot.claim is not None:
            stand = after[slot.claim.partition]
            assert (slot.claim.owner, slot.claim.epoch) == (stand.owner, stand.epoch), (
                f"{slot.name} wrote partition {slot.claim.partition} under epoch {slot.claim.epoch}, after {stand}"
            )
        self._check_rows(after)
        self._before = after

    def in_the_end(self) -> None:
        """When all workers are gone: everything is there, and nothing else."""
        assert self.finished()
        after = stands(self._file)
        for partition, stand in after.items():
            self._check_stand(partition, stand)
        self._check_rows(after)

    def finished(self) -> bool:
        """Whether everything is projected."""
        return all(
            (stand := self._before.get(p)) is not None and stand.next_offset == self._tape.end(p)
            for p in self._tape.partitions
        )

    def _check_stand(self, partition: int, stand: Stand) -> None:
        assert stand.next_offset <= self._tape.end(partition), f"partition {partition} stands behind the log: {stand}"
        assert stand.watermark == self._reference.watermark(partition, stand.next_offset), f"watermark of {stand}"
        if stand.quiet_until is not None:
            later = [at for offset, at in self._recorded[partition] if offset >= stand.next_offset]
            assert not later or later[0] > stand.quiet_until, f"partition {partition} is not quiet: {stand}, {later[0]}"

    def _check_rows(self, after: Mapping[int, Stand]) -> None:
        found = rows_of(self._file, self._tables)
        for partition, stand in after.items():
            here = found.pop(partition, {})
            if self._reference.exact:
                expected = self._reference.rows(partition, stand.next_offset)
                assert here == expected, f"rows of partition {partition} at {stand}: {_difference(here, expected)}"
            else:
                heads = here.get(f"{PREFIX}entities", [])
                assert all(head[5] < stand.next_offset for head in heads), f"a head is ahead of {stand}: {heads}"
        assert not found, f"rows of partitions that nobody has claimed: {found}"


def _recorded(tape: Tape, partition: int) -> list[tuple[int, int]]:
    """Offset and recorded time of each record."""
    latest, found = -1, []
    for record in tape.records(partition):
        latest = max(latest, record.timestamp)
        found.append((record.offset, latest))
    return found


def _difference(found: Rows, expected: Rows) -> str:
    lines = []
    for table in sorted(found.keys() | expected.keys()):
        here, there = set(found.get(table, ())), set(expected.get(table, ()))
        lines += [f"too many in {table}: {row}" for row in sorted(here - there, key=repr)]
        lines += [f"missing in {table}: {row}" for row in sorted(there - here, key=repr)]
        if len(found.get(table, ())) != len(here):
            lines.append(f"twice in {table}")
    return "; ".join(lines)
