"""What every store must answer: the reading half of :class:`everwhen.testing.store_conformance.StoreConformance`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everwhen.errors import ArgumentError
from everwhen.instants import MAX_MICROS, MIN_MICROS
from everwhen.ports.answers import AsOf, Found, HeadRow, StoreReader, VersionRow
from everwhen.ports.store import Store
from everwhen.positions import Basis, Mark
from everwhen.projection.rows import Changes, Superseded
from everwhen.testing.store_oracle import TOPIC, Entry, Expected, Oracle, Row
from everwhen.testing.store_samples import OpenStore, head, prepared, version

# In the order of their code points, which is no dictionary's.
ENTITIES = ("B", "a", "a b", "\u00e9", "\uffee", "\U0001f980")
_numbers = itertools.count()


@st.composite
def logs(draw: st.DrawFn) -> list[Entry]:
    """A few records: late, early, at one instant, deleting, retracting, with holes between the offsets."""
    log: list[Entry] = []
    recorded_at, offsets = 10, [0, 0]
    for number in range(draw(st.integers(1, 9))):
        entity = draw(st.integers(0, 2))
        partition = entity % 2
        recorded_at += draw(st.sampled_from([0, 0, 3, 7]))
        offsets[partition] += draw(st.sampled_from([1, 1, 4]))
        earlier = [e.event_id for e in log if e.entity_id == ENTITIES[entity] and e.retracts is None]
        retracts = draw(st.sampled_from(earlier)) if earlier and draw(st.integers(0, 3)) == 0 else None
        log.append(
            Entry(
                partition=partition,
                offset=offsets[partition],
                recorded_at=recorded_at,
                entity_id=ENTITIES[entity],
                valid_from=draw(st.integers(8, 14)) + draw(st.sampled_from([0, 0, 0, 25, -25])),
                event_id=f"event-{number}",
                deletes=draw(st.integers(0, 4)) == 0,
                retracts=retracts,
            )
        )
    return log


def written(store: Store, oracle: Oracle, sizes: Sequence[int]) -> StoreReader:
    """Write the oracle's rows in batches of these sizes, into a projection of their own."""
    projection = f"log{next(_numbers)}"
    parts = prepared(store, projection, [0, 1])
    for partition, part in enumerate(parts):
        entries = iter([entry for entry in oracle.log if entry.partition == partition])
        for size in itertools.cycle(sizes):
            batch = list(itertools.islice(entries, size))
            if not batch:
                break
            part.write(oracle.changes(batch), Mark(batch[-1].offset + 1, batch[-1].recorded_at))
    return store.reader(projection)


def seen(row: VersionRow | None) -> Expected | None:
    """Reduce a row to what the oracle knows of it."""
    if row is None:
        return None
    return Expected(Row(row.valid_from, row.offset, row.state), row.valid_to, row.superseded_at)


def pasts(oracle: Oracle) -> list[tuple[Basis | None, int | None]]:
    """Every point in the past of the log that makes a difference, and the present."""
    bases, instants = list(oracle.bases()), sorted({entry.recorded_at for entry in oracle.log})
    known = [instants[0] - 1, *instants, instants[-1] + 1]
    both = zip(bases, reversed(known), strict=False)
    return [(None, None), *((basis, None) for basis in bases), *((None, at) for at in known), *both]


