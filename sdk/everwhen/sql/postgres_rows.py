"""Rows as PostgreSQL keeps them, in binary: an instant is the integer that it is, and JSON is its text.

To have PostgreSQL convert the columns of an answer takes it as long as to find them.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final

from psycopg.adapt import Transformer
from psycopg.generators import send
from psycopg.pq import Format
from psycopg.pq.abc import PGresult

from everwhen.ports.answers import HeadRow, VersionRow
from everwhen.sql.prepared import CONTEXT, EPOCH, answer
from everwhen.sql.statement import Statement

_OF_HEAD: Final = tuple(
    map(HeadRow._fields.index, ("unstored_valid", "unstored_at", "quarantined_at", "pruned_before", "pruned_at"))
)
_OF_VERSION: Final = tuple(map(VersionRow._fields.index, ("valid_from", "recorded_at", "valid_to", "superseded_at")))
_AT_ONCE: Final = 500
_FETCH: Final = f"FETCH FORWARD {_AT_ONCE} FROM everwhen_rows".encode()
_DECLARE: Final = "DECLARE everwhen_rows NO SCROLL CURSOR FOR "


def head_columns(columns: list[Any]) -> list[Any]:
    """Set the instants of a head row right, in place: PostgreSQL counts them from 2000 on."""
    for place in _OF_HEAD:
        if columns[place] is not None:
            columns[place] += EPOCH
    return columns


def version_columns(columns: list[Any]) -> list[Any]:
    """Set the instants of a version row right, in place."""
    for place in _OF_VERSION:
        if columns[place] is not None:
            columns[place] += EPOCH
    return columns


class Reading:
    """Reads the results of one statement. Not thread-safe."""

    def __init__(self) -> None:
        self._transformer = Transformer(CONTEXT)

    def rows(self, result: PGresult) -> Sequence[list[Any]]:
        """Return all rows of a result in binary."""
        self._transformer.set_pgresult(result, set_loaders=True, format=Format.BINARY)
        rows: Sequence[list[Any]] = self._transformer.load_rows(0, result.ntuples, list)
        return rows


def stream(connection: Any, statement: Statement, parameters: Mapping[str, Any]) -> Generator[list[Any], None, None]:
    """Yield the rows of a statement; while some are read and the caller has them, the server looks for the next ones.

    It is a cursor of the server, since a statement that runs for as long as the caller takes would meet the time limit
    of statements. The connection may be busy until the generator ends or is closed.

    :param connection: a ``psycopg.Connection`` in a transaction, in which there is only one stream.
    :raises psycopg.Error: what a cursor would raise.
    """
    connection.execute("SET LOCAL jit = off")  # compiling a sum of probes takes longer than running it
    connection.execute(_DECLARE + statement.text, statement.bind(parameters))
    reading = Reading()
    _fetch(connection)
    under_way = True
    try:
        while under_way:
            under_way = False
            result = answer(connection)
            if result.ntuples == _AT_ONCE:
                _fetch(connection)
                under_way = True
            yield from reading.rows(result)
    finally:
        if under_way:
            answer(connection)


def _fetch(connection: Any) -> None:
    connection.pgconn.send_query_params(_FETCH, None, result_format=Format.BINARY)
    connection.wait(send(connection.pgconn))
