"""What every store must do with builds of one projection that stand side by side.

A part of the suite in :mod:`everwhen.testing.store_conformance`.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from everwhen.errors import (
    ArgumentError,
    Fenced,
    GenerationMismatch,
    GenerationNotFound,
    ProjectionNotFound,
)
from everwhen.ports.answers import AsOf
from everwhen.ports.generations import Generation, State
from everwhen.ports.store import Store
from everwhen.positions import Basis, Mark
from everwhen.projection.rows import Changes, Superseded
from everwhen.testing.store_oracle import TOPIC
from everwhen.testing.store_samples import THINGS, Part, blueprint, head, prepared, version

OTHER_CODE = blueprint(fingerprint="b" * 16)
PATIENCE = 30
"""Seconds."""


def states(store: Store) -> dict[int, State]:
    """The state of each generation."""
    return {build.generation.number: build.state for build in store.generations("thing").all()}


def begun(store: Store, code: str = "b") -> Generation:
    """Begin a generation of other code."""
    return store.generations("thing").begin(blueprint(fingerprint=code * 16)).generation


def drop(store: Store, number: int) -> None:
    """Drop a generation as soon as no reader can be asking it any more."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            store.generations("thing").drop(number)
        except ArgumentError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def filled(store: Store, generation: Generation | None = None, state: str = "{}") -> Part:
    """Write one entity into a generation."""
    (part,) = prepared(store, generation=generation)
    part.write(Changes(inserted=[version(state=state)], heads=[head(version(state=state))]))
    return part


def seen(store: Store, number: int | None = None) -> str | None:
    """The state of that entity."""
    found = store.reader("thing", number).find("e", AsOf(50))
    return None if found.row is None else found.row.state


