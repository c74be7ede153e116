"""What every store must do with a batch: a part of :mod:`everwhen.testing.store_conformance`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import pytest

from everwhen.instants import MAX_MICROS, MIN_MICROS
from everwhen.ports.store import Repeated, Store
from everwhen.positions import Mark
from everwhen.projection.rows import Changes, Conflict, Known, Superseded, Withdrawal
from everwhen.testing.store_samples import head, prepared, version

ODD_IDS = [
    "a",
    "A",
    "a b",
    "Z",
    "",
    "'; drop table x; --",
    '"',
    "\\",
    "%s",
    "{}",
    "a\tb\nc",
    "\u00e4",
    "\u65e5\u672c",
    "\U0001f980",
]
EXTREMES = (MIN_MICROS, -1, 0, 1, 1_700_000_000_123_456, MAX_MICROS)


class StoreBatches:
    """What a batch knows, and what is there after it; needs the fixture ``store``."""

    def test_heads_come_back_as_they_were_written(self, store: Store) -> None:
        """Every field, null or not, for ids of any form, at the ends of time."""
        (part,) = prepared(store)
        heads = [
            head(version(entity_id, offset=n), state=state, first_valid=None, last_valid=instant, lead=-MAX_MICROS)
            for n, (entity_id, state, instant) in enumerate(
                [(entity_id, '{"n": "\u00e9\\u0000"}', 5) for entity_id in ODD_IDS]
                + [(f"at {instant}", None, instant) for instant in EXTREMES]
            )
        ]
        full = head(
            version("full"), unstored_offset=2**62, unstored_valid=7, quarantined_offset=3, unstored_at=MAX_MICROS
        )
        part.write(Changes(heads=[*heads, full]))
        with store.batch(part.claim, 1, Mark(2, 2)) as batch:
            ids = {each.entity_id for each in [*heads, full]}
            assert batch.heads({*ids, "missing"}) == {each.entity_id: each for each in [*heads, full]}
            assert batch.heads([]) == {}

    @pytest.mark.parametrize("pieces", [[], [0], [2, 0, 3]])
    def test_rows_can_be_inserted_bit_by_bit(self, store: Store, pieces: list[int]) -> None:
        """However many come at once, all of them are there when the last was taken; none if the batch fails."""
        (part,) = prepared(store)
        rows = iter([version(valid_from=10 * n, offset=n) for n in range(sum(pieces))])
        given = [list(islice(rows, count)) for count in pieces]

        def write(end: Callable[[], object]) -> None:
            with store.batch(part.claim, 0, Mark(9, 9)) as batch:
                with batch.inserting() as insert:
                    for piece in given:
                        insert(piece)
                    end()
                expected = [row for piece in given for row in piece]
                assert batch.tails({"e": MIN_MICROS}) == ({"e": expected} if expected else {})

        with pytest.raises(ZeroDivisionError):
            write(lambda: 1 // 0)
        write(lambda: None)

    @pytest.mark.parametrize("bit_by_bit", [True, False])
    def test_an_event_id_that_is_there_is_refused(self, store: Store, bit_by_bit: bool) -> None:
        """Whoever did not look it up learns of it, and nothing of the batch is written; another entity may have it."""
        (part,) = prepared(store)
        first, again = version(valid_from=10, offset=1, event_id="x"), version(valid_from=20, offset=2, event_id="x")
        part.write(Changes(inserted=[first, first._replace(entity_id="f")]))

        def write() -> None:
            with store.batch(part.claim, 1, Mark(9, 9)) as batch:
                if bit_by_bit:
                    with batch.inserting() as insert:
                        insert([version(valid_from=15, offset=3, event_id="y"), again])
                batch.write(Changes(inserted=[again]))

        with pytest.raises(Repeated):
            write()
        with store.batch(part.claim, 1, Mark(9, 9)) as batch:
            assert batch.tails({"e": MIN_MICROS}) == {"e": [first]}

    def test_a_head_is_replaced(self, store: Store) -> None:
        """One row for each entity, whatever its batches."""
        (part,) = prepared(store)
        part.write(Changes(heads=[head(version("a")), head(version("b"))]))
        renewed = head(version("a", 99, 5), versions=2, state=None)
        part.write(Changes(heads=[renewed]))
        with store.batch(part.claim, 2, Mark(3, 3)) as batch:
            assert batch.heads(["a", "b"]) == {"a": renewed, "b": head(version("b"))}

    def test_versions_come_back_as_they_were_written(self, store: Store) -> None:
        """Bytes, JSON text to the letter, nulls, and the ends of time to the microsecond."""
        (part,) = prepared(store)
        rows = [
            version(entity_id, instant, offset, recorded_at=instant, state=state)
            for offset, (entity_id, (instant, state)) in enumerate(
                (entity_id, each)
                for entity_id in ODD_IDS
                for each in zip(EXTREMES, [None, '{"b":1,  "a":"\u00e9"}', "1", "null", '"x"', "[]"], strict=True)
            )
        ]
        full = version(
            "full",
            offset=2**60,
            refolded_offset=2**61,
            refolded_at=MIN_MICROS,
            correlation_id="c'",
            causation_id="",
            withdraws="w",
            event=bytes(range(256)),
        )
        part.write(Changes(inserted=[full, *reversed(rows)]))
        with store.batch(part.claim, 1, Mark(2, 2)) as batch:
            tails = batch.tails(dict.fromkeys([*ODD_IDS, "full", "missing"], MIN_MICROS))
        assert tails.pop("full") == [full]
        assert tails == {entity_id: [row for row in rows if row.entity_id == entity_id] for entity_id in ODD_IDS}

    def test_a_tail_begins_with_the_version_before(self, store: Store) -> None:
        """What to fold from, and what to fold again; of versions at one instant only the last is before."""
        (part,) = prepared(store)
        rows = [
            version("e", valid_from, offset) for valid_from, offset in [(10, 3), (20, 1), (20, 4), (30, 2), (30, 5)]
        ]
        part.write(Changes(inserted=[*rows, version("f", 1, 9)]))
        with store.batch(part.claim, 1, Mark(2, 2)) as batch:
            for since, expected in [(10, rows), (11, rows), (20, rows), (21, rows[2:]), (30, rows[2:]), (31, rows[4:])]:
                assert batch.tails({"e": since}) == {"e": expected}, since
            assert batch.tails({"e": 5, "f": 5, "g": 5}) == {"e": rows, "f": [version("f", 1, 9)]}
            assert batch.tails({}) == {}

    def test_an_event_id_is_known_for_ever(self, store: Store) -> None:
        """Live, withdrawn, or a retraction's own; of that entity only."""
        (part,) = prepared(store)
        live, gone, refolded = (version("e", 10 + offset, offset) for offset in range(3))
        corrected = version("e", 15, 3, event_id="correction", withdraws="event-1")
        part.write(
            Changes(
                inserted=[live, corrected, refolded._replace(state="{}", refolded_offset=3, refolded_at=103)],
                superseded=[Superseded(gone, 3, 103, withdrawn=True), Superseded(refolded, 3, 103, withdrawn=False)],
                withdrawals=[
                    Withdrawal("e", "event-1", 3, 0, 103, "correction", "thing.happened", b""),
                    Withdrawal("e", "never-seen", 4, 0, 104, "retraction", "thing.retracted", b"why"),
                ],
                heads=[head(refolded, withdrawals=2)],
            )
        )
        with store.batch(part.claim, 1, Mark(2, 2)) as batch:
            ids = ["event-0", "event-1", "event-2", "correction", "retraction", "never-seen", "event-9"]
            known = {each.event_id: each for each in batch.known([(e, i) for e in ("e", "f") for i in ids], {"e"})}
            assert batch.known([], {"e"}) == []
            assert [each.event_id for each in batch.known([("e", "event-1"), ("e", "event-0")], set())] == ["event-0"]
        assert {event_id: each.live for event_id, each in known.items()} == {
            "event-0": True,
            "event-1": False,
            "event-2": True,
            "correction": True,
            "retraction": False,
        }
        assert known["event-1"] == Known("e", "event-1", 11, "thing.happened", gone.event, None, live=False)
        assert (known["correction"].valid_from, known["correction"].withdraws) == (15, "event-1")
        assert known["retraction"] == Known("e", "retraction", 104, "thing.retracted", b"why", "never-seen", live=False)

    def test_what_was_withdrawn_is_known(self, store: Store) -> None:
        """Also what never came; the first withdrawal counts."""
        (part,) = prepared(store)
        withdrawals = [
            Withdrawal("e", "x", 7, 0, 107, "r7", "gone", b""),
            Withdrawal("e", "x", 4, 0, 104, "r4", "gone", b""),
            Withdrawal("e", "y", 5, 0, 105, "r5", "gone", b""),
            Withdrawal("f", "x", 9, 0, 109, "r9", "gone", b""),
        ]
        part.write(Changes(withdrawals=withdrawals))
        with store.batch(part.claim, 1, Mark(2, 2)) as batch:
            assert batch.withdrawn(["e", "f", "g"]) == {"e": {"x": 4, "y": 5}, "f": {"x": 9}}

    def test_rows_are_renewed_and_removed_by_their_whole_key(self, store: Store) -> None:
        """Neighbours at the same instant stay as they are."""
        (part,) = prepared(store)
        rows = [version("e", 10, offset) for offset in range(4)]
        part.write(Changes(inserted=rows))
        renewed = rows[1]._replace(state=None, refolded_offset=8, refolded_at=MAX_MICROS)
        conflict = Conflict("e", "event-0", 9, 0, MIN_MICROS, 11, "thing.happened", b"\x00")
        part.write(Changes(updated=[renewed], removed=[rows[2]], conflicts=[conflict]))
        with store.batch(part.claim, 2, Mark(3, 3)) as batch:
            assert batch.tails({"e": 0}) == {"e": [rows[0], renewed, rows[3]]}

    def test_a_batch_may_be_large(self, store: Store) -> None:
        """More keys than a statement may have parameters."""
        (part,) = prepared(store)
        rows = [version(f"entity-{n % 7000}", n, n) for n in range(35_000)]
        last = {row.entity_id: row for row in rows}
        part.write(Changes(inserted=rows, heads=[head(row) for row in last.values()]))
        with store.batch(part.claim, 1, Mark(2, 2)) as batch:
            assert len(batch.heads(last)) == len(last)
            assert len(batch.known([(row.entity_id, row.event_id) for row in rows], set())) == len(rows)
            assert sum(map(len, batch.tails(dict.fromkeys(last, 0)).values())) == len(rows)
