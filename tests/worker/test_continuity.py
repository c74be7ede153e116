"""A log that is not what it was: which partition stops with which error, and what answers say meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from everwhen import Reader
from everwhen.connect import open_log
from everwhen.errors import (
    ClusterReplaced,
    LogDiverged,
    LogGap,
    LogUnavailable,
    Repartitioned,
    TopicRecreated,
)
from everwhen.local.log import LocalLog
from everwhen.ports.generations import Generation
from everwhen.ports.log import Bounds, Chunk, Record
from everwhen.ports.store import Claim
from everwhen.positions import Mark
from everwhen.testing.parts.postgres import PostgresAddress
from everwhen.worker.continuity import Continuity, applied_of
from everwhen.worker.inbox import Inbox
from everwhen.worker.projector import Owned
from tests.worker.scenes import AT, Scene

CUT = 'DELETE FROM records WHERE partition = ? AND "offset" >= ?'
TRIM = 'DELETE FROM records WHERE partition = ? AND "offset" < ?'


@pytest.fixture(params=["sqlite", "postgres"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """A local log, and a store of each kind."""
    if request.param == "sqlite":
        yield Scene(tmp_path, f"sqlite:///{tmp_path}/log.db", f"sqlite:///{tmp_path}/store.db")
        return
    postgres: PostgresAddress = request.getfixturevalue("postgres")
    url = postgres.database()
    yield Scene(tmp_path, f"sqlite:///{tmp_path}/log.db", url)
    postgres.drop(url)


def test_a_gap_stops_its_partition_and_no_other(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """The error names both offsets and the command; answers of that partition, and unknown ones, are incomplete."""
    homes = scene.fill()
    assert scene.project() is None
    assert scene.incomplete(homes[0]) is None
    (stands,) = {scene.get(homes[0]).basis.next_offset(0)}
    scene.publish(*[homes[0]] * 3, *[homes[1]] * 3)
    with scene.records() as records:
        records.execute(TRIM, (0, stands + 2))
    before = scene.notes(homes[0])
    for _ in range(2):
        error = scene.project()
        assert isinstance(error, LogGap)
        assert (error.from_offset, error.to_offset) == (stands, stands + 2)
        assert f"ledger[0]: the records from offset {stands} up to {stands + 2} are gone" in str(error)
        assert "everwhen continuity accept-gap MODULE:ledger --partition 0" in str(error)
    assert "partition.stopped ledger[0]" in caplog.text
    place = f"LogGap at ledger[0]@{stands}"
    assert (scene.notes(homes[0]), scene.incomplete(homes[0])) == (before, place)
    assert (scene.notes(homes[1])[-1], scene.incomplete(homes[1])) == (str(scene.count - 1), None)
    assert scene.incomplete("nobody") == place


def test_every_kind_of_answer_says_that_it_is_incomplete(scene: Scene) -> None:
    """One entity, its history and audit, snapshots, joins, changes and differences; none of them is final."""
    homes = scene.fill()
    scene.project()
    stands = scene.get(homes[0]).basis.next_offset(0)
    scene.publish(*[homes[0]] * 2)
    with scene.records() as records:
        records.execute(TRIM, (0, stands + 1))
    assert isinstance(scene.project(), LogGap)
    place = f"LogGap at ledger[0]@{stands}"
    with Reader(scene.projection, scene.store) as reader:
        for entity, said in ((homes[0], place), (homes[1], "None")):
            answer = reader.get(entity, valid_at=AT)
            pinned = reader.get(entity, valid_at=AT, basis=answer.basis)
            assert (str(answer.incomplete), str(pinned.incomplete)) == (said, said)
            assert (answer.final, pinned.final) == (False, said == "None")
            assert str(reader.history(entity).incomplete) == said
            assert str(reader.history(entity, audit=True).incomplete) == said
            assert str(reader.explain(entity).answer.incomplete) == said
            assert str(reader.diff(entity, AT, AT).after.incomplete) == said
            with reader.join([(entity, AT)]) as join:
                assert [str(each.incomplete) for each in join] == [said]
        with reader.snapshot(valid_at=AT) as snapshot:
            assert str(snapshot.incomplete) == place
            assert {each.entity_id: str(each.incomplete) for each in snapshot}[homes[1]] == "None"
        with reader.changes() as changes:
            assert str(changes.incomplete) == place
            assert {c.entity_id: str(c.answer.incomplete) for c in changes}[homes[0]] == place


def test_a_log_that_was_cut_off_stops_the_partition_until_it_is_restored(scene: Scene) -> None:
    """A log that ends before the store; what was cut off comes back, and answers are complete again without a batch."""
    homes = scene.fill()
    scene.project()
    end = scene.get(homes[1]).basis.next_offset(1)
    with scene.records() as records:
        kept = records.execute("SELECT * FROM records WHERE partition = 1").fetchall()
        records.execute(CUT, (1, end - 2))
        for _ in range(2):
            error = scene.project()
            assert isinstance(error, LogDiverged)
            assert f"ledger[1]: the log does not hold what was applied up to offset {end}" in str(error)
            assert "everwhen continuity roll-back MODULE:ledger --partition 1 --to-offset" in str(error)
            assert scene.incomplete(homes[1]) == f"LogDiverged at ledger[1]@{end}"
            assert scene.incomplete(homes[0]) is None
        records.execute("DELETE FROM records WHERE partition = 1")
        marks = ",".join("?" * len(kept[0]))
        records.executemany(f"INSERT INTO records VALUES ({marks})", kept)
    assert scene.project() is None
    assert scene.incomplete(homes[1]) is None


@pytest.mark.parametrize("more", [0, 2], ids=["as-long", "longer"])
def test_a_log_that_was_cut_off_and_filled_again_is_known_by_its_last_record(scene: Scene, more: int) -> None:
    """Other records stand at the offsets that were applied, and not one that follows them is."""
    homes = scene.fill()
    scene.project()
    before, end = scene.notes(homes[0]), scene.get(homes[0]).basis.next_offset(0)
    with scene.records() as records:
        records.execute(CUT, (0, end - 2))
    scene.publish(*[homes[0]] * (2 + more), homes[1])
    error = scene.project()
    assert isinstance(error, LogDiverged)
    assert "that offset holds another record than the one that was applied" in str(error)
    assert scene.notes(homes[0]) == before
    assert scene.notes(homes[1])[-1] == str(scene.count - 1)
    assert scene.incomplete(homes[0]) == f"LogDiverged at ledger[0]@{end}"


def test_where_the_last_record_is_gone_the_check_says_so(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Retention took it and nothing after it, so there is no gap; the log output says what could not be checked."""
    homes = scene.fill()
    scene.project()
    end = scene.get(homes[0]).basis.next_offset(0)
    scene.publish(homes[0])
    with scene.records() as records:
        records.execute(TRIM, (0, end))
    assert scene.project() is None
    assert f"continuity.unproven ledger[0]@{end - 1}, the last record that was applied, was removed" in caplog.text
    assert scene.notes(homes[0])[-1] == str(scene.count - 1)


