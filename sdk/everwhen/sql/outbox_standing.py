"""How an outbox stands: what waits in it, and who relays it."""

from __future__ import annotations

import time

from sqlalchemy import BigInteger, Connection, func, literal_column, select

from everwhen.instants import Micros
from everwhen.ports.outbox import Standing
from everwhen.sql.expressions import POSTGRESQL
from everwhen.sql.outbox_tables import OutboxTables


def database_now(connection: Connection) -> Micros:
    """Return the instant by the clock that relays are seen by: the database's own, a file's machine's."""
    if connection.dialect.name != POSTGRESQL:
        return time.time_ns() // 1000
    asked = literal_column("CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)", BigInteger)
    return int(connection.execute(select(asked)).scalar_one())


def standings(connection: Connection, tables: OutboxTables) -> list[Standing]:
    """Say of each topic that waits, or was ever relayed, how it stands; ordered by name.

    No row that was sent is read, however many there are.
    """
    rows, shards, relays = tables.outbox.c, tables.shards.c, tables.relays.c
    waiting = select(rows.aggregatetype, func.count(), func.min(rows.queued_at)).where(rows.sent_at.is_(None))
    backlogs = {
        topic: (events, oldest) for topic, events, oldest in connection.execute(waiting.group_by(rows.aggregatetype))
    }
    # count() leaves out those without an owner.
    owned = select(shards.topic, func.count(shards.owner).label("shards")).group_by(shards.topic)
    held: dict[str, int] = {each.topic: each.shards for each in connection.execute(owned)}
    seen = {
        topic: (number, latest)
        for topic, number, latest in connection.execute(
            select(relays.topic, func.count(), func.max(relays.seen_at)).group_by(relays.topic)
        )
    }
    now = database_now(connection)
    found = []
    for topic in sorted(backlogs.keys() | held.keys() | seen.keys()):
        number, latest = seen.get(topic, (0, None))
        silent = None if latest is None else max(0, now - latest)
        found.append(Standing(topic, *backlogs.get(topic, (0, None)), number, held.get(topic, 0), silent))
    return found
