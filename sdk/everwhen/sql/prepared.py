"""A question to PostgreSQL that gives one row, prepared and run below psycopg's cursor.

Of what a question about one entity takes through a cursor, more than half is not PostgreSQL's: the cursor converts the
parameters, looks a loader up for each of 40 columns and reads them from text. Here a statement is prepared once on each
connection; parameters are packed and columns are read in PostgreSQL's binary formats, an instant as the integer that it
is. Waiting is psycopg's: a question can be interrupted, and a lost connection is noticed, as with a cursor.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, MutableMapping
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeAlias

from psycopg import OperationalError, adapters
from psycopg.adapt import AdaptersMap, Transformer
from psycopg.errors import InvalidSqlStatementName, error_from_result
from psycopg.generators import execute, fetch_many, send
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGresult
from psycopg.types.bool import BoolBinaryLoader
from psycopg.types.numeric import Int4BinaryLoader, Int8BinaryLoader
from psycopg.types.string import ByteaBinaryLoader, TextBinaryLoader
from sqlalchemy import BigInteger, Integer
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import NullType, TypeEngine

from everwhen.instants import Micros
from everwhen.sql import wire
from everwhen.sql.types import Instant

Session: TypeAlias = MutableMapping[Any, Any]
"""What SQLAlchemy keeps for us with a connection of the driver, as long as that lives."""

EPOCH: Final[Micros] = 946_684_800_000_000
"""2000-01-01T00:00:00Z, PostgreSQL's zero of time, in microseconds since 1970."""
_OURS: Final = "everwhen.prepared"
_MOST: Final = 100
"""Statements that are prepared on one connection, as many as psycopg keeps by itself."""
_RECORDS: Final = 2287
"""The type ``record[]``; like those of :mod:`everwhen.sql.wire`."""
# Said for each type, as the user's engine may have loaders of its own for them.
_LOADERS: Final[dict[int, Any]] = {
    wire.INSTANT.oid: Int8BinaryLoader,
    wire.BIGINT.oid: Int8BinaryLoader,
    wire.INTEGER.oid: Int4BinaryLoader,
    wire.BOOLEAN.oid: BoolBinaryLoader,
    wire.BYTES.oid: ByteaBinaryLoader,
    wire.JSON.oid: TextBinaryLoader,
    wire.TEXT.oid: TextBinaryLoader,
}
_DIALECT: Final[Dialect] = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
_int4 = struct.Struct(">i").pack
_int8 = struct.Struct(">q").pack


class _Ready(NamedTuple):
    """A statement on one connection."""

    name: bytes
    reading: Any
    """A ``Transformer`` that reads its rows."""


