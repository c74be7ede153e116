"""What every store must note of processes that die: a part of :mod:`everwhen.testing.store_conformance`."""

from __future__ import annotations

import pytest

from everwhen.errors import ClosedError, Fenced
from everwhen.ports.store import Claim, Store, Suspect
from everwhen.positions import Mark
from everwhen.projection.rows import Changes
from everwhen.testing.store_samples import THINGS, blueprint, prepared


def claimed(store: Store, partition: int = 0) -> Claim:
    """Claim a partition, as the process after one that died."""
    return store.claim(store.prepare(blueprint()), [partition], THINGS)[partition]


class StoreSuspects:
    """Claims that end without a word; needs the fixtures ``open_store`` and ``store``."""

    def test_claims_that_move_nothing_are_counted(self, store: Store) -> None:
        """Each one that was not released; a batch begins anew, also one without a record."""
        assert [claimed(store).deaths for _ in range(4)] == [0, 1, 2, 3]
        (part,) = prepared(store)
        assert part.claim.deaths == 4
        part.write(Changes(), part.mark)
        assert [claimed(store).deaths for _ in range(2)] == [0, 1]

    def test_a_claim_that_is_released_is_not_counted(self, store: Store) -> None:
        """Those before it stay counted, and only the owner can release; partitions are counted apart."""
        claimed(store)
        ended = claimed(store)
        other = claimed(store, 1)
        store.release([ended, other])
        store.release([])
        successor = claimed(store)
        assert (successor.deaths, claimed(store, 1).deaths) == (1, 0)
        store.release([ended])
        assert claimed(store).deaths == 2

    def test_releasing_never_counts_below_nothing(self, store: Store) -> None:
        """A claim under which a batch was committed is not counted anyway."""
        (part,) = prepared(store)
        part.write(Changes())
        store.release([part.claim])
        store.release([part.claim])
        assert [claimed(store).deaths for _ in range(2)] == [0, 1]

    def test_an_idle_partition_counts_no_deaths(self, store: Store) -> None:
        """There was nothing to die of."""
        claimed(store)
        idle = claimed(store)
        assert store.note_quiet([(idle, 0)], 1_000) == {0}
        assert claimed(store).deaths == 0

    def test_what_was_about_to_be_applied_is_known_to_the_next_claim(self, store: Store) -> None:
        """It is counted once for each claim, and anew for other records."""
        assert claimed(store).suspect is None
        for deaths in (1, 2, 3):
            claim = claimed(store)
            assert [store.suspect(claim, 7, 1) for _ in range(2)] == [deaths, deaths]
            assert claimed(store).suspect == Suspect(7, 1, deaths)
        claim = claimed(store)
        assert store.suspect(claim, 7, 2) == 1
        assert store.suspect(claim, 8, 2) == 1
        assert claimed(store).suspect == Suspect(8, 2, 1)

    def test_a_batch_clears_what_it_applied(self, store: Store) -> None:
        """Also where the same records are noted again, as after the database was set back."""
        (part,) = prepared(store)
        store.suspect(part.claim, 0, 1)
        part.write(Changes())
        (part,) = prepared(store)
        assert part.claim.suspect is None
        assert store.suspect(part.claim, 0, 1) == 1

    def test_who_survives_takes_the_note_back(self, store: Store) -> None:
        """Once, also when somebody else has claimed the partition; other notes stay."""
        first, second = claimed(store), claimed(store)
        store.suspect(second, 7, 1)
        third = claimed(store)
        assert store.suspect(third, 7, 1) == 2
        store.take_back(second, 7, 1)
        store.take_back(first, 8, 1)
        assert store.suspect(third, 7, 1) == 1
        store.take_back(third, 7, 1)
        store.take_back(third, 7, 1)
        assert claimed(store).suspect is None
        fourth = claimed(store)
        assert store.suspect(fourth, 7, 1) == 1
        store.take_back(fourth, 7, 1)
        assert store.suspect(fourth, 7, 1) == 1

    def test_noting_needs_the_claim(self, store: Store) -> None:
        """A worker that was overtaken must not apply what it would note."""
        overtaken = claimed(store)
        (part,) = prepared(store)
        with pytest.raises(Fenced, match="another worker"):
            store.suspect(overtaken, 0, 1)
        with store.batch(part.claim, 0, Mark(1, 1)):
            pass

    def test_nothing_is_noted_in_a_closed_store(self, store: Store) -> None:
        """It is refused like everything else."""
        claim = claimed(store)
        store.close()
        for asked in (
            lambda: store.suspect(claim, 0, 1),
            lambda: store.take_back(claim, 0, 1),
            lambda: store.release([claim]),
        ):
            with pytest.raises(ClosedError, match="is closed"):
                asked()
