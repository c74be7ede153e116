"""Which databases are taken, with what settings, and what is said when one fails."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import StaticPool

from everwhen.errors import (
    Fenced,
    MissingExtra,
    SettingsError,
    StoreConflict,
    StoreError,
    StoreMismatch,
    StoreUnavailable,
)
from everwhen.ports.answers import AsOf
from everwhen.positions import Mark
from everwhen.projection.rows import Changes
from everwhen.sql import SqlStore, Timeouts, engine
from everwhen.sql.database import Database
from everwhen.sql.tables import SCHEMA_VERSION
from everwhen.testing.store_samples import Part, blueprint, head, prepared, version

SECRET = "sesame"  # the point of these tests


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://u:{SECRET}@h/d",
        f"postgresql+psycopg2://u:{SECRET}@h/d",
        f"postgresql+asyncpg://u:{SECRET}@h/d",
        f"sqlite+pysqlcipher://:{SECRET}@/file.db",
        f"nonsense {SECRET}",
        f"://u:{SECRET}@h",
    ],
)
def test_other_databases_are_refused(url: str) -> None:
    """With what to write instead, and without the password."""
    with pytest.raises(SettingsError, match=r"postgresql\+psycopg://.*sqlite:///") as caught:
        SqlStore(url)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"])
def test_memory_is_refused(url: str) -> None:
    """There would be a database for each connection."""
    with pytest.raises(SettingsError, match=r"lives in memory.*give a file"):
        SqlStore(url)
    with pytest.raises(SettingsError, match="lives in memory"):
        SqlStore(create_engine(url, poolclass=StaticPool))


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setattr(engine, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"pip install 'everwhen\[postgres\]'"):
        SqlStore("postgresql+psycopg://localhost/d")


def test_a_password_among_the_parameters_is_hidden() -> None:
    """libpq takes it there too."""
    address = SqlStore(f"postgresql://h/d?user=u&password={SECRET}&sslpassword={SECRET}").address
    assert SECRET not in address
    assert "user=u" in address


def test_postgresql_without_a_driver_means_psycopg() -> None:
    """It is the only one that we use."""
    for url in ("postgresql://u:x@h/d", "postgres://u:x@h/d", make_url("postgresql+psycopg://u:x@h/d")):
        assert SqlStore(url).address == "postgresql+psycopg://u:***@h/d"


def test_a_database_that_does_not_answer() -> None:
    """It may pass, so a worker tries again; no password is told."""
    store = SqlStore(f"postgresql://user:{SECRET}@127.0.0.1:1/d")
    with pytest.raises(StoreUnavailable, match=r"postgresql\+psycopg://user:\*\*\*@127.0.0.1:1/d.*try again") as caught:
        store.prepare(blueprint())
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """The directory may be mounted later."""
    with pytest.raises(StoreUnavailable, match="SQLITE_CANTOPEN"):
        SqlStore(f"sqlite:///{tmp_path}/missing/store.db").prepare(blueprint())


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """Trying again does not help."""
    path = tmp_path / "store.db"
    path.write_bytes(b"no database " * 500)
    with pytest.raises(StoreError, match="SQLITE_NOTADB") as caught:
        SqlStore(f"sqlite:///{path}").prepare(blueprint())
    assert not isinstance(caught.value, StoreUnavailable)


def test_a_file_that_another_writes_to(tmp_path: Path) -> None:
    """A writer that does not end within the lock timeout."""
    store = SqlStore(f"sqlite:///{tmp_path}/store.db", timeouts=Timeouts(lock=0.1))
    (part,) = prepared(store)
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match=r"projecting things\[0\]@0: SQLITE_BUSY"):
        part.write(Changes())
    other.execute("COMMIT")
    part.write(Changes())
    other.close()
    store.close()


def test_tables_of_another_schema_version(tmp_path: Path) -> None:
    """Neither written nor read."""
    store = SqlStore(f"sqlite:///{tmp_path}/store.db")
    store.prepare(blueprint())
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("UPDATE everwhen_meta SET schema_version = 99")
    for use in (lambda: store.prepare(blueprint()), lambda: store.reader("thing")):
        with pytest.raises(StoreMismatch, match=f"version 99.*works with version {SCHEMA_VERSION}"):
            use()


def test_settings_of_a_file(tmp_path: Path) -> None:
    """Readers go on while a batch is written; the tail of the log may be lost, rows and checkpoint together."""
    store = SqlStore(f"sqlite:///{tmp_path}/store.db")
    store.prepare(blueprint())
    with Database(f"sqlite:///{tmp_path}/store.db", Timeouts(lock=7)).connection("asking") as connection:
        found = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
        assert found == {"journal_mode": "wal", "synchronous": 1}
        assert connection.execute("PRAGMA busy_timeout").fetchone()[0] == 7000


def test_processes_prepare_at_once(tmp_path: Path) -> None:
    """Locks of a file work otherwise between processes than between threads."""
    script = (
        "import sys; from everwhen.sql import SqlStore; from everwhen.testing.store_samples import blueprint\n"
        "print(SqlStore(sys.argv[1]).prepare(blueprint()))"
    )
    command = [sys.executable, "-c", script, f"sqlite:///{tmp_path}/store.db"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], outputs
    assert len({output for output, _ in outputs}) == 1


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_engine_of_the_user(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """It works the same, its connections come back in the mode they had, and closing the store leaves it open."""
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else f"sqlite:///{tmp_path}/store.db"
    mine = create_engine(url, pool_size=1, max_overflow=0)
    pool = mine.pool
    store = SqlStore(mine)
    (part,) = prepared(store)
    part.write(Changes(inserted=[version()], heads=[head(version())]))
    reader = store.reader("thing")
    assert reader.find("e", AsOf(50)).row is not None
    with reader.snapshot(AsOf(50)) as (_, stream):
        assert len(list(stream)) == 1
    store.close()
    assert mine.pool is pool
    with mine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE mine (n INTEGER)")
        connection.exec_driver_sql("INSERT INTO mine VALUES (1)")
        if kind == "postgresql":
            assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "0"
            assert connection.exec_driver_sql("SHOW enable_seqscan").scalar() == "on"
        connection.rollback()
        assert connection.exec_driver_sql("SELECT count(*) FROM mine").scalar() == 0 if kind == "sqlite" else True
    mine.dispose()


def test_a_terminated_backend(postgres_url: str) -> None:
    """The batch fails as a whole, it may pass, and the next try gets a connection that works."""
    psycopg = pytest.importorskip("psycopg")
    store = SqlStore(postgres_url)
    (part,) = prepared(store)
    rows = Changes(inserted=[version()], heads=[head(version())])

    def cut() -> None:
        with store.batch(part.claim, 0, Mark(1, 1)) as batch:
            batch.write(rows)
            with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            batch.heads(["e"])

    with pytest.raises(StoreUnavailable, match="SQLSTATE 57P01"):
        cut()
    reader = store.reader("thing")
    assert reader.find("e", AsOf(50)).head is None
    part.write(rows)
    store.close()


def test_a_zombie_inside_its_transaction(postgres_url: str) -> None:
    """It blocks the takeover for no longer than the idle timeout, and nothing of its batch remains."""
    zombie, successor = SqlStore(postgres_url, timeouts=Timeouts(idle=0.3)), SqlStore(postgres_url)
    (part,) = prepared(successor)  # a busy machine may take longer than the zombie has to make all the tables

    def hang() -> None:
        with zombie.batch(part.claim, 0, Mark(1, 1)) as batch:
            batch.write(Changes(inserted=[version()], heads=[head(version())]))
            with ThreadPoolExecutor(1) as pool:
                pool.submit(prepared, successor).result(timeout=5)
            batch.heads(["e"])

    with pytest.raises(StoreUnavailable, match="SQLSTATE 25P03"):
        hang()
    assert successor.reader("thing").find("e", AsOf(50)).head is None
    zombie.close()
    successor.close()


def test_a_zombie_in_the_middle_of_its_rows(postgres_url: str) -> None:
    """PostgreSQL does not call that idle; so statements have a limit too."""
    database = Database(postgres_url, Timeouts(statement=0.2))
    with database.writing("setting up") as connection:
        connection.execute("CREATE TABLE numbers (n integer)")

    def hang() -> None:
        with database.writing("copying") as connection, connection.cursor().copy("COPY numbers FROM STDIN") as copy:
            copy.write("1\n")
            time.sleep(0.5)

    with pytest.raises(StoreUnavailable, match=r"while copying: .*SQLSTATE 57014"):
        hang()
    database.close()


def test_a_zombie_in_the_middle_of_its_rows_is_overtaken(postgres_url: str) -> None:
    """Its statement's limit does not end it while it sends nothing, so whoever takes over ends its session."""
    zombie = SqlStore(postgres_url)
    successor = SqlStore(postgres_url, timeouts=Timeouts(statement=0.6, lock=0.2))
    prepared(zombie)
    database = Database(postgres_url, Timeouts(statement=0.6))

    def hang() -> None:
        with database.writing("copying") as connection:
            connection.execute("UPDATE everwhen.checkpoints SET next_offset = 7")
            with connection.cursor().copy("COPY everwhen.thing__1_versions FROM STDIN") as copy:
                copy.write("e\t")
                (part,) = _prepared_at_last(successor)
                assert part.claim.mark.next_offset == 0
                copy.write("2026-03-01")

    with pytest.raises(StoreUnavailable, match="SQLSTATE 57P01"):
        hang()
    for each in (zombie, successor, database):
        each.close()