def test_a_record_that_vanished_is_a_divergence_unless_its_topic_was_accepted(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Compaction removes records in the middle; only whoever accepted such a topic goes on without the proof."""
    homes = scene.fill()
    scene.project()
    end = scene.get(homes[0]).basis.next_offset(0)
    scene.publish(homes[0])
    with scene.records() as records:
        records.execute('DELETE FROM records WHERE partition = 0 AND "offset" = ?', (end - 1,))
    assert isinstance(scene.project(), LogDiverged)
    assert scene.project(accept_topic=True) is None
    assert "is not in the log any more, as compaction may have removed it" in caplog.text
    assert scene.incomplete(homes[0]) is None


def test_a_log_without_terms_of_leaders_says_so_once(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """A file has no leaders; records alone prove it there."""
    caplog.set_level(logging.INFO, "everwhen.worker")
    scene.fill()
    scene.project()
    assert "continuity.epochs" not in caplog.text
    scene.project()
    assert caplog.text.count("continuity.epochs ledger: this log knows no terms of leaders") == 1


def test_a_term_of_the_leader_that_differs_is_a_divergence(tmp_path: Path) -> None:
    """Even if the record is the same; where the log or the store knows no term, the record alone proves it."""
    scene = Scene(tmp_path, f"sqlite:///{tmp_path}/log.db", f"sqlite:///{tmp_path}/store.db", partitions=1)
    scene.publish("e", "e")
    generation = Generation("ledger", 1, 1, "a", "ledger")
    record = Record(0, 1, 1, b"e", b"v", [])
    with closing(open_log(scene.log)) as log:
        topic = log.describe("ledger")
        for applied, found in ((3, 3), (3, 4), (4, 3), (3, None), (None, 3)):
            known = applied_of(record._replace(leader_epoch=applied))
            continuity = Continuity(log, topic, generation, sparse=False)
            placing = continuity.place({0: Claim(generation, 0, "me", 1, Mark(2, 1), -1, applied=known)})
            assert (placing.starts, placing.unproven, placing.broken) == ({0: 1}, frozenset({0}), {})
            fetched = Chunk([record._replace(leader_epoch=found)], {0: 2})
            chunk, proven, broken = continuity.check(fetched)
            if applied == found or None in (applied, found):
                assert (chunk, proven, broken) == (fetched, frozenset({0}), {})
            else:
                assert (chunk, proven) == (Chunk([], {}), frozenset())
                assert isinstance(broken[0], LogDiverged)
                assert f"was written in term {found} of the leader, not in {applied}" in str(broken[0])


def test_partitions_that_were_added_are_not_read_before_somebody_says_so(scene: Scene) -> None:
    """The others go on; any entity may have its next event in a new one, so every answer is incomplete."""
    homes = scene.fill()
    scene.project()
    with scene.records() as records:
        records.execute("UPDATE topics SET partitions = 3")
    names = (f"new{number}" for number in range(1000))
    while not scene.homes.keys() >= {2} or scene.homes[1] == homes[1]:
        scene.publish(next(names))
    for _ in range(2):
        error = scene.project()
        assert isinstance(error, Repartitioned)
        assert (error.from_offset, error.to_offset) == (2, 3)
        assert "everwhen continuity accept-partitions MODULE:ledger" in str(error)
        assert scene.notes(scene.homes[1]) == [scene.last[scene.homes[1]]]
        assert scene.get(scene.homes[2]).basis.next_offset(2) == 0
        for entity in (*homes.values(), scene.homes[2], "nobody"):
            assert scene.incomplete(entity) == "Repartitioned at ledger[2]@0"


def test_a_topic_that_was_made_again_is_not_read_on(scene: Scene) -> None:
    """Every partition stands still, and every answer says so."""
    homes = scene.fill()
    scene.project()
    log = LocalLog(scene.directory / "log.db")
    log.delete_topic("ledger")
    log.close()
    scene.create(2)
    scene.publish(*[homes[0]] * 20, *[homes[1]] * 20)
    error = scene.project()
    assert isinstance(error, TopicRecreated)
    assert "everwhen continuity restart MODULE:ledger" in str(error)
    assert len(scene.notes(homes[0])) < 20
    for entity in homes.values():
        assert str(scene.incomplete(entity)).startswith("TopicRecreated at ledger[0]@")


def test_another_log_is_refused_and_the_store_left_as_it_is(scene: Scene, tmp_path: Path) -> None:
    """A wrong URL does not stop those who have the right one, and says nothing about what they projected."""
    homes = scene.fill()
    scene.project()
    wrong = f"sqlite:///{tmp_path}/other.db"
    with closing(open_log(wrong)) as other:
        other.create_topic("ledger", 2)
    scene.publish(*homes.values(), log=wrong)
    with scene.worker() as right:
        fetcher, _ = right._start()
        error = scene.project(log=wrong)
        fetcher.stop()
        fetcher.join()
    assert isinstance(error, ClusterReplaced)
    assert scene.incomplete(homes[0]) is None
    assert scene.project() is None


def test_what_was_fetched_before_the_log_broke_off_is_applied() -> None:
    """It is in the store when the partition stops, so that a gap is no wider than it is; nothing comes after it."""
    generation = Generation("ledger", 1, 1, "a", "ledger")
    inbox, owned = Inbox(10**6), Owned(Claim(generation, 0, "me", 1, Mark(5, -1), -1), 0)
    inbox.open([owned])
    inbox.put(Chunk([Record(0, offset, 1, b"k", b"v", []) for offset in (5, 6, 7)], {0: 8}))
    inbox.interrupt({0: LogGap("gone")})
    inbox.put(Chunk([Record(0, 20, 1, b"k", b"v", [])], {0: 21}))
    assert inbox.paused() == {0}
    for offsets, reached in (([5, 6], 7), ([7], 8)):
        assert inbox.broken() == []
        work = inbox.take(2, 0)
        assert work is not None
        assert ([record.offset for record in work.records], work.reached) == (offsets, reached)
        assert inbox.broken() == []
        inbox.done()
    ((stopping, error),) = inbox.broken()
    assert (stopping, str(error)) == (owned, "gone")
    inbox.stop(0, error)
    assert inbox.broken() == []
    assert inbox.take(2, 0) is None


def test_a_log_that_does_not_say_what_it_holds_is_asked_again(
    scene: Scene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claims that came to nothing are not taken for processes that died."""
    homes, answer, silences = scene.fill(), LocalLog.bounds, iter(range(5))

    def bounds(log: LocalLog, topic: str, partitions: Sequence[int]) -> dict[int, Bounds]:
        if next(silences, None) is not None:
            raise LogUnavailable("the log does not answer")
        return answer(log, topic, partitions)

    monkeypatch.setattr(LocalLog, "bounds", bounds)
    assert scene.project() is None
    assert next(silences, None) is None
    assert scene.notes(homes[0])[-1] == scene.last[homes[0]]
    assert "continuity.unknown" in caplog.text
    assert "partition.suspected" not in caplog.text