class StoreAnswers:
    """The reading half of the suite; needs the fixtures ``open_store`` and ``store``."""

    examples = 40
    """How many logs are tried."""

    def test_answers_follow_the_definition(self, store: Store) -> None:
        """At every breakpoint of both axes: one entity at an instant, its history, all entities."""

        @settings(max_examples=self.examples, deadline=None)
        @given(log=logs(), sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3))
        def check(log: list[Entry], sizes: list[int]) -> None:
            oracle = Oracle(log)
            reader = written(store, oracle, sizes)
            for number, (basis, known_at) in enumerate(pasts(oracle)):
                for entity_id in oracle.entities:
                    self.check_entity(reader, oracle, entity_id, AsOf(0, basis, known_at))
                instant = log[number % len(log)].valid_from
                self.check_snapshot(reader, oracle, AsOf(instant, basis, known_at))
                self.check_join(reader, oracle, AsOf(0, basis, known_at))

        check()

    def check_entity(self, reader: StoreReader, oracle: Oracle, entity_id: str, as_of: AsOf) -> None:
        """One entity just before, at and after each of its events; and its history."""
        instants = {entry.valid_from for entry in oracle.log if entry.entity_id == entity_id}
        for instant in instants | {instant - 1 for instant in instants}:
            here = replace(as_of, valid_at=instant)
            assert seen(reader.find(entity_id, here).row) == oracle.find(entity_id, here)
        found, rows = reader.history(entity_id, as_of)
        believed = oracle.believed(entity_id, as_of)
        ends = [*(row.valid_from for row in believed[1:]), None]
        assert [seen(row) for row in rows] == [
            Expected(row, end, oracle.superseded_at(entity_id, row, as_of))
            for row, end in zip(believed, ends, strict=False)
        ]
        assert found.row is None
        assert found.head is not None
        assert found.head.entity_id == entity_id

    def check_snapshot(self, reader: StoreReader, oracle: Oracle, as_of: AsOf) -> None:
        """Every entity that there is, in the order of their ids, each as :meth:`find` finds it."""
        with reader.snapshot(as_of) as (basis, stream):
            found = list(stream)
        expected = [entity_id for entity_id in oracle.entities if oracle.find(entity_id, as_of) is not None]
        assert [each.head.entity_id for each in found if each.head is not None] == expected
        assert found == [reader.find(entity_id, as_of) for entity_id in expected]
        assert basis == reader.marks()

    def check_join(self, reader: StoreReader, oracle: Oracle, as_of: AsOf) -> None:
        """Every entity, and one that never was, at every breakpoint, in no order: each as :meth:`find` finds it."""
        instants = {entry.valid_from for entry in oracle.log}
        points = list(itertools.product({*oracle.entities, "nobody"}, instants | {instant - 1 for instant in instants}))
        with reader.join(as_of) as join:
            assert list(join.find(points)) == [
                reader.find(entity_id, replace(as_of, valid_at=instant)) for entity_id, instant in points
            ]
            assert join.marks == reader.marks()

    def test_nobody_is_found_where_nothing_is(self, store: Store) -> None:
        """An entity that never was, with how far everything was projected."""
        parts = prepared(store, partitions=[0, 1])
        parts[1].write(Changes(), Mark(8, 1_234))
        reader = store.reader("thing")
        marks = Basis.of(TOPIC, {0: Mark(0, -1), 1: Mark(8, 1_234)})
        for as_of in (AsOf(5), AsOf(5, marks), AsOf(5, known_at=7), AsOf(5, marks, 7)):
            assert reader.find("e", as_of) == Found(marks, None, None, unstored=False)
            assert reader.history("e", as_of) == (Found(marks, None, None, unstored=False), [])
            with reader.snapshot(as_of) as (basis, stream):
                assert (basis, list(stream)) == (marks, [])
            with reader.join(as_of) as join:
                assert list(join.find([("e", 5), ("d", 5)])) == 2 * [Found(marks, None, None, unstored=False)]
                assert list(join.find([])) == []

    @pytest.mark.parametrize("instant", [MIN_MICROS, -1, 0, 1_700_000_000_123_457, MAX_MICROS])
    def test_an_instant_is_exact(self, store: Store, instant: int) -> None:
        """A bound is inclusive at the event's instant, to the microsecond, from the year 1 to 9999."""
        (part,) = prepared(store)
        row = version("e", instant, recorded_at=instant, refolded_offset=0, refolded_at=instant)
        part.write(Changes(inserted=[row], heads=[head(row)]), Mark(1, instant))
        reader = store.reader("thing")
        for basis, known_at in ((None, None), (reader.marks(), None), (None, instant), (reader.marks(), MAX_MICROS)):
            assert reader.find("e", AsOf(instant, basis, known_at)).row == VersionRow.of(row, None, None)
            assert reader.find("e", AsOf(MAX_MICROS, basis, known_at)).row == VersionRow.of(row, None, None)
            if instant > MIN_MICROS:
                assert reader.find("e", AsOf(instant - 1, basis, known_at)).row is None
                assert reader.find("e", AsOf(instant, known_at=instant - 1)).row is None

    @pytest.mark.parametrize("lead", [MIN_MICROS - 200, -50, 0, MAX_MICROS - 200])
    def test_what_was_known_early_is_found_late(self, store: Store, lead: int) -> None:
        """The seek into the past is bounded by the largest lead; it must not be bounded by more."""
        (part,) = prepared(store)
        rows = [version("e", 200 + lead, 0, recorded_at=200), version("e", 300, 1, recorded_at=300)]
        part.write(Changes(inserted=rows, heads=[head(rows[1], lead=max(lead, 0))]), Mark(2, 300))
        reader = store.reader("thing")
        past = Basis.of(TOPIC, {0: Mark(1, 200)})
        for as_of in (AsOf(MAX_MICROS, past), AsOf(MAX_MICROS, known_at=299), AsOf(200 + lead, past, 250)):
            assert reader.find("e", as_of).row == VersionRow.of(rows[0], None, None)

    def test_a_basis_without_the_partition_knows_nothing(self, store: Store) -> None:
        """A basis that is older than the first record of a partition."""
        (part,) = prepared(store)
        part.write(Changes(inserted=[version()], heads=[head(version())]))
        other = Basis.of(TOPIC, {1: Mark(5, 500)})
        assert store.reader("thing").find("e", AsOf(50, other)).row is None

    def test_a_basis_of_another_topic_is_refused(self, store: Store) -> None:
        """Its offsets mean something else."""
        prepared(store)
        with pytest.raises(ArgumentError, match=r"of topic others.*of topic things"):
            store.reader("thing").find("e", AsOf(5, Basis.of("others", {})))

    def test_what_is_not_stored_is_said(self, store: Store) -> None:
        """Beliefs up to an offset, about instants from one on; there the events are to be folded."""
        (part,) = prepared(store)
        rows = [version("e", 10, 0), version("e", 20, 1, state=None, refolded_offset=2, refolded_at=102)]
        late = version("e", 15, 2)
        gone = Superseded(version("e", 12, 3, event_id="gone"), 4, 104, withdrawn=True)
        known = head(rows[1], lead=0, unstored_offset=2, unstored_valid=15, unstored_at=102)
        part.write(Changes(inserted=[*rows, late], superseded=[gone], heads=[known]), Mark(5, 104))
        reader = store.reader("thing")

        def basis(next_offset: int) -> Basis:
            return Basis.of(TOPIC, {0: Mark(next_offset, 99 + next_offset)})

        for as_of in (AsOf(15, basis(2)), AsOf(20, known_at=101), AsOf(20, basis(5), 101), AsOf(20, basis(2), 104)):
            following = 20 if as_of.valid_at < 20 else None
            found = Found(reader.marks(), HeadRow.of(known), None, unstored=True)
            assert reader.find("e", as_of) == found._replace(following=following)
            assert reader.history("e", as_of) == (found, [])
            with reader.snapshot(as_of) as (_, stream):
                assert list(stream) == [reader.find("e", as_of)]
            with reader.join(as_of) as join:
                assert list(join.find([("e", as_of.valid_at)])) == [reader.find("e", as_of)]
                assert join.rows("e") == reader.rows("e")
        for as_of in (AsOf(14, basis(2)), AsOf(15, basis(3)), AsOf(15, known_at=102), AsOf(15)):
            assert not reader.find("e", as_of).unstored

    @pytest.mark.parametrize("instant", [MIN_MICROS, -1, 1_700_000_000_123_457, MAX_MICROS])
    def test_what_an_answer_depends_on_comes_as_it_was_written(self, store: Store, instant: int) -> None:
        """Every field of a head, by every way to ask."""
        (part,) = prepared(store)
        offsets = {name: number for number, name in enumerate(HeadRow._fields, 1) if name.endswith("_offset")}
        instants = {name: instant for name in HeadRow._fields if name.endswith(("_valid", "_at", "_before"))}
        known = head(version(), **offsets, **instants)
        assert None not in HeadRow.of(known)
        part.write(Changes(inserted=[version()], heads=[known]))
        reader = store.reader("thing")
        for as_of in (AsOf(50), AsOf(50, reader.marks())):
            assert reader.find("e", as_of).head == HeadRow.of(known)
            with reader.snapshot(as_of) as (_, stream):
                assert [each.head for each in stream] == [HeadRow.of(known)]
            with reader.join(as_of) as join:
                assert [each.head for each in join.find([("e", 50)])] == [HeadRow.of(known)]
        with reader.changes(Basis.of(TOPIC, {}), 50) as (_, changes):
            assert [each.found.head for each in changes] == [HeadRow.of(known)]

    def test_a_snapshot_stands_still(self, store: Store, open_store: OpenStore) -> None:
        """Batches that are committed while it is read change nothing in it, and it does not hold them up."""
        other = open_store()
        (part,) = prepared(other)
        rows = [version(f"entity-{n:04}", 10, n) for n in range(1500)]
        part.write(Changes(inserted=rows, heads=[head(row) for row in rows]))
        reader = store.reader("thing")
        with reader.snapshot(AsOf(50)) as (basis, stream):
            first = next(stream)
            late = [version(row.entity_id, 20, 2000 + row.offset) for row in rows]
            extra = version("zzz", 10, 9000)
            part.write(Changes(inserted=[*late, extra], heads=[head(row) for row in [*late, extra]]))
            found = [first, *stream]
        assert [each.row for each in found] == [VersionRow.of(row, None, None) for row in rows]
        assert {each.marks for each in found} == {basis}
        assert basis[0].next_offset == 1
        assert reader.marks()[0].next_offset == 2
        other.close()

    def test_a_snapshot_may_be_left_early(self, store: Store) -> None:
        """The connection goes back, and the next question is answered."""
        (part,) = prepared(store)
        rows = [version(f"entity-{n:04}", 10, n) for n in range(2000)]
        part.write(Changes(inserted=rows, heads=[head(row) for row in rows]))
        reader = store.reader("thing")
        for _ in range(20):
            with reader.snapshot(AsOf(50)) as (_, stream):
                next(stream)
        assert reader.marks()[0].next_offset == 1

    def test_what_comes_first_after_the_instant_is_said(self, store: Store) -> None:
        """It tells an entity that has no event yet from one whose events were all withdrawn or recorded later."""
        (part,) = prepared(store)
        rows = [version("e", 30, 0), version("e", 20, 1)]
        gone = Superseded(version("e", 10, 2), 3, 103, withdrawn=True)
        part.write(Changes(inserted=rows, superseded=[gone], heads=[head(rows[0], lead=0)]), Mark(4, 103))
        reader = store.reader("thing")
        for known_at, following in ((None, 20), (103, 20), (102, 10), (101, 20), (100, 30), (99, None)):
            assert reader.find("e", AsOf(5, known_at=known_at)).following == following

    def test_a_join_gives_what_was_asked_in_its_order(self, store: Store) -> None:
        """Points that come twice, unsorted, by the thousand; ids of any form."""
        (part,) = prepared(store)
        rows = [version(entity_id, 10 * n, n) for n in range(40) for entity_id in ENTITIES]
        heads = [head(row, lead=300) for row in rows[-len(ENTITIES) :]]
        part.write(Changes(inserted=rows, heads=heads), Mark(40, 139))
        reader = store.reader("thing")
        points = [(entity_id, 7 * n % 400) for n in range(500) for entity_id in [*ENTITIES, "nobody", ENTITIES[0]]]
        for as_of in (AsOf(0), AsOf(0, reader.marks()), AsOf(0, known_at=139)):
            with reader.join(as_of) as join:
                found = list(join.find(points))
            known = {(each.head.entity_id, each.row) for each in found if each.head is not None}
            ends = {row: row.valid_from + 10 if row.valid_from < 390 else None for row in rows}
            assert known == {(row.entity_id, VersionRow.of(row, ends[row], None)) for row in rows}
            for (entity_id, instant), each in zip(points, found, strict=True):
                is_there = entity_id != "nobody"
                assert (each.row and each.row.valid_from) == (instant // 10 * 10 if is_there else None)
                assert (each.head and each.head.entity_id) == (entity_id if is_there else None)

    def test_a_join_stands_still(self, store: Store, open_store: OpenStore) -> None:
        """Batches that are committed between two questions change nothing in it, and it does not hold them up."""
        other = open_store()
        (part,) = prepared(other)
        rows = [version(f"entity-{n}", 10, n) for n in range(100)]
        part.write(Changes(inserted=rows, heads=[head(row) for row in rows]))
        reader = store.reader("thing")
        points = [(row.entity_id, 50) for row in rows]
        with reader.join(AsOf(0)) as join:
            before, all_rows = list(join.find(points)), join.rows("entity-7")
            late = [version(row.entity_id, 20, 200 + row.offset) for row in rows]
            part.write(Changes(inserted=late, heads=[head(row) for row in late]))
            assert list(join.find(points)) == before
            assert (join.rows("entity-8").marks, join.rows("entity-7")) == (join.marks, all_rows)
        assert [each.row for each in before] == [VersionRow.of(row, None, None) for row in rows]
        assert {each.marks for each in before} == {join.marks}
        assert reader.marks()[0].next_offset == join.marks[0].next_offset + 1
        other.close()

    def test_a_reader_is_never_torn(self, store: Store, open_store: OpenStore) -> None:
        """While batches are committed: rows and marks of an answer belong together."""
        other = open_store()
        (part,) = prepared(other)
        reader, seen_marks = store.reader("thing"), []
        with ThreadPoolExecutor(1) as pool:

            def write() -> None:
                for offset in range(60):
                    row = version("e", 10 + offset, offset)
                    part.write(Changes(inserted=[row], heads=[head(row, pruned_at=offset + 1)]))

            writing = pool.submit(write)
            while not writing.done():
                found = reader.find("e", AsOf(1000))
                covered = found.marks[0].next_offset
                assert (found.row.offset + 1 if found.row else 0) == covered
                assert (found.head.pruned_at if found.head else 0) == covered
                seen_marks.append(covered)
            writing.result()
        assert seen_marks == sorted(seen_marks)
        other.close()
