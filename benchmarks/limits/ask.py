"""L3: one entity at one instant, by the statement that a careful user would write, on one connection of the driver.

It gives what an answer is made of: the version, where the next one begins, what an answer's status depends on, and how
far each partition is projected. Nothing is turned into objects.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

import psycopg

from everwhen.instants import Micros

Ask: TypeAlias = Callable[[str, datetime], tuple[Any, ...]]

_POSTGRES = """
SELECT v.state::text, v.valid_from, v.recorded_at, v.event_id, v.event_type, v.partition, v."offset",
  (SELECT valid_from FROM everwhen.{versions} WHERE entity_id = %(id)s AND valid_from > %(at)s
   ORDER BY valid_from, "offset" LIMIT 1),
  ARRAY(SELECT next_offset FROM everwhen.checkpoints WHERE projection = 'aircraft' AND number = 1 ORDER BY partition),
  ARRAY(SELECT watermark FROM everwhen.checkpoints WHERE projection = 'aircraft' AND number = 1 ORDER BY partition),
  e.partition, e.quarantined_offset, e.unstored_offset, e.pruned_before
FROM everwhen.{entities} e LEFT JOIN (
  SELECT * FROM everwhen.{versions} WHERE entity_id = %(id)s AND valid_from <= %(at)s
  ORDER BY valid_from DESC, "offset" DESC LIMIT 1) v ON true
WHERE e.entity_id = %(id)s
""".format(versions="aircraft__1_versions", entities="aircraft__1_entities")

_SQLITE = """
SELECT v.state, v.valid_from, v.recorded_at, v.event_id, v.event_type, v.partition, v."offset",
  (SELECT valid_from FROM {versions} WHERE entity_id = ?1 AND valid_from > ?2 ORDER BY valid_from, "offset" LIMIT 1),
  (SELECT group_concat(next_offset || ':' || watermark) FROM everwhen_checkpoints
   WHERE projection = 'aircraft' AND number = 1),
  e.partition, e.quarantined_offset, e.unstored_offset, e.pruned_before
FROM {entities} e LEFT JOIN (
  SELECT * FROM {versions} WHERE entity_id = ?1 AND valid_from <= ?2
  ORDER BY valid_from DESC, "offset" DESC LIMIT 1) v
WHERE e.entity_id = ?1
""".format(versions="everwhen_aircraft__1_versions", entities="everwhen_aircraft__1_entities")


def connect(url: str) -> psycopg.Connection[Any]:
    """Open a connection to a store on PostgreSQL that prepares every statement."""
    connection = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
    connection.prepare_threshold = 0
    return connection


def analyze(url: str) -> None:
    """Let PostgreSQL look at its tables, as it does by itself a minute after they were filled."""
    with connect(url) as connection:
        connection.execute("VACUUM ANALYZE")


def postgres(connection: psycopg.Connection[Any]) -> Ask:
    """Return what asks PostgreSQL; the cursor is kept, and rows come in binary, which is quicker."""
    cursor = connection.cursor(binary=True)

    def ask(entity_id: str, valid_at: datetime) -> Any:
        return cursor.execute(_POSTGRES, {"id": entity_id, "at": valid_at}).fetchone()

    return ask


def select_one(connection: psycopg.Connection[Any]) -> Ask:
    """Return what asks PostgreSQL for nothing."""
    cursor = connection.cursor()

    def ask(_entity_id: str, _valid_at: datetime) -> Any:
        return cursor.execute("SELECT 1").fetchone()

    return ask


def sqlite(file: str) -> tuple[sqlite3.Connection, Callable[[str, Micros], Any]]:
    """Return what asks SQLite, and its connection, which has the settings of ours."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA cache_size=-65536")
    return connection, lambda entity_id, valid_at: connection.execute(_SQLITE, (entity_id, valid_at)).fetchone()
