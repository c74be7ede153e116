"""Which schema version a store's tables are of, and what is said where it is another than ours."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, func, select

from everwhen.errors import StoreMismatch
from everwhen.sql.expressions import POSTGRESQL
from everwhen.sql.tables import SCHEMA_VERSION, SharedTables

CHANGING: Final = 0x65766572_7768656E
"""The key of PostgreSQL's advisory lock under which tables are made and changed: "everwhen" in ASCII."""


def wait_for_turn(connection: Connection) -> None:
    """Keep others from making or changing tables until the transaction ends; SQLite has one writer at a time anyway."""
    if connection.dialect.name == POSTGRESQL:
        connection.execute(select(func.pg_advisory_xact_lock(CHANGING)))


def found_version(connection: Connection, shared: SharedTables) -> int | None:
    """Return the schema version of the tables; ``None`` if none is written, or more than one."""
    found = connection.execute(select(shared.meta.c.schema_version)).scalars().all()
    return found[0] if len(found) == 1 else None


def check_version(connection: Connection, shared: SharedTables, address: str) -> None:
    """Refuse tables of another version.

    :raises StoreMismatch: naming what to do.
    """
    found = found_version(connection, shared)
    if found != SCHEMA_VERSION:
        raise mismatch(address, found)


def mismatch(where: str, found: int | None) -> StoreMismatch:
    """Return the error for tables of another version.

    :param where: which store, without secrets.
    """
    if found is None:
        remedy = "it does not say of which one, so they are not ours or were damaged: use a fresh store"
    elif found < SCHEMA_VERSION:
        remedy = "upgrade them with everwhen store upgrade"
    else:
        remedy = "install a newer everwhen"
    return StoreMismatch(
        f"the tables in {where} are of schema version {'?' if found is None else found}, and this package works with "
        f"version {SCHEMA_VERSION}: {remedy}"
    )
