"""What every store must do with records that are kept aside: a part of :mod:`everwhen.testing.store_conformance`."""

from __future__ import annotations

from typing import Any

import pytest

from everwhen.errors import ClosedError, ProjectionNotFound
from everwhen.instants import MAX_MICROS, MIN_MICROS
from everwhen.ports.store import Store
from everwhen.projection.rows import Changes, Parking, Quarantined
from everwhen.testing.store_samples import head, prepared, version


def kept(offset: int, entity_id: str | None = "e", partition: int = 0, **fields: Any) -> Quarantined:
    """A record that is kept aside; give what matters to the test."""
    row = Quarantined(
        partition=partition,
        offset=offset,
        entity_id=entity_id,
        recorded_at=100 + offset,
        key=None if entity_id is None else entity_id.encode(),
        value=b"\x00\xff",
        headers='[["ce_id", "YQ=="], ["n", null]]',
        error_class="HandlerError",
        error="it \u00e9",
        attempts=1,
        status="failed",
        reason=None,
        request=None,
    )
    return row._replace(**fields)


def small(row: Quarantined) -> Quarantined:
    """The record as a list shows it."""
    return row._replace(key=None, value=None, headers="[]")


class StoreKept:
    """Records that are kept aside; needs the fixtures ``open_store`` and ``store``."""

    def test_what_is_kept_aside_comes_back(self, store: Store) -> None:
        """Every field, null or not; by entity without those that were discarded, in order; by position whole."""
        (part,) = prepared(store)
        waits = kept(9, error_class=None, error=None, attempts=0, status="waiting", recorded_at=MAX_MICROS)
        gone = kept(4, status="discarded", reason="why")
        unkeyed = kept(7, None, value=None, recorded_at=MIN_MICROS, headers="[]")
        rows = [waits, gone, unkeyed, kept(3), kept(5, "f")]
        part.write(Changes(kept=rows))
        with store.batch(part.claim, part.mark.next_offset, part.mark) as batch:
            assert batch.quarantined(["e", "f", "g"]) == {"e": [kept(3), waits], "f": [kept(5, "f")]}
            assert batch.quarantined([]) == {}
        asked = store.quarantine("thing")
        assert asked.generation == part.claim.generation
        assert asked.records() == [small(row) for row in sorted(rows, key=lambda row: row.offset)]
        assert [asked.record(0, row.offset) for row in rows] == rows
        assert asked.record(0, 99) is None
        assert store.reader("thing").rows("e").discarded == [gone]

    def test_what_is_kept_aside_can_be_changed_and_released(self, store: Store) -> None:
        """One row for each position; where the entity is parked stands in its head."""
        (part,) = prepared(store)
        parked = head(
            version(),
            quarantined_offset=3,
            quarantined_at=103,
            failing_valid=MIN_MICROS,
            failing_offset=2**60,
            mended_offset=7,
            mended_from=2,
        )
        part.write(Changes(kept=[kept(3), kept(4)], heads=[parked]))
        part.write(Changes(kept=[kept(3, attempts=2)], released=[kept(4)]))
        assert store.quarantine("thing").records() == [small(kept(3, attempts=2))]
        with store.batch(part.claim, part.mark.next_offset, part.mark) as batch:
            found = batch.heads(["e"])["e"]
        assert (found, found.parking) == (parked, Parking(3, 103, MIN_MICROS, 2**60))

    def test_what_is_asked_for_is_found_by_the_owner(self, store: Store) -> None:
        """By position, by entity or of all; of owned partitions only; never of what was discarded."""
        zero, one = prepared(store, partitions=[0, 1])
        zero.write(Changes(kept=[kept(3), kept(4, "f"), kept(5, status="discarded"), kept(6, None)]))
        one.write(Changes(kept=[kept(3, "g", 1)]))
        asked, claims = store.quarantine("thing"), [zero.claim, one.claim]
        assert store.requests(claims) == store.requests([]) == []
        assert asked.ask("discard", position=(0, 3), reason="why") == 1
        assert store.requests(claims) == [kept(3, request="discard", reason="why")]
        assert asked.ask("retry", entity_id="g") == 1
        assert store.requests([one.claim]) == [kept(3, "g", 1, request="retry")]
        assert [asked.ask("discard", position=place) for place in ((0, 5), (0, 99))] == [0, 0]
        assert asked.ask("retry", entity_id="nobody") == 0
        assert asked.ask("retry") == 4
        assert [(row.partition, row.offset) for row in store.requests(claims)] == [(0, 3), (0, 4), (0, 6), (1, 3)]

    def test_projections_keep_aside_for_themselves(self, store: Store) -> None:
        """Two projections of one topic park different records; one that is not there is named."""
        (one,), (two,) = prepared(store, "one"), prepared(store, "two")
        one.write(Changes(kept=[kept(3)]))
        store.quarantine("one").ask("retry")
        assert store.quarantine("two").records() == store.requests([two.claim]) == []
        with pytest.raises(ProjectionNotFound, match="one, two"):
            store.quarantine("three")

    def test_what_is_kept_aside_in_a_closed_store(self, store: Store) -> None:
        """It is refused like everything else."""
        (part,) = prepared(store)
        asked = store.quarantine("thing")
        store.close()
        for refused in (asked.records, lambda: asked.ask("retry"), lambda: store.requests([part.claim])):
            with pytest.raises(ClosedError, match="is closed"):
                refused()
