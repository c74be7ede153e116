"""L2 on SQLite: ``executemany`` of the rows, with the same settings of the connection as a store's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Final

from benchmarks.limits.fold import Batch
from benchmarks.limits.project import Claim

_MOVE: Final = """
    UPDATE everwhen_checkpoints SET next_offset = ?, watermark = ?
    WHERE projection = 'aircraft' AND number = 1 AND partition = ? AND owner = ? AND epoch = ? AND next_offset = ?
"""
_INSERT: Final = f"INSERT INTO everwhen_aircraft__1_versions VALUES ({', '.join('?' * 14)})"
_UPSERT: Final = """
    INSERT INTO everwhen_aircraft__1_entities (entity_id, partition, state, first_valid, last_valid, last_offset,
    versions, lead, withdrawals) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)
    ON CONFLICT (entity_id) DO UPDATE SET state = excluded.state, last_valid = excluded.last_valid,
    last_offset = excluded.last_offset, versions = versions + excluded.versions, lead = max(lead, excluded.lead)
"""
_key = itemgetter(0, 1, 2)


class SqliteSink:
    """Writes to the tables of generation 1 of ``aircraft``.

    :param url: a SQLAlchemy URL, as a worker has it.
    """

    def __init__(self, url: str, claims: Mapping[int, Claim]) -> None:
        self._connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-65536", "wal_autocheckpoint=8000"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._claims = claims

    def load(self, entity_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Return the stored states, as JSON."""
        text = "SELECT entity_id, state FROM everwhen_aircraft__1_entities WHERE entity_id = ?"
        for entity_id in entity_ids:
            yield from self._connection.execute(text, (entity_id,))

    def commit(self, batch: Batch, expected: Mapping[int, int]) -> None:
        """Move the checkpoints, then write the rows."""
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        for partition, (reached, recorded) in batch.reached.items():
            owner, epoch, _ = self._claims[partition]
            if run(_MOVE, (reached, recorded, partition, owner, epoch, expected[partition])).rowcount != 1:
                raise RuntimeError("another one has the partition")
        self._run_many(_INSERT, sorted(batch.rows, key=_key))  # rows that share a page while it is at hand
        self._run_many(_UPSERT, batch.heads.values())
        run("COMMIT")

    def _run_many(self, text: str, rows: Iterable[Sequence[object]]) -> None:
        self._connection.executemany(text, rows)
