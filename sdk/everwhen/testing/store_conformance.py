"""What every store must do: subclass :class:`StoreConformance` and give it a way to open one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import islice

import pytest

from everwhen.errors import (
    ArgumentError,
    ClosedError,
    ClusterReplaced,
    Fenced,
    GenerationMismatch,
    ProjectionNotFound,
    StoreError,
)
from everwhen.instants import MAX_MICROS, MIN_MICROS
from everwhen.ports.answers import AsOf, Found
from everwhen.ports.generations import Blueprint
from everwhen.ports.log import TopicDescription
from everwhen.ports.store import Repeated, Store
from everwhen.positions import Basis, Mark
from everwhen.projection.rows import Changes, Conflict, Known, Superseded, Withdrawal
from everwhen.testing.store_answers import StoreAnswers
from everwhen.testing.store_continuity import StoreContinuity
from everwhen.testing.store_forks import StoreForked
from everwhen.testing.store_generations import StoreSideBySide
from everwhen.testing.store_knowledge import StoreKnowledge
from everwhen.testing.store_oracle import TOPIC
from everwhen.testing.store_quarantine import StoreKept
from everwhen.testing.store_quiet import StoreQuiet
from everwhen.testing.store_samples import THINGS, OpenStore, blueprint, head, prepared, version
from everwhen.testing.store_suspects import StoreSuspects
from everwhen.testing.store_tokens import StoreTokens

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


class StoreConformance(
    StoreAnswers,
    StoreKnowledge,
    StoreQuiet,
    StoreKept,
    StoreForked,
    StoreSuspects,
    StoreContinuity,
    StoreSideBySide,
    StoreTokens,
):
    """The suite. A subclass gives the fixture ``open_store``."""

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """Return a function that opens the same store, empty at first, once more each time it is called."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, open_store: OpenStore) -> Iterator[Store]:
        """An empty store."""
        store = open_store()
        yield store
        store.close()

    # -- generations ---------------------------------------------------------------------------------------------

    def test_preparing_again_changes_nothing(self, store: Store, open_store: OpenStore) -> None:
        """A worker prepares at every start."""
        first = store.prepare(blueprint())
        assert store.prepare(blueprint()) == first
        other = open_store()
        assert other.prepare(blueprint()) == first
        other.close()
        assert (first.projection, first.number, first.version, first.topic) == ("thing", 1, 1, TOPIC)

    def test_many_may_prepare_at_once(self, open_store: OpenStore) -> None:
        """Workers of a deployment start together on an empty database."""
        stores = [open_store() for _ in range(4)]
        with ThreadPoolExecutor(len(stores)) as pool:
            generations = list(pool.map(lambda store: store.prepare(blueprint()), stores))
        assert len(set(generations)) == 1
        for store in stores:
            store.close()

    @pytest.mark.parametrize("other", [blueprint(version=2), blueprint(fingerprint="b" * 16)])
    def test_other_code_is_refused(self, store: Store, other: Blueprint) -> None:
        """States of two versions of the code are never mixed; the message names both."""
        store.prepare(blueprint())
        with pytest.raises(GenerationMismatch, match=r"version 1, code aaaaaaaaaaaa.*has version"):
            store.prepare(other)

    @pytest.mark.parametrize("name", ["", "Thing", "a__b", "a_", "_a", "1a", "a b", "a" * 41, "meta", "thing_history"])
    def test_names_that_cannot_be_tables_are_refused(self, store: Store, name: str) -> None:
        """Tables and views are named after the projection."""
        with pytest.raises(ArgumentError, match=r"another name|lower-case"):
            store.prepare(blueprint(name))

    def test_what_is_not_there_is_named(self, store: Store) -> None:
        """Whoever misspells a projection sees which there are."""
        with pytest.raises(ProjectionNotFound, match="no projection at all"):
            store.reader("thing")
        store.prepare(blueprint("thing"))
        store.prepare(blueprint("another_thing"))
        with pytest.raises(ProjectionNotFound, match=r"'thingg'.*another_thing, thing"):
            store.reader("thingg")
        assert store.reader("thing").generation == store.prepare(blueprint("thing"))

    def test_projections_do_not_meet(self, store: Store) -> None:
        """Two projections of one topic have entities of the same names."""
        (one,), (two,) = prepared(store, "one"), prepared(store, "two")
        one.write(Changes(inserted=[version(state='"one"')], heads=[head(version())]))
        assert store.reader("two").find("e", AsOf(50)).head is None
        assert store.reader("two").marks()[0].next_offset == two.mark.next_offset == 0
        assert store.reader("one").marks()[0].next_offset == 1

    # -- claims and fencing --------------------------------------------------------------------------------------

    def test_a_claim_says_how_far_the_partition_is(self, store: Store) -> None:
        """Whoever takes over goes on exactly where the earlier one stopped."""
        first, untouched = prepared(store, partitions=[2, 0])
        assert first.mark == untouched.mark == Mark(0, -1)
        first.write(Changes(), Mark(17, 1_700_000_000_000_001))
        second, _ = prepared(store, partitions=[2, 0])
        assert second.mark == Mark(17, 1_700_000_000_000_001)
        assert second.claim.epoch == first.claim.epoch + 1
        assert second.claim.owner != first.claim.owner

    def test_an_earlier_owner_is_fenced(self, store: Store, open_store: OpenStore) -> None:
        """A worker that was paused wakes up after another took its partition, and can change nothing."""
        (zombie,) = prepared(store)
        other = open_store()
        (successor,) = prepared(other)
        changes = Changes(inserted=[version()], heads=[head(version())])
        with pytest.raises(Fenced, match=r"things\[0\].*at offset 0 under claim 1.*stands at 0 under claim 2"):
            zombie.write(changes)
        assert store.reader("thing").find("e", AsOf(50)).row is None
        successor.write(changes)
        with pytest.raises(Fenced):
            zombie.write(changes)
        other.close()

    def test_where_a_claimed_partition_stands(self, store: Store, open_store: OpenStore) -> None:
        """Before and after a batch, not before one that is being committed has ended, and for its owner only."""
        (part,) = prepared(store)
        assert store.next_offset(part.claim) == 0
        with ThreadPoolExecutor(1) as pool:
            with store.batch(part.claim, 0, Mark(7, 1)):
                asked = pool.submit(open_store().next_offset, part.claim)
                assert not wait([asked], 0.1).done
            assert asked.result() == 7
        prepared(open_store())
        with pytest.raises(Fenced, match="claim it again"):
            store.next_offset(part.claim)

    def test_a_batch_from_elsewhere_is_fenced(self, store: Store) -> None:
        """A batch must begin where the checkpoint stands: neither again nor with a hole."""
        (part,) = prepared(store)
        part.write(Changes(), Mark(5, 5))
        for expected in (0, 4, 6):
            part.mark = Mark(expected, expected)
            with pytest.raises(Fenced, match=f"at offset {expected} .*stands at 5"):
                part.write(Changes(inserted=[version()]))
        assert store.reader("thing").marks()[0] == Mark(5, 5)

    def test_a_takeover_comes_before_or_after_a_batch(self, store: Store, open_store: OpenStore) -> None:
        """A claim waits for the batch that is open, and then sees what it did."""
        (part,) = prepared(store)
        other = open_store()
        with ThreadPoolExecutor(1) as pool:
            with store.batch(part.claim, 0, Mark(1, 1)) as batch:
                batch.write(Changes(inserted=[version()], heads=[head(version())]))
                claiming = pool.submit(prepared, other)
                assert wait([claiming], timeout=0.2).not_done
            (successor,) = claiming.result()
        assert successor.mark == Mark(1, 1)
        other.close()

    def test_an_exception_rolls_everything_back(self, store: Store) -> None:
        """Rows and checkpoint change together or not at all."""
        (part,) = prepared(store)

        def fail() -> None:
            with store.batch(part.claim, 0, Mark(1, 1)) as batch:
                batch.write(Changes(inserted=[version()], heads=[head(version())]))
                assert batch.heads(["e"])
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert store.reader("thing").find("e", AsOf(50)) == Found(Basis.of(TOPIC, {0: Mark(0, -1)}), None, None, False)
        part.write(Changes(inserted=[version()], heads=[head(version())]))

    def test_a_row_that_is_there_already_fails_the_batch(self, store: Store) -> None:
        """Whatever goes wrong above: the store does not take an event twice. The message holds no payload."""
        (part,) = prepared(store)
        part.write(Changes(inserted=[version("secret-id")]))
        with pytest.raises(StoreError) as caught:
            part.write(Changes(inserted=[version("secret-id", event_id="another")]))
        assert "secret-id" not in str(caught.value)
        assert f"{TOPIC}[0]@1" in str(caught.value)
        assert store.reader("thing").marks()[0].next_offset == 1

    def test_another_topic_is_refused(self, store: Store) -> None:
        """Offsets of another topic mean something else."""
        generation = store.prepare(blueprint())
        with pytest.raises(GenerationMismatch, match="of topic things, not of others"):
            store.claim(generation, [0], TopicDescription("others", 1, "cluster-1", "topic-1"))

    def test_an_unknown_topic_id_matches_any(self, store: Store) -> None:
        """Some logs cannot tell; what is learned later is kept."""
        generation = store.prepare(blueprint())
        unknown = TopicDescription(TOPIC, 3, "unknown", "unknown")
        for topic in (unknown, THINGS, unknown):
            store.claim(generation, [0], topic)
        with pytest.raises(ClusterReplaced):
            store.claim(generation, [0], TopicDescription(TOPIC, 3, "cluster-2", "topic-1"))

    # -- what a batch knows --------------------------------------------------------------------------------------

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

    # -- the end -------------------------------------------------------------------------------------------------

    def test_a_closed_store_says_so(self, store: Store) -> None:
        """Closing twice is fine; using it afterwards is a mistake in the program."""
        (part,) = prepared(store)
        reader = store.reader("thing")
        store.close()
        store.close()
        with pytest.raises(ClosedError, match="is closed"):
            reader.marks()
        with pytest.raises(ClosedError, match="is closed"):
            part.write(Changes())
