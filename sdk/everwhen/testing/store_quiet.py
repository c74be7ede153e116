"""What every store must do with idle partitions: a part of the suite in :mod:`everwhen.testing.store_conformance`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from everwhen.errors import ClosedError
from everwhen.ports.answers import AsOf, VersionRow
from everwhen.ports.store import Claim, Store
from everwhen.positions import Mark
from everwhen.projection.rows import Changes
from everwhen.testing.store_samples import OpenStore, Part, head, prepared, version

LATER = 1_700_000_000_123_456


def stands(*parts: Part) -> list[tuple[Claim, int]]:
    """The parts' claims, each with where it stands."""
    return [(part.claim, part.mark.next_offset) for part in parts]


class StoreQuiet:
    """Idle partitions; needs the fixtures ``open_store`` and ``store``."""

    def test_a_quiet_partition_is_covered_until_then(self, store: Store) -> None:
        """Readers see the later of the last record's time and what was noted, also without any record."""
        empty, behind, ahead = prepared(store, partitions=[0, 1, 2])
        behind.write(Changes(inserted=[version()], heads=[head(version(), partition=1)]), Mark(1, 100))
        ahead.write(Changes(), Mark(7, LATER + 1))
        assert store.note_quiet(stands(empty, behind, ahead), LATER) == {0, 1, 2}
        marks = {0: Mark(0, LATER), 1: Mark(1, LATER), 2: Mark(7, LATER + 1)}
        reader = store.reader("thing")
        assert dict(reader.marks()) == dict(reader.find("e", AsOf(50)).marks) == marks
        for as_of in (AsOf(50, reader.marks()), AsOf(50, known_at=LATER), AsOf(50, reader.marks(), LATER)):
            found = reader.find("e", as_of).row
            assert found is not None
            assert found == VersionRow.of(version(), None, None)

    def test_quiet_never_goes_back(self, store: Store) -> None:
        """Not by a clock that was set back; what is given back says for which partitions it was noted."""
        one, two = prepared(store, partitions=[0, 1])
        assert store.note_quiet(stands(two), LATER) == {1}
        assert store.note_quiet(stands(one, two), LATER - 1) == {0}
        assert {mark.watermark for mark in store.reader("thing").marks().values()} == {LATER, LATER - 1}
        assert store.note_quiet([], LATER + 1) == frozenset()

    def test_quiet_is_no_time_of_a_record(self, store: Store) -> None:
        """Whoever takes over gets both apart: records are dated after the one, and warned of by the other."""
        (part,) = prepared(store)
        assert part.claim.quiet_until == -1
        part.write(Changes(), Mark(3, 100))
        store.note_quiet(stands(part), LATER)
        (successor,) = prepared(store)
        assert (successor.mark, successor.claim.quiet_until) == (Mark(3, 100), LATER)
        successor.write(Changes(), Mark(4, 200))
        assert store.reader("thing").marks()[0] == Mark(4, LATER)
        (third,) = prepared(store)
        assert (third.mark, third.claim.quiet_until) == (Mark(4, 200), LATER)

    def test_quiet_needs_the_claim_and_the_place(self, store: Store) -> None:
        """A worker that looked before another took over, or before its own batch, says nothing any more."""
        taken, moved, kept = prepared(store, partitions=[0, 1, 2])
        looked = stands(taken, moved, kept)
        prepared(store, partitions=[0])
        moved.write(Changes(), Mark(1, 100))
        assert store.note_quiet(looked, LATER) == {2}
        marks = {0: Mark(0, -1), 1: Mark(1, 100), 2: Mark(0, LATER)}
        assert dict(store.reader("thing").marks()) == marks

    def test_quiet_does_not_meet_other_projections(self, store: Store) -> None:
        """Two projections of one topic have partitions of the same numbers."""
        (one,), _ = prepared(store, "one"), prepared(store, "two")
        store.note_quiet(stands(one), LATER)
        assert store.reader("one").marks()[0] == Mark(0, LATER)
        assert store.reader("two").marks()[0] == Mark(0, -1)

    def test_quiet_while_a_batch_is_open(self, store: Store, open_store: OpenStore) -> None:
        """Whether it waits or passes the partition over: what the batch brings was not known when the log was asked."""
        (part,) = prepared(store)
        other = open_store()
        looked = stands(part)
        with ThreadPoolExecutor(1) as pool:
            with store.batch(part.claim, 0, Mark(1, 100)) as batch:
                noting = pool.submit(other.note_quiet, looked, LATER)
                batch.write(Changes(inserted=[version()], heads=[head(version())]))
            assert noting.result() == frozenset()
        assert store.reader("thing").marks()[0] == Mark(1, 100)
        other.close()

    def test_quiet_in_a_closed_store(self, store: Store) -> None:
        """It is refused like everything else."""
        (part,) = prepared(store)
        store.close()
        with pytest.raises(ClosedError, match="is closed"):
            store.note_quiet(stands(part), LATER)
