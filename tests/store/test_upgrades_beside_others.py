"""An upgrade of the tables while workers and readers of the version before have the store open."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, event

from everwhen import Reader, Worker
from everwhen.errors import EverwhenError, Fenced, StoreMismatch, StoreUnavailable
from everwhen.positions import Mark
from everwhen.projection.rows import Changes
from everwhen.sql import SqlStore
from everwhen.sql.engine import Timeouts
from everwhen.sql.migrations import STEPS, Step
from everwhen.sql.schema import SqlSchema
from everwhen.sql.tables import SCHEMA_VERSION
from everwhen.testing.parts.postgres_urls import execute
from everwhen.testing.store_samples import THINGS, head, prepared, version
from everwhen.worker import worker
from tests.ledger import Noted
from tests.store import old_stores
from tests.worker.test_corrections import Place, at, local

NEXT = Step(version=SCHEMA_VERSION + 1, shared=("ALTER TABLE {shared}checkpoints ADD COLUMN later BIGINT",))
_SECONDS = 30.0


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Both databases."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def stores() -> Iterator[Callable[[Any], SqlStore]]:
    """Open stores, and close them in the end."""
    opened: list[SqlStore] = []

    def open_store(target: Any) -> SqlStore:
        opened.append(SqlStore(target))
        return opened[-1]

    yield open_store
    for each in opened:
        each.close()


def upgrade(store: SqlStore) -> None:
    """Do what the everwhen after this one would do."""
    SqlSchema(store._database, store._shared, store._catalog, (*STEPS, NEXT)).upgrade()


def rows(url: str) -> Any:
    """All that is in the store."""
    engine = create_engine(url)
    try:
        return old_stores.rows(engine)
    finally:
        engine.dispose()


def test_a_claim_of_before_writes_nothing_and_is_not_given_again(url: str, stores: Callable[[str], SqlStore]) -> None:
    """Its batch is fenced; whoever claims with the code of before is told what is wrong."""
    store = stores(url)
    (part,) = prepared(store)
    upgrade(stores(url))
    before = rows(url)
    row = version("e", 10, 0)
    with pytest.raises(Fenced), store.batch(part.claim, 0, Mark(1, 1)) as batch:
        batch.write(Changes(inserted=[row], heads=[head(row)]))
    with pytest.raises(StoreMismatch, match="a newer everwhen"):
        store.claim(part.claim.generation, [0], THINGS)
    with pytest.raises(StoreMismatch, match="a newer everwhen"):
        list(store.pruning("thing").portions(5))
    assert rows(url) == before


def test_a_worker_of_before_ends_and_leaves_the_rows(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is fenced at its next batch, claims again, and is refused."""
    monkeypatch.setattr(worker, "_REJOIN_SECONDS", 0.1)
    made = local(tmp_path)
    place = Place(made.log, url, made.topic)
    place.note("1", 1)
    place.project()
    with ThreadPoolExecutor(1) as pool, Worker(place.projection, place.log, url) as running:
        ended: Future[Any] = pool.submit(running.run)
        try:
            with place.publishing() as publisher, Reader(place.projection, url) as reader:
                receipt = publisher.publish("a", Noted(text="2"), occurred_at=at(2))
                reader.wait_for(receipt, timeout=_SECONDS)
            with closing(SqlStore(url)) as store:
                upgrade(store)
            before = rows(url)
            place.note("3", 3)
            error = ended.exception(_SECONDS)
        finally:
            running.stop()
    assert isinstance(error, StoreMismatch), error
    assert rows(url) == before


def test_a_reader_of_before_is_told_and_answers_nothing(url: str, stores: Callable[[str], SqlStore]) -> None:
    """Whatever it asks, from its next question on."""
    store = stores(url)
    (part,) = prepared(store)
    row = version("e", 10, 0)
    part.write(Changes(inserted=[row], heads=[head(row)]))
    with Reader("thing", url) as reader:
        asked: list[Callable[[], Any]] = [
            lambda: reader.get("e"),
            lambda: reader.get("e", known_at=answer.watermark),
            lambda: reader.history("e"),
            lambda: reader.history("e", audit=True),
            lambda: reader.explain("e"),
            lambda: drain(reader.snapshot()),
            lambda: drain(reader.changes(answer.basis)),
            lambda: list(reader.join([("e", answer.valid_at)])),
        ]
        answer = reader.get("e")
        for ask in asked:
            ask()
        upgrade(stores(url))
        for ask in asked:
            with pytest.raises(StoreMismatch, match="a newer everwhen"):
                ask()


def drain(stream: Any) -> None:
    """Read all of it."""
    with stream as found:
        list(found)


@pytest.mark.parametrize("use", ["claim", "restart"])
def test_a_claim_comes_before_or_after_an_upgrade(
    use: str, postgres_url: str, stores: Callable[[Any], SqlStore]
) -> None:
    """One that begins while tables are upgraded waits, and is refused then."""
    store = stores(postgres_url)
    (part,) = prepared(store)
    engine, begun, go_on = create_engine(postgres_url), threading.Event(), threading.Event()

    def hold(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("ALTER TABLE"):
            begun.set()
            assert go_on.wait(_SECONDS)

    event.listen(engine, "before_cursor_execute", hold)

    def claim() -> EverwhenError | None:
        try:
            if use == "claim":
                store.claim(part.claim.generation, [0, 1], THINGS)
            else:
                continuity.restart(THINGS, "because")
        except EverwhenError as error:
            return error
        return None

    continuity = store.continuity("thing")
    with ThreadPoolExecutor(2) as pool:
        upgrading = pool.submit(upgrade, stores(engine))
        try:
            assert begun.wait(_SECONDS)
            claiming = pool.submit(claim)
            while execute(postgres_url, "SELECT count(*) FROM pg_locks WHERE NOT granted") == "0":
                assert not claiming.done(), claiming.result()
        finally:
            go_on.set()
        upgrading.result(_SECONDS)
        assert isinstance(claiming.result(_SECONDS), StoreMismatch)
    engine.dispose()
    assert [row["owner"] for row in rows(postgres_url)["checkpoints"]] == ["nobody"]


def test_an_upgrade_gives_up_where_somebody_reads_for_long(postgres_url: str) -> None:
    """Nothing was done then; afterwards it succeeds."""
    old_stores.make(postgres_url)
    before = rows(postgres_url)
    with closing(SqlStore(postgres_url, timeouts=Timeouts(lock=0.1))) as store:
        with psycopg.connect(postgres_url.replace("+psycopg", "")) as reading:
            reading.execute("SELECT count(*) FROM everwhen.checkpoints")
            with pytest.raises(StoreUnavailable, match="upgrading the tables"):
                store.schema().upgrade()
        assert rows(postgres_url) == before
        assert store.schema().upgrade().reached == SCHEMA_VERSION


def test_two_upgrades_at_once_are_one(url: str) -> None:
    """The second waits for the first, and finds nothing left to do."""
    old_stores.make(url)
    stores = [SqlStore(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda store: store.schema().upgrade(), stores))
    for store in stores:
        store.close()
    assert sorted(bool(each.statements) for each in done) == [False, False, False, True]
    with closing(SqlStore(url)) as store:
        assert store.schema().check().problems == []
        assert store.prepare(old_stores.BLUEPRINTS[0]).number == 1
