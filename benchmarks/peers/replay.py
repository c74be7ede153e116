"""Runs eventsourcing in an environment of its own, which keeps streams and answers by replaying them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from examples.flights.model import Cancelled, Departed, Flight, Landed
from sqlalchemy import make_url

from benchmarks.peers.environment import Environment
from benchmarks.workload import Told

_HERE: Final = Path(__file__).parent
ENVIRONMENT: Final = Environment("replay", _HERE / "replay_requirements.txt")
_METHODS: Final[dict[type[Flight], str]] = {Departed: "depart", Landed: "land", Cancelled: "cancel"}


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
        return Replayed(*self._run("get", str(versions), str(times)))

    def write(self, file: Path) -> float:
        """Write the events of a file that :func:`write_events` made; return how many seconds that took."""
        seconds: float = self._run("write", str(file))
        return seconds

    def _run(self, what: str, *arguments: str) -> Any:
        return json.loads(
            ENVIRONMENT.run(str(_HERE / "replay_worker.py"), what, json.dumps(self._settings), *arguments)
        )


def version() -> str:
    """Return eventsourcing's; there must have been a :class:`Peer`."""
    return ENVIRONMENT.version("eventsourcing")


def write_events(file: Path, told: Iterable[Told]) -> None:
    """Write a file for :meth:`Peer.write`."""
    with file.open("w") as lines:
        for entity_id, event, _ in told:
            lines.write(json.dumps([entity_id, _METHODS[type(event)], event.model_dump()]) + "\n")
