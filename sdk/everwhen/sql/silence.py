"""A connection to PostgreSQL that is given up when nothing answers on it any more."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

from psycopg import Connection, OperationalError


class BoundedConnection(Connection[Any]):
    """A connection of psycopg's with a limit on how long each step of a statement may stay without an answer.

    The server's own timeouts do not help when the server hangs, and those of TCP do not when its kernel, or a proxy in
    between, goes on acknowledging.
    """

    answer_within: float | None = None
    """In seconds; ``None``: any time."""

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **options: Any) -> Any:
        """Run one of psycopg's generators, which it resumes several times a second while nothing happens."""
        limit = self.answer_within
        return super().wait(gen if limit is None else self._bounded(gen, limit), *args, **options)

    def _bounded(self, gen: Generator[Any, Any, Any], limit: float) -> Generator[Any, Any, Any]:
        deadline = time.monotonic() + limit
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > deadline:
                    # Closed, so that nothing else is sent on it and the pool throws it away.
                    self.pgconn.finish()
                    raise OperationalError(f"the server has not answered for {limit:.0f} s")
                wanted = gen.send(ready)
        except StopIteration as done:
            return done.value
