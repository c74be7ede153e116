"""Rows into a table of SQLite's, however many and whichever of their values are missing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, Table, Text

from everwhen.sql.sqlite_insert import Insertion

TABLE = Table(
    "things",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("text", Text),
    Column("number", BigInteger),
    Column("data", LargeBinary, nullable=False),
    Column("more", LargeBinary),
)
CREATE = "CREATE TABLE things (id INTEGER PRIMARY KEY, text TEXT, number BIGINT, data BLOB NOT NULL, more BLOB)"
values = st.tuples(
    st.none() | st.text(max_size=3), st.none() | st.integers(-9, 9), st.binary(max_size=3), st.none() | st.binary()
)


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    """A database in memory that has the table."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        made.execute(CREATE)
        yield made


def kept(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """What the table holds."""
    return connection.execute("SELECT * FROM things ORDER BY id").fetchall()


@given(st.lists(values, max_size=12), st.integers(1, 80), st.lists(values, max_size=12))
@settings(max_examples=60, deadline=None)
def test_rows_come_back_as_they_are(
    connection: sqlite3.Connection, some: list[tuple[Any, ...]], times: int, more: list[tuple[Any, ...]]
) -> None:
    """Whichever of their values are missing, in one row or in all."""
    rows = [(number, *row) for number, row in enumerate(some * times + more)]
    connection.execute("DELETE FROM things")
    Insertion(TABLE).run(connection, rows)
    assert kept(connection) == rows


@given(st.dictionaries(st.integers(0, 20), values), st.dictionaries(st.integers(0, 20), values))
@settings(max_examples=60, deadline=None)
def test_a_row_takes_the_place_of_the_one_with_its_key(
    connection: sqlite3.Connection, before: dict[int, tuple[Any, ...]], after: dict[int, tuple[Any, ...]]
) -> None:
    """As a whole: where the new one has no value, the old one's is gone."""
    connection.execute("DELETE FROM things")
    insertion = Insertion(TABLE, renews=True)
    for rows in (before, after):
        insertion.run(connection, [(key, *row) for key, row in rows.items()])
    assert kept(connection) == sorted((key, *row) for key, row in (before | after).items())


def test_a_driver_that_takes_few_parameters_gets_no_more(connection: sqlite3.Connection) -> None:
    """999 is the least that SQLite is built with."""
    limit = connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)
    try:
        connection.execute("DELETE FROM things")
        rows = [(number, "x", number, b"x", b"y") for number in range(700)]
        Insertion(TABLE).run(connection, rows)
    finally:
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, limit)
    assert kept(connection) == rows
