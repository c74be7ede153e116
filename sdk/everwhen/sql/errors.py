"""The one place where errors of SQLAlchemy and of the drivers become ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from everwhen.errors import StoreError, StoreUnavailable

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_PASSING_CLASSES = ("08", "53", "57", "58")  # connection, insufficient resources, operator intervention, system
_PASSING_STATES = {"40001", "40P01", "55P03", "25P03", "25P04"}  # serialization, deadlock, lock, idle, too long
# https://www.sqlite.org/rescode.html, the primary codes
_PASSING_CODES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}


@contextmanager
def translated(address: str, doing: str) -> Iterator[None]:
    """Turn errors of the database into :class:`StoreUnavailable` or :class:`StoreError`; let others pass.

    :param address: which store, without secrets.
    :param doing: what was being done, to complete "while …".
    """
    try:
        yield
    except PoolTimeout as error:
        raise StoreUnavailable(
            f"every connection to {address} was in use while {doing}; allow more (pool_size) or ask less at once"
        ) from error
    except SQLAlchemyError as error:
        # The wrapper's own text holds the statement's parameters; the driver's error does not.
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        raise _ours(cause, address, doing) from cause
    except Exception as error:
        if not is_database_error(error):
            raise
        raise _ours(error, address, doing) from error


def is_database_error(error: BaseException) -> bool:
    """Say whether a driver raised this."""
    return isinstance(error, sqlite3.Error) or type(error).__module__.partition(".")[0] == "psycopg"


def _ours(error: BaseException, address: str, doing: str) -> StoreError:
    what = _describe(error)
    if _may_pass(error):
        return StoreUnavailable(f"the store {address} failed while {doing}: {what}. It may pass: try again")
    return StoreError(f"the store {address} refused while {doing}: {what}")


def _describe(error: BaseException) -> str:
    name = type(error).__name__
    code = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None)
    if isinstance(error, sqlite3.Error) or (code is None and name == "OperationalError"):
        # SQLite names tables and columns only, libpq's connection errors the server and the user only.
        first_line = str(error).strip().partition("\n")[0]
        return f"{code or name}, {first_line}"
    # Any other text of PostgreSQL may quote a value; the chained error has it.
    return f"{name}, SQLSTATE {code}" if code is not None else name


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING_CODES
    state = getattr(error, "sqlstate", None)
    if state is None:
        return type(error).__name__ in {"OperationalError", "ConnectionTimeout"}
    return state.startswith(_PASSING_CLASSES) or state in _PASSING_STATES