class Prepared:
    """A statement that gives one row or none. Thread-safe.

    :param write: gives the statement. An instant that is selected without its conversion is read as microseconds since
        2000, JSON as its text, and an array of records as the bytes that PostgreSQL sends; :func:`records` reads those.
    """

    def __init__(self, write: Callable[[], Executable]) -> None:
        self._write = write

    def row(self, connection: Any, session: Session, parameters: Mapping[str, Any]) -> list[Any] | None:
        """Run it, and return its row.

        :param connection: a ``psycopg.Connection`` in autocommit mode.
        :param session: of this connection.
        :return: ``None`` if there is none, or the connection's owner wants no prepared statements, as behind a pooler
            that shares connections; then nothing was asked.
        :raises psycopg.Error: what a cursor would raise.
        """
        ready = self._prepared(connection, session)
        if ready is None:
            return None
        try:
            return self._run(connection, ready, parameters)
        except InvalidSqlStatementName:  # somebody cleared the session, with DISCARD or DEALLOCATE
            session.pop(_OURS)
            ready = self._prepared(connection, session)
            assert ready is not None
            return self._run(connection, ready, parameters)

    def send(self, connection: Any, parameters: Mapping[str, Any]) -> None:
        """Send it without preparing it; :func:`answer` waits for what comes."""
        text, given, formats = self._compiled
        values = [pack(parameters.get(name)) for name, pack in given]
        connection.pgconn.send_query_params(text.encode(), values, param_formats=formats, result_format=Format.BINARY)
        connection.wait(send(connection.pgconn))

    def _run(self, connection: Any, ready: _Ready, parameters: Mapping[str, Any]) -> list[Any] | None:
        _, given, formats = self._compiled
        values = [pack(parameters.get(name)) for name, pack in given]
        connection.pgconn.send_query_prepared(ready.name, values, formats, Format.BINARY)
        result = answer(connection, execute)
        if not result.ntuples:
            return None
        reading = ready.reading
        reading.set_pgresult(result, set_loaders=False)
        row: list[Any] = reading.load_row(0, list)
        return row

    def _prepared(self, connection: Any, session: Session) -> _Ready | None:
        text = self._compiled.text
        ours = session.get(_OURS)
        if ours is None:
            ours = session[_OURS] = {}
        ready: _Ready | None = ours.get(text)
        if ready is None and _may_prepare(connection, len(ours)):
            ready = ours[text] = _prepare(connection, f"everwhen_{len(ours)}".encode(), text)
        return ready

    @cached_property
    def _compiled(self) -> _Compiled:
        clause = self._write()
        assert isinstance(clause, ClauseElement)
        compiled = clause.compile(dialect=_DIALECT)
        given: list[tuple[str, Callable[[Any], bytes]]] = []
        for name in compiled.positiontup or ():  # type: ignore[attr-defined]
            bind = compiled.binds[name]  # type: ignore[attr-defined]
            pack = _packing(bind.type)
            given.append((name, pack if bind.required else _constant(pack(bind.value))))
        return _Compiled(str(compiled), given, [Format.BINARY] * len(given))


class _Compiled(NamedTuple):
    text: str
    given: list[tuple[str, Callable[[Any], bytes]]]
    """The parameters in order, and how each is packed."""
    formats: list[Format]


class _Context:
    """How what PostgreSQL sends is read, whatever loaders the user's engine has. Text is in UTF-8."""

    connection = None

    def __init__(self) -> None:
        self.adapters = AdaptersMap(adapters)
        for oid, loader in _LOADERS.items():
            self.adapters.register_loader(oid, loader)


CONTEXT: Final = _Context()


def records(data: bytes) -> list[tuple[Any, ...]]:
    """Read an array of records; an instant is given as microseconds since 2000."""
    found: list[tuple[Any, ...]] = Transformer(CONTEXT).get_loader(_RECORDS, Format.BINARY).load(data)
    return found


def _may_prepare(connection: Any, already: int) -> bool:
    # psycopg's own switch: a pooler may give each transaction another server process.
    wanted = connection.prepare_threshold is not None
    return wanted and already < _MOST and connection.info.encoding == "utf-8"


def _prepare(connection: Any, name: bytes, text: str) -> _Ready:
    pgconn = connection.pgconn
    pgconn.send_prepare(name, text.encode())
    answer(connection, execute)
    pgconn.send_describe_prepared(name)
    described = answer(connection, execute)
    types = [described.ftype(column) for column in range(described.nfields)]
    reading = Transformer(CONTEXT)
    reading.set_loader_types([wire.BYTES.oid if oid == _RECORDS else oid for oid in types], Format.BINARY)
    return _Ready(name, reading)


def answer(connection: Any, receive: Callable[[Any], Any] = fetch_many) -> PGresult:
    """Wait for the result of what was sent.

    :param receive: one of psycopg's generators.
    :raises psycopg.Error: what a cursor would raise.
    """
    result: PGresult = connection.wait(receive(connection.pgconn))[-1]
    if result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        return result
    if connection.pgconn.status == ConnStatus.BAD:
        raise OperationalError("the connection was lost")
    raise error_from_result(result)


def _packing(kind: TypeEngine[Any]) -> Callable[[Any], bytes]:
    """Return what packs a parameter of this type."""
    if isinstance(kind, Instant):
        return lambda value: _int8(value - EPOCH)
    if isinstance(kind, BigInteger):
        return _int8
    if isinstance(kind, NullType):
        return bytes  # an array that is packed already
    return _int4 if isinstance(kind, Integer) else str.encode


def _constant(packed: bytes) -> Callable[[Any], bytes]:
    return lambda _: packed
