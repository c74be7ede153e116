"""A claim is the right to write a partition: its token and its epoch count together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from everwhen.errors import Fenced
from everwhen.projection.rows import Changes
from everwhen.sql import SqlStore
from everwhen.testing.store_samples import head, prepared, version


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Both databases."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return str(request.getfixturevalue("postgres_url"))


def test_a_claim_counts_as_a_whole(url: str) -> None:
    """Neither the token alone nor the epoch alone lets anybody write: a claim that was put together is fenced."""
    store = SqlStore(url)
    (part,) = prepared(store)
    mine = part.claim
    for other in (replace(mine, epoch=mine.epoch + 1), replace(mine, owner="another")):
        part.claim = other
        with pytest.raises(Fenced):
            part.write(Changes(inserted=[version()], heads=[head(version())]))
        with pytest.raises(Fenced):
            store.next_offset(other)
    part.claim = mine
    part.write(Changes(inserted=[version()], heads=[head(version())]))
    assert store.next_offset(mine) == 1
    store.close()
