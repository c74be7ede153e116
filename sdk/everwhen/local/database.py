"""The log's file: its tables, its connections, its transactions.

``topics.number`` is never given out twice, so the records of a dropped topic cannot turn up in a new one.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from everwhen.errors import LogError, SettingsError, TopicNotFound
from everwhen.local.errors import translated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT = 1
APPLICATION_ID = 0x45765768
"""Marks the file as ours in SQLite's own header; ``EvWh`` in ASCII."""

_BUSY_TIMEOUT = 30.0
"""Seconds that a transaction waits for another process's to end."""
_PAGE_BYTES = 8192
_CHECKPOINT_PAGES = 2000
_KEPT_STATEMENTS = 64

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE topics (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    topic_id TEXT NOT NULL,
    partitions INTEGER NOT NULL
);
CREATE TABLE records (
    topic INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    key BLOB,
    value BLOB,
    headers BLOB NOT NULL,
    PRIMARY KEY (topic, partition, "offset")
) WITHOUT ROWID;
CREATE TABLE members (
    topic INTEGER NOT NULL,
    group_name TEXT NOT NULL,
    member TEXT NOT NULL,
    joined INTEGER NOT NULL,
    beat_at REAL NOT NULL,
    session REAL NOT NULL,
    PRIMARY KEY (topic, group_name, member)
) WITHOUT ROWID;
CREATE TABLE shares (
    topic INTEGER NOT NULL,
    group_name TEXT NOT NULL,
    partition INTEGER NOT NULL,
    member TEXT NOT NULL,
    PRIMARY KEY (topic, group_name, partition)
) WITHOUT ROWID;
CREATE TABLE hints (
    topic INTEGER NOT NULL,
    group_name TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (topic, group_name, partition)
) WITHOUT ROWID;
"""


class _PatientConnection(sqlite3.Connection):
    """Waits for a process that was stopped while it held the file's shared index, as for any other lock.

    SQLite itself gives up after some 10 s with ``SQLITE_PROTOCOL``, whatever the timeout. It does so where a
    transaction begins (``walTryBeginRead`` in its wal.c), so nothing of the statement was done.
    """

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        deadline = time.monotonic() + _BUSY_TIMEOUT
        while True:
            try:
                return super().execute(*arguments)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_PROTOCOL or time.monotonic() > deadline:
                    raise


class TopicRow(NamedTuple):
    """One topic of the file."""

    number: int
    name: str
    topic_id: str
    partitions: int


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, making it and its directory if they are not there.

    The connection is in autocommit mode and may be passed between threads that take turns.

    :raises SettingsError: if the file is something else, or was written by a newer version of this package.
    :raises LogUnavailable: if it cannot be opened.
    """
    where = f"log {path}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{where}: its directory cannot be made: {error.strerror}") from error
    with translated(where):
        connection = sqlite3.connect(
            path,
            timeout=_BUSY_TIMEOUT,
            isolation_level=None,
            check_same_thread=False,
            factory=_PatientConnection,
            cached_statements=_KEPT_STATEMENTS,
        )
        try:
            _prepare(connection, where)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the block in one transaction that holds the file's only write lock from its start."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite may have rolled back by itself, as it does when the disk is full.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def find_topic(connection: sqlite3.Connection, name: str, where: str) -> TopicRow:
    """Return the topic.

    :raises TopicNotFound: if there is none of this name.
    """
    row = connection.execute("SELECT number, name, topic_id, partitions FROM topics WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise missing_topic(name, where)
    return TopicRow(*row)


def missing_topic(name: str, where: str) -> TopicNotFound:
    """Say that there is no such topic, and how to make it."""
    return TopicNotFound(
        f"topic {name!r} is not in {where}; create it with: everwhen topic create MODULE:TOPIC --log ..."
    )


def check_topic(connection: sqlite3.Connection, topic: TopicRow, where: str) -> None:
    """Check that the topic is still the one that was opened.

    :raises TopicNotFound: if it was deleted, also when there is a new one of its name.
    """
    if connection.execute("SELECT 1 FROM topics WHERE number = ?", (topic.number,)).fetchone() is None:
        raise TopicNotFound(f"topic {topic.name!r} was deleted from {where} while it was open; open it again")


def next_offset(connection: sqlite3.Connection, topic: int, partition: int) -> int:
    """Return the offset that comes after the partition's last record."""
    last = connection.execute(
        'SELECT max("offset") FROM records WHERE topic = ? AND partition = ?', (topic, partition)
    ).fetchone()[0]
    return 0 if last is None else int(last) + 1


def first_offset(connection: sqlite3.Connection, topic: int, partition: int) -> int:
    """Return the offset of the partition's first record; 0 if it has none."""
    first = connection.execute(
        'SELECT min("offset") FROM records WHERE topic = ? AND partition = ?', (topic, partition)
    ).fetchone()[0]
    return 0 if first is None else int(first)


def _prepare(connection: sqlite3.Connection, where: str) -> None:
    if not _is_ours(connection, where):
        # Both have an effect on a new file only; readers of another process go on while one writes.
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise LogError(
                f"{where}: its file system has no shared memory for SQLite's WAL; put the file on a local disk"
            )
        with writing(connection):
            if not _is_ours(connection, where):
                _create_tables(connection)
    # Survives the death of every process; a power cut may take the last commits. A broker is what survives that.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")


def _is_ours(connection: sqlite3.Connection, where: str) -> bool:
    """Whether the file is a log of ours; ``False`` for a new one."""
    application, version, tables = connection.execute(
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version), "
        "(SELECT count(*) FROM sqlite_schema)"
    ).fetchone()
    if application == APPLICATION_ID:
        if version != FORMAT:
            raise SettingsError(
                f"{where} has format {version}, and this version of everwhen reads format {FORMAT}; upgrade everwhen"
            )
        return True
    if tables or application:
        raise SettingsError(f"{where} is a database of something else; name another file for the log")
    return False


def _create_tables(connection: sqlite3.Connection) -> None:
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES ('cluster_id', ?)", (uuid.uuid4().hex,))
    connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
