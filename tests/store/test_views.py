"""The views on PostgreSQL that a BI tool reads."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from everwhen.ports.generations import Blueprint
from everwhen.projection.rows import Changes, Version
from everwhen.sql import SqlStore
from everwhen.testing.store_oracle import TOPIC
from everwhen.testing.store_samples import THINGS, Part, head, version

KINDS = {
    "name": "text",
    "size": "integer",
    "price": "number",
    "open": "boolean",
    "since": "instant",
    "day": "date",
    "ref": "uuid",
    "tags": "json",
}
STATE = {
    "name": 'O\'Neil "x" %s',
    "size": 2**80,
    "price": "12.50",
    "open": True,
    "since": "2026-03-01T12:00:00.000001+02:00",
    "day": "2026-03-01",
    "ref": "12345678-1234-5678-1234-567812345678",
    "tags": ["a"],
}
HOUR = 3_600_000_000
NOW = time.time_ns() // 1000


@pytest.fixture
def connection(postgres_url: str) -> Iterator[Any]:
    """A connection for looking at the views."""
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        yield connection


def write(url: str, columns: dict[str, str], rows: list[Version]) -> None:
    """Make a projection with these columns and write the rows."""
    store = SqlStore(url)
    generation = store.prepare(Blueprint("thing", 1, "a", TOPIC, tuple(columns.items())))
    part = Part(store, store.claim(generation, [0], THINGS)[0])
    part.write(Changes(inserted=rows, heads=[head(row) for row in {row.entity_id: row for row in rows}.values()]))
    store.close()


def row(entity_id: str, hours: int, offset: int, state: dict[str, Any] | None) -> Version:
    """A version that begins some hours from now."""
    return version(entity_id, NOW + hours * HOUR, offset, state=None if state is None else json.dumps(state))


def named(cursor: Any) -> list[dict[str, Any]]:
    """All rows, by column."""
    return [dict(zip([column.name for column in cursor.description], row, strict=True)) for row in cursor]


def test_columns_have_types(postgres_url: str, connection: Any) -> None:
    """Every kind, also when a state lacks the field."""
    write(postgres_url, KINDS, [row("a", -1, 0, STATE), row("b", -1, 1, {})])
    full, empty = named(connection.execute("SELECT * FROM everwhen.thing ORDER BY entity_id"))
    assert {name: full[name] for name in KINDS} == {
        "name": 'O\'Neil "x" %s',
        "size": Decimal(2**80),
        "price": Decimal("12.50"),
        "open": True,
        "since": datetime(2026, 3, 1, 10, 0, 0, 1, tzinfo=UTC),
        "day": date(2026, 3, 1),
        "ref": UUID(str(STATE["ref"])),
        "tags": ["a"],
    }
    assert [empty[name] for name in KINDS] == [None] * len(KINDS)


def test_current_is_what_is_valid_now(postgres_url: str, connection: Any) -> None:
    """Not what was deleted, and not yet what begins in the future."""
    rows = [
        row("deleted", -3, 0, {"name": "old"}),
        row("deleted", -2, 1, None),
        row("future", 5, 2, {"name": "new"}),
        row("both", -2, 3, {"name": "old"}),
        row("both", 5, 4, {"name": "new"}),
        row("tie", -1, 5, {"name": "first"}),
        row("tie", -1, 6, {"name": "second"}),
    ]
    write(postgres_url, {"name": "text"}, rows)
    found = connection.execute("SELECT entity_id, name FROM everwhen.thing ORDER BY entity_id").fetchall()
    assert found == [("both", "old"), ("tie", "second")]


def test_history_is_a_type_two_dimension(postgres_url: str, connection: Any) -> None:
    """Half-open intervals without gaps, one current row, and a key that is the same after a rebuild."""
    rows = [
        row("e", -3, 0, {"name": "a"}),
        row("e", -2, 1, None),
        row("e", -2, 2, {"name": "b"}),
        row("e", 5, 3, {"name": "c"}),
    ]
    write(postgres_url, {"name": "text"}, rows)
    found = named(connection.execute("SELECT * FROM everwhen.thing_history ORDER BY valid_from, event_type, name"))
    begins = [datetime.fromtimestamp(0, UTC) + timedelta(microseconds=each.valid_from) for each in rows]
    assert [each["valid_from"] for each in found] == begins
    assert sorted((each["valid_from"], each["valid_to"]) for each in found[:3]) == [
        (begins[0], begins[1]),
        (begins[1], begins[1]),
        (begins[1], begins[3]),
    ]
    assert found[3]["valid_to"] is None
    assert [each["name"] for each in found if each["is_current"]] == ["b"]
    assert [each["name"] for each in found if each["is_deleted"]] == [None]
    keys = {each["version_key"] for each in found}
    assert len(keys) == 4
    digest = connection.execute("SELECT md5(%s)", (f"e|{rows[0].valid_from}|0",)).fetchone()[0]
    assert found[0]["version_key"] == digest


def test_names_that_collide_get_a_suffix(postgres_url: str, connection: Any) -> None:
    """Ours stand first; a field of any name is still there."""
    odd = {"entity_id": "text", "valid_to": "text", "valid_to_": "text", "Öl %s \"q\" 'x' :y": "text", "x" * 70: "text"}
    write(postgres_url, odd, [row("e", -1, 0, {name: name for name in odd})])
    for view in ("thing", "thing_history"):
        (found,) = named(connection.execute(f"SELECT * FROM everwhen.{view}"))
        assert found["entity_id"] == "e"
        assert found["entity_id_"] == "entity_id"
        assert found["Öl %s \"q\" 'x' :y"] == "Öl %s \"q\" 'x' :y"
        assert {"valid_to", "valid_to_", "x" * 70} <= set(found.values())
