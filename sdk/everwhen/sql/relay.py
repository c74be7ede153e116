"""What a relay asks of an outbox: its share of the key space, what waits there, and to note what was sent.

A relay holds shards as a worker holds partitions: under a random token and an epoch. Clocks, the database's own, only
say when a relay has been silent for so long that others may take its shards; they never fence. What fences is the first
statement of the transaction that notes what was sent.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ARRAY,
    URL,
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Select,
    Text,
    Update,
    and_,
    bindparam,
    delete,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from everwhen.errors import StoreError
from everwhen.event import headers
from everwhen.instants import Micros, parse_instant
from everwhen.ports.outbox import SHARDS, Backlog, Pending
from everwhen.sql.database import Database
from everwhen.sql.engine import Timeouts
from everwhen.sql.expressions import POSTGRESQL
from everwhen.sql.outbox import CHANNEL
from everwhen.sql.outbox_standing import database_now
from everwhen.sql.outbox_tables import OutboxTables, outbox_tables

_SECOND: Final = 1_000_000


class _Keys(NamedTuple):
    """Columns of a table that is made of parameters."""

    id: ColumnElement[str]
    topic: ColumnElement[str]
    version: ColumnElement[int]


class SqlRelayStore:
    """Implements :class:`everwhen.ports.outbox.RelayStore` for one topic."""

    def __init__(self, target: str | URL | Engine, topic: str) -> None:
        self._database = Database(target, Timeouts())
        self._tables: OutboxTables = outbox_tables(self._database.kind)
        self._topic = topic
        self._is_postgresql = self._database.kind == POSTGRESQL
        self._listening: Any = None

    @property
    def address(self) -> str:
        """Where it is, without secrets."""
        return self._database.address

    def check(self) -> None:
        """Make sure that the tables are there, and a row for each shard."""
        self._tables.check(self._database)
        rows = [{"topic": self._topic, "shard": shard, "epoch": 0, "renewed_at": 0} for shard in range(SHARDS)]
        insert = (postgresql if self._is_postgresql else sqlite).insert(self._tables.shards)
        with self._database.core("preparing the shards of an outbox") as connection:
            connection.execute(insert.on_conflict_do_nothing(), rows)

    def share(self, owner: str, held: Mapping[int, int], lease: float) -> dict[int, int]:
        """Renew, give back and take shards, so that all relays of the topic have about as many."""
        with self._database.core("sharing the shards of an outbox") as connection:
            now = database_now(connection)
            expired = now - round(lease * _SECOND)
            fair = -(-SHARDS // self._relays(connection, owner, now, expired))
            mine = self._renewed(connection, owner, held, now)
            for shard in sorted(mine)[fair:]:
                self._free(connection, owner, [shard])
                del mine[shard]
            return mine | self._taken(connection, owner, fair - len(mine), now, expired)

    def renew(self, owner: str, held: Mapping[int, int]) -> None:
        """Say that this relay lives, without giving or taking anything."""
        relays = self._tables.relays
        with self._database.core("renewing the shards of an outbox") as connection:
            now = database_now(connection)
            connection.execute(
                update(relays).where(relays.c.topic == self._topic, relays.c.owner == owner).values(seen_at=now)
            )
            self._renewed(connection, owner, held, now)

    def pending(self, shards: Collection[int], records: int) -> list[Pending]:
        """Return what waits in these shards, for each entity from its first on without a hole."""
        if not shards:
            return []
        each = max(1, records // len(shards))
        with self._database.core("reading an outbox", reading=True) as connection:
            self._plan_seeks(connection)
            asked = union_all(*(select(self._waiting(shard, each).subquery()) for shard in sorted(shards)))
            return [_pending(row) for row in connection.execute(asked)]

    def done(self, owner: str, held: Mapping[int, int], sent: Sequence[Pending], at: Micros) -> set[int]:
        """Note in one transaction that these stand in the log; return the shards that are still held."""
        with self._database.core("noting what was sent") as connection:
            kept = set(self._renewed(connection, owner, held, database_now(connection)))
            if ours := [event for event in sent if event.shard in kept]:
                self._plan_seeks(connection)
                self._mark(connection, ours, at)
            return kept

    def leave(self, owner: str) -> None:
        """Give all shards back."""
        relays = self._tables.relays
        with self._database.core("giving the shards of an outbox back") as connection:
            self._free(connection, owner, range(SHARDS))
            connection.execute(delete(relays).where(relays.c.topic == self._topic, relays.c.owner == owner))

    def remove(self, before: Micros, records: int) -> int:
        """Remove rows that were sent before an instant; return how many were looked at."""
        rows = self._tables.outbox.c
        old = (
            select(rows.aggregateid, rows.version)
            .where(
                rows.aggregatetype == self._topic,
                rows.sent_at.is_not(None),
                rows.payload.is_not(None),
                rows.sent_at < before,
            )
            .order_by(rows.sent_at)
            .limit(records)
            .with_for_update(skip_locked=True)
        )
        with self._database.core("removing what was sent") as connection:
            self._plan_seeks(connection)
            found = connection.execute(old).all()
            last: dict[str, int] = {}
            for entity_id, version in found:
                last[entity_id] = max(version, last.get(entity_id, 0))
            if last:
                self._forget(connection, list(last.items()))
            return len(found)

    def backlog(self) -> Backlog:
        """Say how much waits."""
        rows = self._tables.outbox.c
        asked = select(func.count(), func.min(rows.queued_at)).where(
            rows.aggregatetype == self._topic, rows.sent_at.is_(None)
        )
        with self._database.core("measuring an outbox", reading=True) as connection:
            return Backlog(*connection.execute(asked).one())

    def wait(self, seconds: float) -> bool:
        """Wait for so long at most; return whether the database has told that something was published."""
        if not self._is_postgresql:
            time.sleep(seconds)
            return False
        try:
            if self._listening is None:
                self._listening = self._listen()
                return True  # what came before was not told
            return any(told.payload == self._topic for told in self._listening.notifies(timeout=seconds, stop_after=1))
        except Exception:  # noqa: BLE001 - to be told is a favour; what is wrong with the database the next question says
            self._hang_up()
            time.sleep(seconds)
            return False

    def close(self) -> None:
        """Free everything. Idempotent."""
        self._hang_up()
        self._database.close()

    def _plan_seeks(self, connection: Connection) -> None:
        """Have the key of each row looked up: statistics lag behind a table that fills and empties."""
        if self._is_postgresql:
            for way in ("seqscan", "bitmapscan", "material", "hashjoin", "mergejoin"):
                connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")

    def _listen(self) -> Any:
        lent = self._database.engine.raw_connection()
        raw: Any = lent.driver_connection
        lent.detach()  # it is never given back to the pool, which would have to make it forget that it listens
        raw.autocommit = True
        raw.execute(f"LISTEN {CHANNEL}")
        return raw

    def _hang_up(self) -> None:
        if self._listening is not None:
            with suppress(Exception):
                self._listening.close()
            self._listening = None

    def _relays(self, connection: Connection, owner: str, now: Micros, expired: Micros) -> int:
        """Say that this relay lives; return how many do."""
        relays = self._tables.relays
        insert = (postgresql if self._is_postgresql else sqlite).insert(relays)
        connection.execute(
            insert.values(topic=self._topic, owner=owner, seen_at=now).on_conflict_do_update(
                index_elements=[relays.c.topic, relays.c.owner], set_={"seen_at": now}
            )
        )
        connection.execute(delete(relays).where(relays.c.topic == self._topic, relays.c.seen_at < expired))
        asked = select(func.count()).select_from(relays).where(relays.c.topic == self._topic)
        return int(connection.execute(asked).scalar_one())

    def _renewed(self, connection: Connection, owner: str, held: Mapping[int, int], now: Micros) -> dict[int, int]:
        """Say that shards are still held; return those that are."""
        if not held:
            return {}
        shards = self._tables.shards
        renewing = (
            update(shards)
            .where(
                shards.c.topic == self._topic,
                shards.c.owner == owner,
                tuple_(shards.c.shard, shards.c.epoch).in_(sorted(held.items())),
            )
            .values(renewed_at=now)
            .returning(shards.c.shard, shards.c.epoch)
        )
        return {row.shard: row.epoch for row in connection.execute(renewing)}

    def _free(self, connection: Connection, owner: str, given: Collection[int]) -> None:
        shards = self._tables.shards
        connection.execute(
            update(shards)
            .where(shards.c.topic == self._topic, shards.c.owner == owner, shards.c.shard.in_(given))
            .values(owner=None)
        )

    def _taken(self, connection: Connection, owner: str, wanted: int, now: Micros, expired: Micros) -> dict[int, int]:
        if wanted <= 0:
            return {}
        shards = self._tables.shards
        free = and_(shards.c.topic == self._topic, or_(shards.c.owner.is_(None), shards.c.renewed_at < expired))
        # Who comes second to a row looks at it again once the first one has committed, so none is taken twice.
        chosen = select(shards.c.shard).where(free).order_by(shards.c.shard).limit(wanted)
        if self._is_postgresql:
            chosen = chosen.with_for_update(skip_locked=True)
        numbers = connection.execute(chosen).scalars().all()
        taking: Update = (
            update(shards)
            .where(free, shards.c.shard.in_(numbers))
            .values(owner=owner, epoch=shards.c.epoch + 1, renewed_at=now)
        )
        taken = taking.returning(shards.c.shard, shards.c.epoch)
        return {row.shard: row.epoch for row in connection.execute(taken)}

    def _waiting(self, shard: int, records: int) -> Select[Any]:
        table = self._tables.outbox
        rows = table.c
        return (
            select(table)
            .where(rows.aggregatetype == self._topic, rows.shard == shard, rows.sent_at.is_(None))
            .order_by(rows.queued_at)
            .limit(records)
        )

    def _mark(self, connection: Connection, sent: Sequence[Pending], at: Micros) -> None:
        rows = self._tables.outbox.c
        keys, values = self._keys([(each.entity_id, each.version) for each in sent])
        marking = (
            update(self._tables.outbox)
            .where(rows.aggregateid == keys.id, rows.aggregatetype == keys.topic, rows.version == keys.version)
            .values(sent_at=at)
        )
        connection.execute(marking, values)

    def _forget(self, connection: Connection, last: Sequence[tuple[str, int]]) -> None:
        """Remove all rows before these, and the payload of these."""
        rows = self._tables.outbox.c
        keys, values = self._keys(last)
        older = and_(rows.aggregateid == keys.id, rows.aggregatetype == keys.topic, rows.version < keys.version)
        same = and_(rows.aggregateid == keys.id, rows.aggregatetype == keys.topic, rows.version == keys.version)
        # Another relay that removes rows of the same entities has some of them: waiting for it while it waits for us
        # would end in a deadlock. What it leaves goes with the entity's next removal.
        found = select(rows.aggregateid, rows.version).where(older).with_for_update(skip_locked=True)
        gone = connection.execute(found, values).all()
        if gone:
            also, many = self._keys([(entity_id, version) for entity_id, version in gone])
            doomed = tuple_(rows.aggregateid, rows.aggregatetype, rows.version)
            connection.execute(delete(self._tables.outbox).where(doomed.in_(select(*also))), many)
        connection.execute(update(self._tables.outbox).where(same).values(payload=None), values)

    def _keys(self, keys: Sequence[tuple[str, int]]) -> tuple[_Keys, dict[str, Any]]:
        """Return a table of keys, and the parameters that fill it: one statement for all, whatever their number."""
        if self._is_postgresql:
            values = {
                "key_ids": [entity_id for entity_id, _ in keys],
                "key_topics": [self._topic] * len(keys),  # were it a constant, it alone would seem to be enough to seek
                "key_versions": [version for _, version in keys],
            }
            kinds = zip(values, (Text, Text, BigInteger), strict=True)
            arrays: list[Any] = [bindparam(name, type_=ARRAY(kind)) for name, kind in kinds]
            table = func.unnest(*arrays).table_valued("id", "topic", "version").render_derived(name="keys")
            # With the columns' own collation, or no index would do.
            return _Keys(table.c.id.collate("C"), table.c.topic.collate("C"), table.c.version), values
        each = func.json_each(bindparam("keys", type_=Text)).table_valued("value", name="keys")
        chosen = select(
            func.json_extract(each.c.value, "$[0]").label("id"),
            literal(self._topic).label("topic"),
            func.json_extract(each.c.value, "$[1]").label("version"),
        ).subquery("chosen")
        return _Keys(chosen.c.id, chosen.c.topic, chosen.c.version), {"keys": json.dumps(keys)}


def _pending(row: Any) -> Pending:
    built = headers.build(
        id=row.id,
        source=row.ce_source,
        type=row.type,
        entity_id=row.aggregateid,
        occurred_at=parse_instant(row.ce_time, "ce_time"),
        correlation_id=row.ce_correlationid,
        causation_id=row.ce_causationid,
        traceparent=row.traceparent,
        tracestate=row.tracestate,
        withdraws=row.ce_withdraws,
    )
    if row.payload is None:
        raise StoreError(
            f"version {row.version} of entity {row.aggregateid!r} has lost its payload before it was sent; "
            "publish the event again with Publisher, under the same event id, and set sent_at of the row"
        )
    return Pending(row.shard, row.aggregateid, row.version, row.queued_at, bytes(row.payload), built)
