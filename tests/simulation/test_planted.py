"""Bugs planted in the worker and the store: the simulation must see each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, Update, and_, bindparam, update

from everwhen.ports.log import Record
from everwhen.ports.store import Claim
from everwhen.positions import Mark
from everwhen.sql import SqlStore, checkpoints
from everwhen.sql.batch import SqlBatch
from everwhen.worker.batch import Batch
from everwhen.worker.projector import Owned, Projector
from tests.simulation.exhaust import Difference, exhaust
from tests.simulation.stage import Place

Plant = Callable[[pytest.MonkeyPatch], None]


def without_a_fence(patch: pytest.MonkeyPatch) -> None:
    """The checkpoint moves whoever holds the claim, and wherever it stands."""
    patch.setattr(checkpoints, "_moving", lambda table: _moving(table, ()))


def with_half_a_fence(patch: pytest.MonkeyPatch) -> None:
    """Where the checkpoint stands is looked at, and not whose it is."""
    patch.setattr(checkpoints, "_moving", lambda table: _moving(table, ("expected",)))


def with_the_position_in_a_second_transaction(patch: pytest.MonkeyPatch) -> None:
    """The rows are committed first, the checkpoint moves after that."""

    @contextmanager
    def batch(self: SqlStore, claim: Claim, expected: int, reached: Mark, *, applied: Any = None) -> Iterator[SqlBatch]:
        with self._database.writing("writing rows") as connection:
            yield SqlBatch(self._writer(claim.generation), connection)
        with self._database.writing("moving on") as connection:
            self._checkpoints.move(connection, claim, expected, reached, applied)

    patch.setattr(SqlStore, "batch", batch)


def with_a_position_one_too_far(patch: pytest.MonkeyPatch) -> None:
    """The checkpoint skips a record."""
    take = Projector._take

    def too_far(self: Projector, owned: Owned, records: Sequence[Record], reached: int) -> Any:
        attempt = take(self, owned, records, reached)
        return attempt._replace(mark=attempt.mark._replace(next_offset=attempt.mark.next_offset + 1))

    patch.setattr(Projector, "_take", too_far)


def with_an_unknown_commit_taken_for_none(patch: pytest.MonkeyPatch) -> None:
    """What may have been committed is written again."""
    _believe(patch, committed=False)


def with_an_unknown_commit_taken_for_one(patch: pytest.MonkeyPatch) -> None:
    """What may not have been committed is left out."""
    _believe(patch, committed=True)


def with_a_cache_that_outlives_a_rollback(patch: pytest.MonkeyPatch) -> None:
    """Heads are kept before they are committed."""
    write = Batch.write

    def eager(self: Batch, store: Any, cache: Any, *, careful: bool) -> None:
        write(self, store, cache, careful=careful)
        cache.put(self.heads)

    patch.setattr(Batch, "write", eager)


def _moving(table: Table, guards: Sequence[str]) -> Update:
    columns = {"expected": table.c.next_offset}
    moved: dict[str, Any] = {"next_offset": bindparam("reached"), "watermark": bindparam("new_watermark")}
    guarded = (columns[name] == bindparam(name) for name in guards)
    return update(table).where(and_(checkpoints._here(table), *guarded)).values(moved).returning(table.c.prunings)


def _believe(patch: pytest.MonkeyPatch, *, committed: bool) -> None:
    def believed(self: Projector, owned: Owned, mark: Mark, error: Any) -> bool:
        self._patience.bear(error, lambda: owned.released)
        return committed

    patch.setattr(Projector, "_was_committed", believed)


@pytest.mark.parametrize(
    ("plant", "scenario"),
    [
        (without_a_fence, "repeated"),
        (with_half_a_fence, "two_workers"),
        (with_the_position_in_a_second_transaction, "late"),
        (with_a_position_one_too_far, "holes"),
        (with_an_unknown_commit_taken_for_none, "late"),
        (with_an_unknown_commit_taken_for_one, "late"),
        (with_a_cache_that_outlives_a_rollback, "late"),
    ],
)
def test_a_planted_bug_is_seen(plant: Plant, scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some fault at some call shows it."""
    # The place is new, since a store keeps statements that it has compiled.
    with Place(tmp_path) as place:
        plant(monkeypatch)
        with pytest.raises((Difference, AssertionError)) as seen:
            exhaust(place, scenario, every=False)
    print(str(seen.value).partition("\n")[0])
