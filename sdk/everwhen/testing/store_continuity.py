"""What every store keeps of whether the log goes on: part of the suite for stores."""

from __future__ import annotations

from dataclasses import replace

import pytest

from everwhen.errors import ClusterReplaced, ContinuityError, Fenced, TopicRecreated
from everwhen.ports.answers import AsOf
from everwhen.ports.continuity import Applied, Trouble
from everwhen.ports.log import TopicDescription
from everwhen.ports.store import Store
from everwhen.positions import Mark
from everwhen.projection.rows import Changes
from everwhen.testing.store_samples import THINGS, OpenStore, head, prepared, version

GAP = Trouble("LogGap", 5, 9)


class StoreContinuity:
    """The part of the suite about the last record that was applied, and about partitions that stand still."""

    @pytest.mark.parametrize(
        ("field", "error"), [("cluster_id", ClusterReplaced), ("topic_id", TopicRecreated)], ids=["cluster", "topic"]
    )
    def test_a_topic_that_was_created_again_is_refused(
        self, store: Store, field: str, error: type[ContinuityError]
    ) -> None:
        """It has the same name and other records; the earlier owner keeps its claim."""
        (part,) = prepared(store)
        ids = {"cluster_id": THINGS.cluster_id, "topic_id": THINGS.topic_id, field: "new"}
        with pytest.raises(error, match=f"{getattr(THINGS, field)}.*new.*everwhen continuity restart MODULE:thing"):
            store.claim(part.claim.generation, [0], TopicDescription(THINGS.name, 3, **ids))
        recreated = error is TopicRecreated
        assert store.reader("thing").marks().troubles == (((0, "TopicRecreated"),) if recreated else ())
        part.write(Changes())
        assert store.reader("thing").marks().troubles == ()

    def test_the_last_record_is_kept_with_the_checkpoint(self, store: Store) -> None:
        """A batch without records leaves it as it is; the next owner is told."""
        (part,) = prepared(store)
        assert part.claim.applied is None
        for applied, kept in (
            (Applied(3, 2**32 - 1, 7), Applied(3, 2**32 - 1, 7)),
            (None, Applied(3, 2**32 - 1, 7)),
            (Applied(6, 0, None), Applied(6, 0, None)),
        ):
            reached = Mark(part.mark.next_offset + 4, 1)
            with store.batch(part.claim, part.mark.next_offset, reached, applied=applied):
                pass
            (part,) = prepared(store)
            assert part.claim.applied == kept

    def test_why_a_partition_stands_still_is_kept_until_it_goes_on(self, store: Store) -> None:
        """Whoever claims it and whoever asks is told; a batch forgets it, and so does its owner."""
        part, other = prepared(store, partitions=[0, 2])
        other.write(Changes(inserted=[version()], heads=[head(version(), partition=2)]))
        for by_a_batch in (True, False):
            store.note_trouble(part.claim, GAP)
            reader = store.reader("thing")
            for marks in (reader.marks(), reader.find("e", AsOf(50)).marks, reader.rows("e").marks):
                assert marks.troubles == ((0, "LogGap"),)
                assert str(marks) == str(replace(marks, troubles=()))
            with reader.snapshot(AsOf(50)) as (marks, found):
                assert [each.marks.troubles for each in found] == [marks.troubles] == [((0, "LogGap"),)]
            (part,) = prepared(store)
            assert part.claim.trouble == GAP
            if by_a_batch:
                part.write(Changes())
            else:
                store.note_trouble(part.claim, None)
            assert reader.marks().troubles == ()
            (part,) = prepared(store)
            assert part.claim.trouble is None

    def test_where_partitions_stand_is_said_with_who_has_them(self, store: Store) -> None:
        """The last claim's token, how many there were, and up to when everything is projected, idle or not."""
        first, silent = prepared(store, partitions=[0, 2])
        first.write(Changes())
        store.note_quiet([(silent.claim, silent.mark.next_offset)], 77)
        (again,) = prepared(store)
        stands = {each.partition: each for each in store.continuity("thing").partitions()}
        assert sorted(stands) == [0, 2]
        for claim, until in ((again.claim, again.mark.watermark), (silent.claim, 77)):
            stand = stands[claim.partition]
            assert (stand.owner, stand.epoch, stand.complete_until) == (claim.owner, claim.epoch, until)
            assert stand.next_offset == claim.mark.next_offset

    def test_a_zombie_notes_nothing(self, store: Store, open_store: OpenStore) -> None:
        """What stopped an earlier owner is not what stops the present one."""
        (zombie,) = prepared(store)
        prepared(open_store())
        with pytest.raises(Fenced, match=r"things\[0\]"):
            store.note_trouble(zombie.claim, GAP)
        assert store.reader("thing").marks().troubles == ()

    def test_new_partitions_of_a_topic_are_noted_and_not_taken_for_read(self, store: Store) -> None:
        """Claimed or not, they stand at 0 with the reason, and the others are as they were."""
        (part,) = prepared(store)
        more = TopicDescription(THINGS.name, THINGS.partitions + 2, THINGS.cluster_id, THINGS.topic_id)
        for partitions in ([], [3]):
            claims = store.claim(part.claim.generation, partitions, more)
            marks = store.reader("thing").marks()
            assert marks.troubles == ((3, "Repartitioned"), (4, "Repartitioned"))
            assert [marks.next_offset(partition) for partition in (3, 4)] == [0, 0]
        assert claims[3].trouble == Trouble("Repartitioned", 3, 5)
        part.write(Changes())