class StoreSideBySide:
    """Generations of one projection; needs the fixture ``store``."""

    def test_a_generation_that_is_being_built_answers_nobody(self, store: Store) -> None:
        """Rows of the two never mix, and each can be asked by its number."""
        filled(store, state='{"n":1}')
        filled(store, begun(store), state='{"n":2}')
        assert states(store) == {1: "live", 2: "building"}
        assert (seen(store), seen(store, 1), seen(store, 2)) == ('{"n":1}', '{"n":1}', '{"n":2}')
        assert store.find("thing") == store.find("thing", 1)
        assert store.find("thing", 2).fingerprint == OTHER_CODE.fingerprint

    def test_a_rebuild_that_was_broken_off_goes_on(self, store: Store) -> None:
        """The same code gets the same generation until it answers; other code gets another one."""
        filled(store)
        assert begun(store) == begun(store)
        assert begun(store, "c").number == 3
        store.generations("thing").switch(2)
        assert begun(store).number == 4

    def test_a_rebuild_needs_something_that_answers(self, store: Store) -> None:
        """The first generation is made by a worker."""
        with pytest.raises(ProjectionNotFound):
            begun(store)
        prepared(store, "other")
        with pytest.raises(ProjectionNotFound, match="other"):
            begun(store)

    def test_a_worker_gets_the_generation_that_its_code_built(self, store: Store) -> None:
        """The one that answers first, else the newest; one of a number only if it is its own."""
        first = filled(store).claim.generation
        store.generations("thing").begin(blueprint())
        assert store.prepare(blueprint()) == first
        with pytest.raises(GenerationMismatch, match="everwhen rebuild"):
            store.prepare(OTHER_CODE)
        other = begun(store)
        assert store.prepare(OTHER_CODE) == other
        assert store.prepare(blueprint(), 2).number == 2
        with pytest.raises(GenerationMismatch):
            store.prepare(OTHER_CODE, 1)
        with pytest.raises(GenerationNotFound, match="1 \\(live\\), 2 \\(building\\), 3 \\(building\\)"):
            store.prepare(blueprint(), 9)
        store.generations("thing").switch(3)
        assert store.prepare(blueprint()).number == 2

    def test_a_switch_changes_what_answers_and_nothing_else(self, store: Store) -> None:
        """There and back; the one that answered before goes on being written."""
        old = filled(store, state='{"n":1}')
        filled(store, begun(store), state='{"n":2}')
        retired = store.generations("thing").switch(2)
        assert (retired.generation, retired.state) == (old.claim.generation, "retired")
        assert retired.retired_at is not None
        assert states(store) == {1: "retired", 2: "live"}
        assert seen(store) == '{"n":2}'
        old.write(Changes())
        assert store.generations("thing").switch(1).generation.number == 2
        assert seen(store) == '{"n":1}'
        with pytest.raises(ArgumentError, match="already"):
            store.generations("thing").switch(1)
        with pytest.raises(GenerationNotFound):
            store.generations("thing").switch(3)

    def test_a_reader_that_is_open_keeps_to_its_generation(self, store: Store) -> None:
        """So that a stream that it began does not change in the middle."""
        filled(store, state='{"n":1}')
        filled(store, begun(store), state='{"n":2}')
        reader = store.reader("thing")
        with reader.snapshot(AsOf(50)) as (_, stream):
            store.generations("thing").switch(2)
            (found,) = stream
        assert found.row is not None
        assert found.row.state == '{"n":1}'
        assert reader.generation.number == 1

    def test_what_answers_is_not_dropped(self, store: Store) -> None:
        """Nor what answered a moment ago: readers may not know yet that it does not any more."""
        filled(store)
        begun(store)
        with pytest.raises(ArgumentError, match="answers"):
            store.generations("thing").drop(1)
        store.generations("thing").switch(2)
        with pytest.raises(ArgumentError, match="answered until"):
            store.generations("thing").drop(1)
        assert seen(store, 1) == "{}"

    def test_what_is_dropped_is_gone(self, store: Store) -> None:
        """Its rows, its checkpoints and its claims are; its number is not given again."""
        filled(store)
        part = filled(store, begun(store))
        drop(store, 2)
        assert states(store) == {1: "live"}
        for use in (lambda: store.find("thing", 2), lambda: store.generations("thing").drop(2)):
            with pytest.raises(GenerationNotFound, match="2 of projection thing"):
                use()
        with pytest.raises(Fenced):
            part.write(Changes())
        with pytest.raises(GenerationNotFound, match="dropped"):
            store.claim(part.claim.generation, [0], THINGS)
        assert begun(store).number == 3
        assert dict(store.reader("thing", 3).marks()) == {}

    def test_what_is_used_is_not_dropped_under_its_user(self, store: Store) -> None:
        """A batch that is open is finished first."""
        filled(store)
        part = filled(store, begun(store))
        row = version("f", 10, 1)
        with ThreadPoolExecutor(1) as thread:
            with store.batch(part.claim, 1, Mark(2, 2)) as batch:
                dropping = thread.submit(drop, store, 2)
                assert not wait([dropping], 0.3).done
                batch.write(Changes(inserted=[row], heads=[head(row)]))
            dropping.result()
        assert states(store) == {1: "live"}

    def test_answers_of_a_dropped_generation_are_given_by_its_like(self, store: Store) -> None:
        """By one that the same code built; there is nobody to give those of other code."""
        filled(store)
        begun(store, "a")
        begun(store, "b")
        assert store.standing_for("thing", 2).number == 2
        drop(store, 2)
        drop(store, 3)
        assert store.standing_for("thing", 2).number == 1
        for number in (3, 4):
            with pytest.raises(GenerationNotFound):
                store.standing_for("thing", number)

    def test_a_basis_names_the_generation_that_gave_it(self, store: Store) -> None:
        """Its token too; two that hold the same records are equal all the same."""
        filled(store)
        filled(store, begun(store))
        one, two = (store.reader("thing", number).marks() for number in (1, 2))
        assert (one.generation, two.generation, Basis.parse(str(two)).generation) == (1, 2, 2)
        assert one == two
        assert str(one) != str(two)

    def test_all_that_was_believed_is_streamed(self, store: Store) -> None:
        """Entity by entity what its history at the basis holds, and entities of which nothing was known then."""
        (part,) = prepared(store)
        old, new = version("b", 20, 1), version("b", 20, 1, refolded_offset=2, refolded_at=102, state="9")
        gone = version("b", 30, 3)
        rows = [version("a", 10, 0), new, version("b", 15, 2), version("\U0001f980", 1, 5), version("\uffff", 1, 6)]
        part.write(
            Changes(
                inserted=rows,
                superseded=[Superseded(old, 2, 102, withdrawn=False), Superseded(gone, 4, 104, withdrawn=True)],
                heads=[head(row) for row in (rows[0], rows[2], *rows[3:])],
            ),
            Mark(8, 200),
        )
        reader = store.reader("thing")
        for next_offset in range(9):
            basis = Basis.of(TOPIC, {0: Mark(next_offset, 300)})
            with reader.believed(basis) as stream:
                found = {known.entity_id: versions for known, versions in stream}
            assert list(found) == ["a", "b", "\uffff", "\U0001f980"]
            for entity_id, versions in found.items():
                _, history = reader.history(entity_id, AsOf(0, basis))
                assert [each.event_id for each in versions] == [each.event_id for each in history]
        with pytest.raises(ArgumentError, match="topic"), reader.believed(Basis.of("others", {})):
            pass
