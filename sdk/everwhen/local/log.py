"""The local log: one SQLite file in place of a broker, for development, tests and a first try."""

from __future__ import annotations

import threading
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from everwhen.errors import ArgumentError, SettingsError
from everwhen.guard import Guard
from everwhen.local.consumer import LocalConsumer
from everwhen.local.database import connect, find_topic, first_offset, missing_topic, next_offset, writing
from everwhen.local.errors import translated
from everwhen.local.writer import LocalWriter
from everwhen.ports.clock import Clock, SystemClock
from everwhen.ports.log import AssignmentListener, Bounds, Retention, TopicDescription, TopicProblem

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence
    from os import PathLike

    from everwhen.instants import Micros


class LocalLog:
    """A :class:`~everwhen.ports.log.Log` in one SQLite file that several processes may share. Thread-safe.

    Same partitions, offsets, recorded times and atomic appends as Kafka's, but it is no broker: it lives on one
    machine's disk. An acknowledged record survives the death of every process (``kill -9``); a power cut may take
    the last ones, since the file is written with ``synchronous = NORMAL``. It does not work on a network file system.

    The file and its directory are made by :meth:`create_topic`. ``recorded_at`` is the clock's, and may go backwards
    with it as a broker's may.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        clock: Clock | None = None,
        session_timeout: float = 6.0,
        queued_records: int = 10_000,
    ) -> None:
        """Name the file; nothing is opened yet.

        :param path: the file.
        :param clock: gives ``recorded_at``; the machine's clock by default.
        :param session_timeout: seconds without a poll after which a consumer's partitions go to others of its group.
        :param queued_records: how many records a writer holds before ``send`` blocks.
        :raises SettingsError: for a path or a number that cannot be meant.
        """
        if str(path) in {"", ":memory:"}:
            raise SettingsError("a local log is a file that several connections share; name one, such as log.db")
        if session_timeout <= 0 or queued_records < 1:
            raise SettingsError("session_timeout and queued_records of a local log must be greater than 0")
        # Absolute now, so that a later chdir does not begin a second log.
        self._path = Path(path).absolute()
        self._clock = clock or SystemClock()
        self._session_timeout = session_timeout
        self._queued_records = queued_records
        self._guard = Guard(f"log {self._path}")
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @property
    def address(self) -> str:
        """The file, as a URL."""
        return f"sqlite:///{self._path}"

    def writer(self, topic: str) -> LocalWriter:
        """Open a writer; it has a thread and a connection of its own.

        :raises TopicNotFound: if there is no such topic.
        """
        return LocalWriter(self._path, self.describe(topic), self._clock, self._queued_records)

    def consumer(
        self, topic: str, listener: AssignmentListener, *, group: str, partitions: Sequence[int] | None = None
    ) -> LocalConsumer:
        """Open a consumer that shares the topic's partitions with its ``group``, or reads exactly ``partitions``.

        :raises TopicNotFound: if there is no such topic or partition.
        """
        self._look_for_file(topic)
        return LocalConsumer(
            self._path,
            topic,
            listener,
            group=group,
            partitions=partitions,
            session=self._session_timeout,
            ends=self.ends,
            hint=self.hint,
        )

    def describe(self, topic: str) -> TopicDescription:
        """Identify the topic.

        :raises TopicNotFound: if there is no such topic, or no such file.
        """
        self._look_for_file(topic)
        with self._open() as connection:
            row = find_topic(connection, topic, self._where)
            cluster_id = connection.execute("SELECT value FROM meta WHERE name = 'cluster_id'").fetchone()[0]
        return TopicDescription(row.name, row.partitions, cluster_id, row.topic_id)

    def create_topic(self, topic: str, partitions: int, *, replication: int | None = None) -> bool:
        """Create the topic; return ``False`` if it is there already. There is nothing to replicate to.

        :raises ArgumentError: for less than one partition or an empty name.
        """
        if partitions < 1 or not topic:
            raise ArgumentError(f"topic {topic!r}: it needs a name and at least one partition, not {partitions}")
        with self._open() as connection, writing(connection):
            created = connection.execute(
                "INSERT INTO topics (name, topic_id, partitions) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (topic, uuid.uuid4().hex, partitions),
            ).rowcount
        return created == 1

    def delete_topic(self, topic: str) -> None:
        """Delete the topic and all its records. Who has it open gets :class:`TopicNotFound`.

        :raises TopicNotFound: if there is no such topic.
        """
        with self._open() as connection, writing(connection):
            number = find_topic(connection, topic, self._where).number
            for table in ("records", "members", "shares", "hints"):
                connection.execute(f"DELETE FROM {table} WHERE topic = ?", (number,))  # noqa: S608 - our own names
            connection.execute("DELETE FROM topics WHERE number = ?", (number,))

    def topic_problems(self, topic: str) -> list[TopicProblem]:
        """Return nothing: a topic in the file has no settings.

        :raises TopicNotFound: if there is no such topic.
        """
        self.describe(topic)
        return []

    def retention(self, topic: str) -> Retention | None:
        """Return ``None``: everything is kept.

        :raises TopicNotFound: if there is no such topic.
        """
        self.describe(topic)
        return None

    def first_since(self, topic: str, instants: Mapping[int, Micros]) -> dict[int, tuple[int, Micros]]:
        """Find the first record of each partition that was recorded at an instant or later. Reads a partition through.

        :raises TopicNotFound: if there is no such topic.
        """
        found: dict[int, tuple[int, Micros]] = {}
        with self._open() as connection:
            number = find_topic(connection, topic, self._where).number
            for partition, since in instants.items():
                row = connection.execute(
                    'SELECT "offset", recorded_at FROM records WHERE topic = ? AND partition = ? AND recorded_at >= ? '
                    'ORDER BY "offset" LIMIT 1',
                    (number, partition, since),
                ).fetchone()
                if row is not None:
                    found[partition] = row
        return found

    def ends(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        """Return the offset after the last record of each partition.

        :raises TopicNotFound: if there is no such topic.
        """
        with self._open() as connection:
            row = find_topic(connection, topic, self._where)
            return {partition: next_offset(connection, row.number, partition) for partition in partitions}

    def bounds(self, topic: str, partitions: Sequence[int]) -> dict[int, Bounds]:
        """Return where partitions begin and end. Nothing removes records from the file but somebody's hand.

        :raises TopicNotFound: if there is no such topic.
        """
        with self._open() as connection:
            row = find_topic(connection, topic, self._where)
            return {
                partition: Bounds(
                    first_offset(connection, row.number, partition), next_offset(connection, row.number, partition)
                )
                for partition in partitions
            }

    def hint(self, topic: str, group: str, next_offsets: Mapping[int, int]) -> None:
        """Write down how far a group is, in the table ``hints``."""
        with self._open() as connection, writing(connection):
            row = find_topic(connection, topic, self._where)
            connection.executemany(
                "INSERT INTO hints VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset",
                [(row.number, group, partition, offset) for partition, offset in next_offsets.items()],
            )

    def close(self) -> None:
        """Free everything of the log itself; writers and consumers are closed by themselves. Idempotent."""
        if not self._guard.close():
            return
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @property
    def _where(self) -> str:
        return f"log {self._path}"

    def _look_for_file(self, topic: str) -> None:
        """Only :meth:`create_topic` makes the file: a mistyped path must not leave one behind."""
        self._guard.check()
        if not self._path.exists():
            raise missing_topic(topic, self._where)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self._guard.check()
        with self._lock, translated(self._where):
            if self._connection is None:
                self._connection = connect(self._path)
            yield self._connection
