"""What every store must do: subclass :class:`StoreConformance` and give it a way to open one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait

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
from everwhen.ports.answers import AsOf, Found
from everwhen.ports.generations import Blueprint
from everwhen.ports.log import TopicDescription
from everwhen.ports.store import Store
from everwhen.positions import Basis, Mark
from everwhen.projection.rows import Changes
from everwhen.testing.store_answers import StoreAnswers
from everwhen.testing.store_batches import StoreBatches
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
    StoreBatches,
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
