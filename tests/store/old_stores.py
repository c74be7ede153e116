"""Stores that an earlier version of this package made, frozen as SQL, and what a database says of its tables and rows.

``version_2`` holds two projections with late, corrected and withdrawn events, beliefs that are not stored, a conflict,
a deleted and a parked entity. The files were written by the code of that version and are never edited.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine, create_engine, inspect, text

from everwhen.ports.generations import Blueprint

FOLDER = Path(__file__).parent / "version_2"
FINGERPRINT = "e04b86e2368ae657"
BLUEPRINTS = (
    Blueprint("ledger", 1, FINGERPRINT, "ledger", (("notes", "json"),)),
    Blueprint("other_one", 1, FINGERPRINT, "few", (("notes", "json"),)),
)
_SHAPE = {
    "columns": """
        SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, co.collname,
               pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum), c.relkind, c.reloptions
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_collation co ON co.oid = a.attcollation
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'everwhen'::regnamespace AND c.relkind IN ('r', 'v')""",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'everwhen'",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'everwhen'::regnamespace""",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'everwhen'",
}


def make(url: str) -> str:
    """Make the store of version 2 in an empty database; return its URL."""
    if url.startswith("sqlite:///"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        connection.executescript((FOLDER / "sqlite.sql").read_text())
        connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
    else:
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as server:
            server.execute((FOLDER / "postgresql.sql").read_bytes())
    return url


def shape(engine: Engine) -> dict[str, Any]:
    """Tables, columns in order, types, defaults, keys, indexes, options, comments and views."""
    if engine.dialect.name == "sqlite":
        return _shape_of_file(engine)
    with engine.connect() as connection:
        return {name: sorted(map(tuple, connection.execute(text(query))), key=repr) for name, query in _SHAPE.items()}


def _shape_of_file(engine: Engine) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with engine.connect() as connection:

        def ask(query: str) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

        for table in inspect(engine).get_table_names():
            indexes = ask(f"SELECT name, [unique], origin, partial FROM pragma_index_list('{table}') ORDER BY name")
            found[table] = {
                "columns": ask(f"SELECT * FROM pragma_table_xinfo('{table}')"),
                "options": ask(f"SELECT wr, strict FROM pragma_table_list('{table}')"),
                "indexes": [(each, ask(f"SELECT * FROM pragma_index_xinfo('{each[0]}')")) for each in indexes],
            }
        named = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
        found["indexes"] = ask(named)
    return found


def rows(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, by the tables' names without schema or prefix."""
    kind = engine.dialect.name
    schema = "everwhen" if kind == "postgresql" else None
    found = {}
    with engine.connect() as connection:
        for table in inspect(engine).get_table_names(schema=schema):
            name = f'"{schema}"."{table}"' if schema else f'"{table}"'
            listed = [dict(row._mapping) for row in connection.execute(text(f"SELECT * FROM {name}"))]
            found[table.removeprefix("everwhen_")] = sorted(listed, key=repr)
    return found


def put_rows(url: str) -> None:
    """Put every row of the store of version 2 into a fresh one: what is new in its tables is as by default."""
    file = url.startswith("sqlite")
    lines = (FOLDER / ("sqlite.sql" if file else "postgresql.sql")).read_text().splitlines()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM {'everwhen_' if file else 'everwhen.'}generations")
        for line in lines:
            if not line.startswith("INSERT INTO") or "meta" in line.partition(" VALUES")[0]:
                continue
            connection.connection.driver_connection.execute(_with_names(line) if file else line.encode())  # type: ignore[union-attr]
    engine.dispose()


def _with_names(line: str) -> str:
    """Name the columns that they had, as SQLite wants a value for each column otherwise."""
    table = line.split('"')[1]
    old = sqlite3.connect(":memory:")
    old.executescript((FOLDER / "sqlite.sql").read_text())
    names = ", ".join(f'"{name}"' for (name,) in old.execute(f"SELECT name FROM pragma_table_info('{table}')"))
    return line.replace(" VALUES", f" ({names}) VALUES", 1)
