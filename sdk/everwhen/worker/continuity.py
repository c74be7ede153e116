"""Whether the log goes on where the store stands; where that cannot be proven, the partition stops."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from everwhen.errors import ContinuityError, LogDiverged, LogGap, OffsetOutOfRange, Repartitioned, TopicRecreated
from everwhen.ports.continuity import Applied, Trouble
from everwhen.ports.generations import Generation
from everwhen.ports.log import UNKNOWN_ID, Bounds, Chunk, Log, Record, TopicDescription
from everwhen.ports.store import Claim
from everwhen.worker.lines import place_of

_log = logging.getLogger("everwhen.worker")


def applied_of(record: Record) -> Applied:
    """Return what a record is known by again."""
    checksum = zlib.crc32(record.key or b"")
    checksum = zlib.crc32(record.value or b"", checksum)
    for name, value in record.headers or ():
        checksum = zlib.crc32(value or b"", zlib.crc32(name.encode(), checksum))
    checksum = zlib.crc32(record.timestamp.to_bytes(8, signed=True), checksum)
    return Applied(record.offset, checksum, record.leader_epoch)


def trouble_of(error: ContinuityError) -> Trouble:
    """Return what a store keeps of an error."""
    return Trouble(type(error).__name__, error.from_offset, error.to_offset)


class Placing(NamedTuple):
    """Where to begin with partitions that were claimed."""

    starts: dict[int, int]
    unproven: frozenset[int]
    """Those that begin with the last record that was applied, to see whether it is the same."""
    broken: dict[int, ContinuityError]
    """Those that cannot go on."""


class Continuity:
    """Proves for each partition that the log holds what was applied, and goes on behind it.

    A partition begins one record early, at the last one that was applied. The first record that the log delivers must
    be that one: the same offset, content and term of the leader. librdkafka does not check an offset that it is
    given to begin at (its issue 5158), so its own check of terms (KIP-320) begins only behind this.

    :param log: asked where partitions begin and end.
    :param topic: as it was described when the worker started.
    :param generation: what is being built, for the remedies in messages.
    :param sparse: the topic's settings were accepted with their problems: a record that is not there any more may have
        been compacted away, and proves nothing.

    Used by the thread that fetches.
    """

    def __init__(self, log: Log, topic: TopicDescription, generation: Generation, *, sparse: bool) -> None:
        self._log = log
        self._topic = topic.name
        self._generation = generation
        self._sparse = sparse
        self._unproven: dict[int, Applied] = {}
        self._told_of_epochs = False
        if topic.topic_id == UNKNOWN_ID:
            _log.warning(
                "continuity.unproven %s: this log gives topics no ids, so one that is made again under the same name "
                "is recognised by its records only",
                topic.name,
                extra=place_of(topic.name),
            )

    def place(self, claims: Mapping[int, Claim]) -> Placing:
        """Say where to begin with partitions that were claimed just now.

        :raises LogUnavailable: if the log does not say what it holds.
        """
        bounds = self._log.bounds(self._topic, sorted(claims))
        placing = Placing({}, frozenset(), {})
        for partition, claim in claims.items():
            self._unproven.pop(partition, None)
            if (error := self._broken(claim, bounds[partition])) is not None:
                placing.broken[partition] = error
                placing.starts[partition] = bounds[partition].end
            else:
                placing.starts[partition] = self._begin(claim, bounds[partition])
        return placing._replace(unproven=frozenset(self._unproven.keys() & claims.keys()))

    def out_of_range(self, partition: int, wanted: int, error: OffsetOutOfRange) -> ContinuityError:
        """Say what it means that the log does not hold the offset that comes next.

        :param wanted: the offset.
        :raises LogUnavailable: if the log does not say what it holds.
        """
        start, end = self._log.bounds(self._topic, [partition])[partition]
        if wanted < start:
            return self._gap(partition, wanted, start)
        return self._diverged(partition, wanted, end, f"it holds {start} to {end} ({error})")

    def check(self, chunk: Chunk) -> tuple[Chunk, frozenset[int], dict[int, ContinuityError]]:
        """Compare the first record of each partition that is not proven yet with the one that was applied.

        :return: what was fetched without partitions that do not go on; those that are proven now; those that broke.
        """
        if not self._unproven:
            return chunk, frozenset(), {}
        proven: set[int] = set()
        broken: dict[int, ContinuityError] = {}
        firsts: dict[int, Record] = {}
        for record in chunk.records:
            if record.partition in self._unproven:
                firsts.setdefault(record.partition, record)
        for partition in self._unproven.keys() & (firsts.keys() | chunk.ends.keys()):
            error = self._compare(partition, self._unproven.pop(partition), firsts.get(partition))
            if error is None:
                proven.add(partition)
            else:
                broken[partition] = error
        if broken:
            records = [record for record in chunk.records if record.partition not in broken]
            chunk = Chunk(records, {partition: end for partition, end in chunk.ends.items() if partition not in broken})
        return chunk, frozenset(proven), broken

    def forget(self, partitions: Sequence[int]) -> None:
        """Leave partitions to others."""
        for partition in partitions:
            self._unproven.pop(partition, None)

    def recreated(self) -> TopicRecreated:
        """Return what is to be said of a topic that was deleted, if there is another one of its name by now.

        :raises TopicNotFound: if there is none at all.
        :raises LogUnavailable: if the log does not answer.
        """
        found = self._log.describe(self._topic).topic_id
        return TopicRecreated(
            f"topic {self._topic} was deleted and made again while it was read (its id is {found} now): its offsets "
            f"mean other records. Begin anew with: {self._command('restart')} --reason TEXT"
        )

    def repartitioned(self, partition: int, built: int | None, found: int | None) -> Repartitioned:
        """Say that there is a partition that the generation was not built from."""
        return Repartitioned(
            f"{self._topic}[{partition}]: the topic has {found} partitions, and what the store holds was built from "
            f"{built}. An entity whose events go to another partition from now on has no order between the two, so no "
            f"new partition is read before somebody says so: {self._command('accept-partitions')} --reason TEXT",
            from_offset=built,
            to_offset=found,
        )

    def _broken(self, claim: Claim, bounds: Bounds) -> ContinuityError | None:
        stands = claim.mark.next_offset
        if claim.trouble is not None and claim.trouble.error == Repartitioned.__name__:
            return self.repartitioned(claim.partition, claim.trouble.from_offset, claim.trouble.to_offset)
        if stands < bounds.start:
            return self._gap(claim.partition, stands, bounds.start)
        if stands > bounds.end:
            return self._diverged(claim.partition, stands, bounds.end, f"it holds {bounds.start} to {bounds.end}")
        return None

    def _begin(self, claim: Claim, bounds: Bounds) -> int:
        applied, stands = claim.applied, claim.mark.next_offset
        if applied is None:
            return stands
        if applied.offset < bounds.start:
            self._unprovable(claim.partition, applied, "was removed from the log since it was applied")
            return stands
        self._unproven[claim.partition] = applied
        return applied.offset

    def _compare(self, partition: int, applied: Applied, first: Record | None) -> ContinuityError | None:
        if first is not None and first.offset == applied.offset:
            found = applied_of(first)
            if found.leader_epoch is None and not self._told_of_epochs:
                self._told_of_epochs = True
                text = "continuity.epochs %s: this log knows no terms of leaders; records prove it"
                _log.info(text, self._topic, extra=place_of(self._topic, partition))
            if None in (applied.leader_epoch, found.leader_epoch):
                found = found._replace(leader_epoch=applied.leader_epoch)
            return None if found == applied else self._other_record(partition, applied, found)
        if self._sparse:
            self._unprovable(partition, applied, "is not in the log any more, as compaction may have removed it")
            return None
        return self._diverged(partition, applied.offset, None, "the record that was applied there is not in it")

    def _other_record(self, partition: int, applied: Applied, found: Applied) -> LogDiverged:
        what = (
            "holds another record than the one that was applied"
            if found.checksum != applied.checksum
            else f"was written in term {found.leader_epoch} of the leader, not in {applied.leader_epoch}"
        )
        return self._diverged(partition, applied.offset, None, f"that offset {what}")

    def _unprovable(self, partition: int, applied: Applied, fate: str) -> None:
        _log.warning(
            "continuity.unproven %s[%d]@%d, the last record that was applied, %s: whether the log is the same cannot "
            "be checked; going on behind it",
            self._topic,
            partition,
            applied.offset,
            fate,
            extra=place_of(self._topic, partition, applied.offset),
        )

    def _gap(self, partition: int, stands: int, start: int) -> LogGap:
        return LogGap(
            f"{self._topic}[{partition}]: the records from offset {stands} up to {start} are gone before they were "
            "applied; retention or somebody removed them. Project into a fresh store if another log still holds them, "
            f"or go on without them: {self._command('accept-gap')} --partition {partition} --reason TEXT",
            from_offset=stands,
            to_offset=start,
        )

    def _diverged(self, partition: int, stands: int, end: int | None, why: str) -> LogDiverged:
        return LogDiverged(
            f"{self._topic}[{partition}]: the log does not hold what was applied up to offset {stands}: {why}. It was "
            "cut off or restored from an earlier time. Find the offset up to which it is the same, and go back there: "
            f"{self._command('roll-back')} --partition {partition} --to-offset OFFSET --reason TEXT",
            from_offset=stands,
            to_offset=end,
        )

    def _command(self, name: str) -> str:
        return f"everwhen continuity {name} MODULE:{self._generation.projection}"
