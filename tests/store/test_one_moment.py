"""An answer that takes several statements is of one moment, whatever is committed in between."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from everwhen.ports.answers import AsOf, VersionRow
from everwhen.projection.rows import Changes, Superseded
from everwhen.sql import SqlStore
from everwhen.testing.store_samples import head, prepared, version


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Both databases."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return str(request.getfixturevalue("postgres_url"))


def test_a_snapshot_begins_with_its_marks(url: str) -> None:
    """A batch that is committed before the first row is asked for is not in it."""
    store, other = SqlStore(url), SqlStore(url)
    (part,) = prepared(other)
    before = version("a", 10, 0)
    part.write(Changes(inserted=[before], heads=[head(before)]))
    with store.reader("thing").snapshot(AsOf(50)) as (basis, stream):
        after = version("b", 10, 1)
        part.write(Changes(inserted=[after], heads=[head(after)]))
        assert [found.row for found in stream] == [VersionRow.of(before, None, None)]
    assert basis[0].next_offset == 1
    for each in (store, other):
        each.close()


def test_a_history_is_not_torn(url: str) -> None:
    """While batches are committed: marks, head, rows and earlier beliefs of an answer belong together."""
    store, other = SqlStore(url), SqlStore(url)
    (part,) = prepared(other)
    reader, asked = store.reader("thing"), 0

    def write() -> None:
        for offset in range(60):
            row = version("e", 10 + offset, offset)
            gone = Superseded(version("e", 1, offset), offset, 100 + offset, withdrawn=True)
            part.write(Changes(inserted=[row], superseded=[gone], heads=[head(row, pruned_at=offset + 1)]))

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not writing.done() or not asked:
            found, rows = reader.history("e", AsOf(1000))
            covered = found.marks[0].next_offset
            assert (found.head.pruned_at if found.head else 0) == len(rows) == covered
            everything = reader.rows("e")
            assert len(everything.versions) == len(everything.superseded) == everything.marks[0].next_offset
            asked += 1
        writing.result()
    for each in (store, other):
        each.close()
