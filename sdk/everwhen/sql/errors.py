"""The one place where errors of SQLAlchemy and of the drivers become ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from everwhen.errors import StoreConflict, StoreError, StoreUnavailable

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_CONFLICTS = {"40001", "40P01"}  # serialization failure, deadlock
_PASSING_CLASSES = ("08", "53", "57")  # connection, insufficient resources, operator intervention
_PASSING_STATES = {
    "25006",  # read-only transaction: a standby that is not promoted yet
    "25P03",  # idle in transaction for too long
    "25P04",  # transaction took too long
    "40003",  # whether the statement was completed is unknown
    "55P03",  # a lock was not to be had in time
    "58000",  # system error
    "58030",  # input or output failed
}
_NO_RIGHT = "42501"  # insufficient privilege
_LASTING_STATES = {"57P04"}  # the database was dropped
_REFUSALS = (
    "authentication failed",
    "authentication method",
    "certificate",
    "does not exist",
    "no password supplied",
    "not currently accepting connections",
    "not permitted to log in",
    "permission denied",
    "pg_hba.conf",
    "ssl was required",
    "unrecognized configuration parameter",
)
"""What libpq says, in lower case, when a server is there and will not let us in; it gives no SQLSTATE then.

A server that says it in another language is taken to be away; what it said is in the message.
"""
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
    """Turn errors of the database into those below :class:`StoreError`; let others pass.

    What may pass by itself becomes :class:`StoreUnavailable`, or :class:`StoreConflict` if another transaction was in
    the way.

    :param address: which store, without secrets.
    :param doing: what was being done, to complete "while …".
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - what it is, translation says
        raise translation(error, address, doing)  # noqa: B904 - it has its cause already


def translation(error: Exception, address: str, doing: str) -> Exception:
    """Return what :func:`translated` makes of an error, with its cause; the error itself if it lets that pass.

    Raise it without giving it a name: a frame that names an exception is kept by its traceback, and keeps it, until
    the garbage collector comes by, and with it a cursor whose statement holds a lock.
    """
    cause: BaseException = error
    if isinstance(error, PoolTimeout):
        ours: StoreError = StoreUnavailable(
            f"every connection to {address} was in use while {doing}; allow more (pool_size) or ask less at once"
        )
    elif isinstance(error, SQLAlchemyError):
        # The wrapper's own text holds the statement's parameters; the driver's error does not.
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        ours = _ours(cause, address, doing)
    elif is_database_error(error):
        ours = _ours(error, address, doing)
    else:
        return error
    ours.__cause__ = cause
    return ours


def is_database_error(error: BaseException) -> bool:
    """Say whether a driver raised this."""
    return isinstance(error, sqlite3.Error) or type(error).__module__.partition(".")[0] == "psycopg"


def _ours(error: BaseException, address: str, doing: str) -> StoreError:
    what = _describe(error)
    if getattr(error, "sqlstate", None) in _CONFLICTS:
        return StoreConflict(f"the store {address} met another transaction while {doing}: {what}. Try again")
    if getattr(error, "sqlstate", None) == _NO_RIGHT:
        return StoreError(
            f"the store {address} refused while {doing}: {what}, its role has no right to do so. Let a role that may "
            "create tables run everwhen store init MODULE:PROJECTION --grant ROLE first"
        )
    if _may_pass(error):
        return StoreUnavailable(f"the store {address} failed while {doing}: {what}. It may pass: try again")
    return StoreError(f"the store {address} refused while {doing}: {what}")


def _describe(error: BaseException) -> str:
    name = type(error).__name__
    code = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None)
    if isinstance(error, sqlite3.Error) or (code is None and name == "OperationalError"):
        # SQLite names tables and columns only, libpq's connection errors the server and the user only.
        return f"{code or name}, {_first_line(error)}"
    # Any other text of PostgreSQL may quote a value; the chained error has it.
    return f"{name}, SQLSTATE {code}" if code is not None else name


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING_CODES
    state = getattr(error, "sqlstate", None)
    if state is None:
        return type(error).__name__ in {"OperationalError", "ConnectionTimeout"} and not _is_refusal(error)
    return state in _PASSING_STATES or (state.startswith(_PASSING_CLASSES) and state not in _LASTING_STATES)


def _is_refusal(error: BaseException) -> bool:
    said = _first_line(error).lower()
    return any(refusal in said for refusal in _REFUSALS)
