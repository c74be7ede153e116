"""Appends records to one topic of a local log."""

from __future__ import annotations

import logging
import sqlite3
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from everwhen.errors import EventTooLarge, EverwhenError, PublishError
from everwhen.guard import Guard
from everwhen.local import headers as header_codec
from everwhen.local.database import check_topic, connect, find_topic, next_offset, writing
from everwhen.local.errors import translate
from everwhen.local.murmur2 import partition_of
from everwhen.positions import Position

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from everwhen.ports.clock import Clock
    from everwhen.ports.log import Acknowledged, Header, TopicDescription

_logger = logging.getLogger("everwhen.local")

SIZE_LIMIT = 999_488
"""Bytes of a record; what a Kafka producer with default settings takes, so that what works here works there."""

_QUEUED_BYTES = 64 << 20
_LONGEST_INSERT = 256
_COLUMNS = 5


_Queued: TypeAlias = "tuple[int, bytes, bytes | None, bytes, Acknowledged]"
"""Partition, key, value, headers, and whom to tell; a plain tuple because there is one for each record."""


class LocalWriter:
    """A :class:`~everwhen.ports.log.LogWriter` on a local log. Thread-safe.

    A thread of the writer takes what is queued, commits it in one transaction and calls ``acknowledged``. Offsets are
    given out inside the transaction, so the writers of several processes take turns and leave no hole. All records
    of one transaction get one ``recorded_at``, as those of one batch do from a broker.
    """

    def __init__(self, path: Path, described: TopicDescription, clock: Clock, queued_records: int) -> None:
        topic = described.name
        self._described = described
        self._guard = Guard(f"the writer of topic {topic!r}")
        self._where = f"log {path}"
        self._clock = clock
        self._connection = connect(path)
        try:
            self._topic = find_topic(self._connection, topic, self._where)
        except BaseException:
            self._connection.close()
            raise
        self._capacity = queued_records
        self._queue: list[_Queued] = []
        self._queued_bytes = 0
        self._unacknowledged = 0
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._progress = threading.Condition(self._lock)
        self._thread = threading.Thread(target=self._run, name=f"everwhen-writer-{topic}", daemon=True)
        self._thread.start()

    @property
    def described(self) -> TopicDescription:
        """The topic, as it was when the writer was opened."""
        return self._described

    @property
    def size_limit(self) -> int:
        """The largest record that is sent, in bytes of key, value and headers together."""
        return SIZE_LIMIT

    def send(self, key: bytes, value: bytes | None, headers: Sequence[Header], acknowledged: Acknowledged) -> None:
        """Queue one record; block while the queue is full. ``acknowledged`` is called by the writer's thread.

        :raises EventTooLarge: over :attr:`size_limit`.
        :raises PublishError: if the headers cannot be written.
        :raises ClosedError: after close, and in a forked child.
        """
        self._guard.check()
        try:
            encoded = header_codec.encode(headers)
        except ValueError as error:
            raise PublishError(f"topic {self._topic.name!r}: {error}") from None
        size = len(key) + (len(value) if value else 0) + len(encoded) - header_codec.framing(len(headers))
        if size > SIZE_LIMIT:
            raise EventTooLarge(
                f"topic {self._topic.name!r}: a record of {size} bytes is over the limit of {SIZE_LIMIT}; "
                "make the event smaller, or put the payload elsewhere and refer to it"
            )
        record = (partition_of(key, self._topic.partitions), key, value, encoded, acknowledged)
        with self._lock:
            while not self._guard.closed and self._is_full():
                self._room.wait()
            # Another thread may have closed the writer meanwhile, and then nobody would take the record.
            self._guard.check()
            self._queue.append(record)
            self._queued_bytes += size
            self._unacknowledged += 1
            if len(self._queue) == 1:
                self._work.notify()

    def poll(self, timeout: float) -> None:
        """Wait up to ``timeout`` seconds for the next acknowledgements; return at once if none is due.

        :raises ClosedError: after close, and in a forked child.
        """
        self._guard.check()
        with self._lock:
            if self._unacknowledged and timeout > 0:
                self._progress.wait(timeout)

    def flush(self, timeout: float | None = None) -> int:
        """Wait until all records are acknowledged or refused; return how many still are not after ``timeout``.

        Not to be called from ``acknowledged``, whose thread it waits for.

        :raises ClosedError: after close, and in a forked child.
        """
        self._guard.check()
        with self._lock:
            self._progress.wait_for(lambda: not self._unacknowledged, timeout)
            return self._unacknowledged

    def close(self) -> None:
        """Commit what is queued and free everything. Idempotent; does nothing in a forked child."""
        if not self._guard.close():
            return
        with self._lock:
            self._work.notify()
            self._room.notify_all()
        self._thread.join()
        self._connection.close()

    def _is_full(self) -> bool:
        return len(self._queue) >= self._capacity or self._queued_bytes > _QUEUED_BYTES

    def _run(self) -> None:
        while batch := self._take():
            outcome = self._append(batch)
            self._hand_out(batch, outcome)

    def _take(self) -> list[_Queued]:
        """Wait for work; an empty list when the writer is closed and everything is done."""
        with self._lock:
            while not self._queue and not self._guard.closed:
                self._work.wait()
            batch, self._queue = self._queue, []
            self._queued_bytes = 0
            self._room.notify_all()
            return batch

    def _append(self, batch: list[_Queued]) -> list[int] | EverwhenError:
        """Commit the batch; return the offset of each record, or why none of them was taken."""
        try:
            with writing(self._connection):
                check_topic(self._connection, self._topic, self._where)
                offsets, parameters = self._numbered(batch)
                self._insert(len(batch), parameters)
            return offsets
        except sqlite3.Error as error:
            refusal = PublishError(f"topic {self._topic.name!r}: not appended: {translate(error, self._where)}")
            refusal.__cause__ = error
            return refusal
        except EverwhenError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a clock that raises must not leave receipts waiting for ever
            refusal = PublishError(f"topic {self._topic.name!r}: not appended to {self._where}; see the cause")
            refusal.__cause__ = error
            return refusal

    def _numbered(self, batch: list[_Queued]) -> tuple[list[int], list[int | bytes | None]]:
        """Return the records' offsets, and their columns one after the other."""
        following: dict[int, int] = {}
        offsets = []
        parameters: list[int | bytes | None] = []
        for partition, key, value, headers, _ in batch:
            offset = following.get(partition)
            if offset is None:
                offset = next_offset(self._connection, self._topic.number, partition)
            following[partition] = offset + 1
            offsets.append(offset)
            parameters += (partition, offset, key, value, headers)
        return offsets, parameters

    def _insert(self, records: int, parameters: list[int | bytes | None]) -> None:
        shared = (self._topic.number, self._clock.now())
        done = 0
        while done < records:
            count = min(_LONGEST_INSERT, 1 << (records - done).bit_length() - 1)
            self._connection.execute(
                _insert_of(count), (*shared, *parameters[done * _COLUMNS : (done + count) * _COLUMNS])
            )
            done += count

    def _hand_out(self, batch: list[_Queued], outcome: list[int] | EverwhenError) -> None:
        if isinstance(outcome, EverwhenError):
            for *_, acknowledged in batch:
                self._tell(acknowledged, None, outcome)
        else:
            topic = self._topic.name
            for (partition, *_, acknowledged), offset in zip(batch, outcome, strict=True):
                self._tell(acknowledged, Position(topic, partition, offset), None)
        with self._lock:
            self._unacknowledged -= len(batch)
            self._progress.notify_all()

    @staticmethod
    def _tell(acknowledged: Acknowledged, position: Position | None, error: EverwhenError | None) -> None:
        try:
            acknowledged(position, error)
        except Exception:
            _logger.exception("callback.failed of a published record; the record itself is not affected")


# One statement for many rows, since sqlite3 gives the interpreter lock away at every step and a busy sender takes it:
# with one row a step, sending is a third slower.
@lru_cache
def _insert_of(rows: int) -> str:
    values = ",".join(
        f"(?1,?{p},?{p + 1},?2,?{p + 2},?{p + 3},?{p + 4})" for p in range(3, 3 + rows * _COLUMNS, _COLUMNS)
    )
    return f'INSERT INTO records (topic, partition, "offset", recorded_at, key, value, headers) VALUES {values}'  # noqa: S608 - only numbers of parameters
