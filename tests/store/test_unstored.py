"""An entity of which no belief is kept as a row is still there, in every question about all entities."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from everwhen.ports.answers import AsOf
from everwhen.ports.store import Store
from everwhen.positions import Basis, Mark
from everwhen.projection.rows import Changes
from everwhen.sql import SqlStore
from everwhen.testing.store_oracle import TOPIC
from everwhen.testing.store_samples import head, prepared, version


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind."""
    url = f"sqlite:///{tmp_path}/store.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    opened = SqlStore(url)
    yield opened
    opened.close()


def test_a_snapshot_has_an_entity_all_of_whose_rows_are_of_a_later_belief(store: Store) -> None:
    """Its only row then was folded again and not kept: there is nothing to find, and still something to fold."""
    (part,) = prepared(store)
    late, folded = version("e", 5, 2), version("e", 10, 0, refolded_offset=2, refolded_at=102)
    known = head(folded, first_valid=5, versions=2, lead=0, unstored_offset=2, unstored_valid=5, unstored_at=102)
    other = version("other", 10, 1)
    part.write(Changes(inserted=[late, folded, other], heads=[known, head(other)]), Mark(3, 102))
    reader = store.reader("thing")
    as_of = AsOf(12, Basis.of(TOPIC, {0: Mark(2, 101)}))
    with reader.snapshot(as_of) as (_, stream):
        found = list(stream)
    assert [(each.head.entity_id, each.unstored) for each in found if each.head] == [("e", True), ("other", False)]
    assert found == [reader.find(entity, as_of) for entity in ("e", "other")]
