"""Telling that a batch was committed, and hearing of it: ``NOTIFY`` and ``LISTEN`` on PostgreSQL.

A transaction that notifies holds a lock of the whole server from before its commit until that is on disk, so that
notifications come in the order of commits: batches that did so themselves would be committed one by one, however many
workers there are. So a batch is told of after its commit, by a transaction that has nothing to bring to the disk. A
worker that dies in between tells nothing; whoever listens asks now and then anyway.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final

from everwhen.errors import EverwhenError
from everwhen.guard import Guard
from everwhen.ports.listening import Heard, Moved
from everwhen.sql.database import Database
from everwhen.sql.expressions import POSTGRESQL

_logger = logging.getLogger("everwhen.sql")

_LOOK_SECONDS: Final = 0.1
"""How often the thread looks whether it is still needed."""
_LINGER_SECONDS: Final = 5.0
"""How long it goes on when nobody listens, since the next one is likely to come soon."""
_RETRY_SECONDS: Final = 5.0
"""How long no connection is tried after one failed."""


class Listeners:
    """Those of one database, one for each projection. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._guard = Guard("what listens to batches")
        self._notifies = database.kind == POSTGRESQL
        self._lock = threading.Lock()
        self._listeners: dict[str, Listener] = {}

    def notification(self, projection: str, moved: Moved) -> str | None:
        """Return the statement that tells of a batch; ``None`` where the database cannot."""
        if not self._notifies:
            return None
        payload = ":".join(map(str, moved))
        return f"SET LOCAL synchronous_commit TO off; NOTIFY {_channel(projection)}, '{payload}'"

    @contextmanager
    def listening(self, projection: str, heard: Heard) -> Iterator[Listener]:
        """Have ``heard`` called after batches of the projection, where the database tells of them."""
        with self._lock:
            listener = self._listeners.setdefault(projection, Listener(self._database, projection))
        with listener.telling(heard) if self._notifies else nullcontext():
            yield listener

    def close(self) -> None:
        """End their threads. Idempotent; does nothing in a forked child, which has none of them."""
        if not self._guard.close():
            return
        with self._lock:
            listeners = list(self._listeners.values())
        for listener in listeners:
            listener.close()


class Listener:
    """A thread with a connection that listens to one projection, for all of this process who wait. Thread-safe.

    :ivar active: whether batches are heard of at this moment.
    """

    def __init__(self, database: Database, projection: str) -> None:
        self._database = database
        self._projection = projection
        self._lock = threading.Lock()
        self._heard: list[Heard] = []
        self._thread: threading.Thread | None = None
        self._not_before = 0.0
        self._needed_until = 0.0
        self._closed = False
        self.active = False

    @contextmanager
    def telling(self, heard: Heard) -> Iterator[None]:
        """Call ``heard`` while the context lasts."""
        with self._lock:
            self._heard.append(heard)
            if self._thread is None and not self._closed and time.monotonic() >= self._not_before:
                name = f"everwhen-listener-{self._projection}"
                self._thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._heard.remove(heard)
                self._needed_until = time.monotonic() + _LINGER_SECONDS

    def close(self) -> None:
        """End the thread and its connection."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        try:
            with self._database.detached(f"listening to projection {self._projection}") as raw:
                raw.execute(f"LISTEN {_channel(self._projection)}")
                self.active = True
                self._tell(None)  # what was committed before is not heard of
                while self._is_needed():
                    for notification in raw.notifies(timeout=_LOOK_SECONDS):
                        self._tell(_moved(notification.payload))
        except EverwhenError as error:
            _logger.debug("listening.failed %s", error, extra={"projection": self._projection})
            self._not_before = time.monotonic() + _RETRY_SECONDS
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread, self.active = None, False

    def _is_needed(self) -> bool:
        with self._lock:
            if not self._closed and (self._heard or time.monotonic() < self._needed_until):
                return True
            self._thread, self.active = None, False
            return False

    def _tell(self, moved: Moved | None) -> None:
        with self._lock:
            heard = list(self._heard)
        for each in heard:
            each(moved)


def _channel(projection: str) -> str:
    """Return the channel's name, quoted; a projection's name is made of lower-case letters, digits and underscores."""
    return f'"everwhen_{projection}"'


def _moved(payload: Any) -> Moved | None:
    """Read what a worker told; anyone may notify, so it may be anything."""
    try:
        return Moved(*map(int, payload.split(":")))
    except (ValueError, TypeError):
        return None