def _prepared_at_last(store: SqlStore, attempts: int = 50) -> list[Part]:
    for _ in range(attempts):
        try:
            return prepared(store)
        except StoreUnavailable:
            continue
    raise AssertionError(f"{attempts} attempts at a takeover were in vain")


def test_a_slow_sender_of_rows_is_left_alone(postgres_url: str) -> None:
    """While its statement is within its limit, a takeover waits for it."""
    successor = SqlStore(postgres_url, timeouts=Timeouts(lock=0.3))
    prepared(successor)
    database = Database(postgres_url, Timeouts())
    with database.writing("copying") as connection:
        connection.execute("UPDATE everwhen.checkpoints SET next_offset = 7")
        with connection.cursor().copy("COPY everwhen.thing__1_versions FROM STDIN"):
            for _ in range(2):
                with pytest.raises(StoreUnavailable, match="SQLSTATE 55P03"):
                    prepared(successor)
    (part,) = prepared(successor)
    assert part.claim.mark.next_offset == 7
    database.close()
    successor.close()


def test_a_claim_of_a_store_that_was_restored(tmp_path: Path) -> None:
    """After a restore the same epoch is given out twice; the owner's token tells the two apart."""
    path, backup = tmp_path / "store.db", tmp_path / "backup.db"
    store = SqlStore(f"sqlite:///{path}")
    store.prepare(blueprint())
    store.close()
    shutil.copy(path, backup)
    (zombie,) = prepared(SqlStore(f"sqlite:///{path}"))
    (successor,) = prepared(SqlStore(f"sqlite:///{backup}"))
    assert successor.claim.epoch == zombie.claim.epoch
    zombie.store = successor.store
    with pytest.raises(Fenced):
        zombie.write(Changes())
    successor.write(Changes())


