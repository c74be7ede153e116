"""Runs eventsourcing in an environment of its own, which answers by replaying a stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import make_url

from benchmarks.peers.environment import Environment

_HERE: Final = Path(__file__).parent
ENVIRONMENT: Final = Environment("replay", _HERE / "replay_requirements.txt")


class Replayed(NamedTuple):
    """Medians of a question, in microseconds."""

    whole: float
    from_snapshot: float


class Peer:
    """eventsourcing, on PostgreSQL.

    :param url: an empty database, as SQLAlchemy writes it.
    :raises Unavailable: if it cannot be had.
    """

    def __init__(self, url: str) -> None:
        ENVIRONMENT.prepare()
        self.version = ENVIRONMENT.version("eventsourcing")
        parts = make_url(url)
        self._settings = {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": parts.database,
            "POSTGRES_HOST": parts.host,
            "POSTGRES_PORT": str(parts.port or 5432),
            "POSTGRES_USER": parts.username,
            "POSTGRES_PASSWORD": parts.password or "none",
        }

    def get(self, versions: int, times: int) -> Replayed:
        """Write an aggregate of so many versions, and get it at the last one some times."""
        arguments = json.dumps(self._settings), str(versions), str(times)
        return Replayed(*json.loads(ENVIRONMENT.run(str(_HERE / "replay_worker.py"), *arguments)))
