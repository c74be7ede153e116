"""The points of a worker at which it can be stopped, put around the ports and around the database driver.

The product's code is not touched. Points: P1 fetched, P2 decode and P3 fold, both in the transaction, P4 transaction
open before the fence, P5 after the fence before the commit, P5c in the middle of the rows of a COPY, P6 commit sent and
its answer not taken, P7 after the commit before the hint, P8 claim, P9 partitions revoked, P10 shutdown.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import psycopg
from sqlalchemy import Engine, event

from everwhen.errors import Fenced
from everwhen.ports.log import AssignmentListener, Chunk, Log, LogConsumer
from everwhen.ports.store import Claim, Store, StoreBatch
from everwhen.positions import Mark


@dataclass(frozen=True)
class Plan:
    """Where a worker is to stop.

    :ivar phase: the point; empty: nowhere.
    :ivar batches: how many it commits before.
    :ivar skip: how often it passes the point after that.
    :ivar race: in P6: do not wait, so that the kill meets the commit on its way.
    """

    phase: str = ""
    batches: int = 1
    skip: int = 0
    race: bool = False


class Hooks:
    """Tells the harness how far the worker is, and holds it at one point. Thread-safe."""

    def __init__(self, plan: Plan, harness: Connection[Any, Any]) -> None:
        self.stopping = False
        self.batch: tuple[int, int] | None = None
        self.plan = plan
        self._harness = harness
        self._commits = 0
        self._skip = plan.skip
        self._fired = False
        self._lock = threading.Lock()
        self.hinting = threading.RLock()
        """Held while a hint is written, and while the worker stands at a point: a process that is paused in the middle
        of a hint would hold the local log's file, and nobody could publish."""

    def reached(self, phase: str) -> None:
        """Pass a point, or stop at it until the harness says so."""
        if phase != self.plan.phase or self._fired or self._commits < self.plan.batches:
            return
        with self.hinting:
            with self._lock:
                if self._fired or self._skip:
                    self._skip -= 1
                    return
                self._fired = True
                self._harness.send(("at", phase))
            if not self.plan.race:
                self._harness.recv()

    def say(self, *what: Any) -> None:
        """Tell the harness something."""
        with self._lock:
            self._harness.send(what)

    def committed(self, claim: Claim, reached: Mark) -> None:
        """Tell that a batch was committed."""
        self._commits += 1
        self.say("committed", claim.partition, claim.epoch, reached.next_offset)

    def execute(self, run: Any, text: Any) -> Any:
        """Run a statement of the driver; a batch's BEGIN and COMMIT are points."""
        is_commit = self.batch is not None and text == "COMMIT"
        if is_commit and self.plan.race:
            self.reached("P6")
        result = run()
        if is_commit and not self.plan.race:
            self.reached("P6")
        if self.batch is not None and isinstance(text, str) and text.startswith("BEGIN"):
            self.reached("P4")
        return result


def watch(engine: Engine, hooks: Hooks) -> None:
    """Have every connection of the engine pass the points P4 and P6."""

    class Lite(sqlite3.Connection):
        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            found: sqlite3.Cursor = hooks.execute(lambda: super(Lite, self).execute(sql, parameters), sql)
            return found

    class Copying(psycopg.Cursor[Any]):
        @contextmanager
        def copy(self, *arguments: Any, **options: Any) -> Iterator[psycopg.Copy]:
            with super().copy(*arguments, **options) as copy:
                yield copy
                hooks.reached("P5c")

    @event.listens_for(engine, "do_connect")
    def choose(dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
        if dialect.name == "sqlite":
            options["factory"] = Lite

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        if not isinstance(connection, sqlite3.Connection):
            connection.cursor_factory = Copying
            execute = connection.execute
            connection.execute = lambda query, *args, **options: hooks.execute(
                lambda: execute(query, *args, **options), query
            )


class HookedStore:
    """A store whose claims and batches are points. Everything else is the store's own."""

    def __init__(self, store: Store, hooks: Hooks) -> None:
        self._store = store
        self._hooks = hooks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def claim(self, *arguments: Any) -> dict[int, Claim]:
        self._hooks.reached("P8")
        claims = self._store.claim(*arguments)
        for claim in claims.values():
            self._hooks.say("claimed", claim.partition, claim.epoch, claim.mark.next_offset)
        self._hooks.reached("P8")
        return claims

    @contextmanager
    def batch(self, claim: Claim, expected: int, reached: Mark, **more: Any) -> Iterator[StoreBatch]:
        self._hooks.batch = claim.partition, claim.epoch
        try:
            with self._store.batch(claim, expected, reached, **more) as opened:
                self._hooks.reached("P5")
                yield opened
                self._hooks.reached("P5")
        except Fenced:
            self._hooks.say("fenced", claim.partition, claim.epoch)
            raise
        finally:
            self._hooks.batch = None
        self._hooks.committed(claim, reached)
        self._hooks.reached("P7")

    def close(self) -> None:
        self._hooks.reached("P10")
        self._store.close()


class HookedLog:
    """A log whose polls, revocations and ends are points."""

    def __init__(self, log: Log, hooks: Hooks) -> None:
        self._log = log
        self._hooks = hooks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def consumer(
        self, topic: str, listener: AssignmentListener, *, group: str, partitions: Sequence[int] | None = None
    ) -> Any:
        hooked = _Listener(listener, self._hooks)
        return _Consumer(self._log.consumer(topic, hooked, group=group, partitions=partitions), self._hooks)

    def close(self) -> None:
        self._hooks.reached("P10")
        self._log.close()


class _Consumer:
    def __init__(self, consumer: LogConsumer, hooks: Hooks) -> None:
        self._consumer = consumer
        self._hooks = hooks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    def poll(self, max_records: int, timeout: float) -> Chunk:
        chunk = self._consumer.poll(max_records, timeout)
        if chunk.records:
            self._hooks.reached("P1")
        return chunk

    def hint(self, next_offsets: Mapping[int, int]) -> None:
        with self._hooks.hinting:
            self._consumer.hint(next_offsets)

    def close(self) -> None:
        self._hooks.reached("P10")
        self._consumer.close()
        self._hooks.reached("P10")


class _Listener:
    def __init__(self, listener: AssignmentListener, hooks: Hooks) -> None:
        self._listener = listener
        self._hooks = hooks

    def assigned(self, partitions: Sequence[int]) -> Any:
        return self._listener.assigned(partitions)

    def revoked(self, partitions: Sequence[int], *, lost: bool) -> None:
        self._hooks.reached("P9")
        self._listener.revoked(partitions, lost=lost)
        self._hooks.reached("P9")