def test_two_transactions_that_wait_for_each_other(postgres_url: str) -> None:
    """One of them is undone: that is no outage, and trying again at once is likely to help."""
    database = Database(postgres_url, Timeouts())
    with database.writing("setting up") as connection:
        connection.execute("CREATE TABLE numbers (n integer primary key)")
        connection.execute("INSERT INTO numbers VALUES (1), (2)")

    def lock(first: int, second: int) -> None:
        with database.writing("locking") as connection:
            connection.execute(f"SELECT * FROM numbers WHERE n = {first} FOR UPDATE")
            ready.wait(10)
            connection.execute(f"SELECT * FROM numbers WHERE n = {second} FOR UPDATE")

    ready = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        errors = [each.exception() for each in (pool.submit(lock, 1, 2), pool.submit(lock, 2, 1))]
    (conflict,) = filter(None, errors)
    assert isinstance(conflict, StoreConflict)
    assert "40P01" in str(conflict)
    database.close()


def test_too_many_connections_may_pass(postgres_url: str) -> None:
    """The server says it before there is a code to read."""
    psycopg = pytest.importorskip("psycopg")
    role = make_url(postgres_url).database
    limited = make_url(postgres_url).set(username=role, password="x")
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x' CONNECTION LIMIT 0")
        try:
            with pytest.raises(StoreUnavailable, match="too many connections for role"):
                SqlStore(limited).prepare(blueprint())
        finally:
            admin.execute(f"DROP ROLE {role}")


def test_a_lock_that_does_not_come(postgres_url: str) -> None:
    """A claim waits for the lock timeout and no longer."""
    store, other = SqlStore(postgres_url), SqlStore(postgres_url, timeouts=Timeouts(lock=0.1))
    (part,) = prepared(store)
    with store.batch(part.claim, 0, Mark(1, 1)), pytest.raises(StoreUnavailable, match="SQLSTATE 55P03"):
        prepared(other)
    assert part.store.reader("thing").marks()[0].next_offset == 1
    store.close()
    other.close()
