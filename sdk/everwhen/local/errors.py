"""The one place where an error of SQLite becomes one of ours."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from everwhen.errors import EverwhenError, LogError, LogUnavailable, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

_REMEDIES = {
    sqlite3.SQLITE_BUSY: (LogUnavailable, "another process holds the file locked; try again, or find who it is"),
    sqlite3.SQLITE_LOCKED: (LogUnavailable, "another connection holds the file locked; try again"),
    sqlite3.SQLITE_PROTOCOL: (
        LogUnavailable,
        "another process was stopped while it held the file's index; let it go on, or end it",
    ),
    sqlite3.SQLITE_FULL: (LogUnavailable, "the disk is full; free some space"),
    sqlite3.SQLITE_IOERR: (LogUnavailable, "the disk failed; look at the system's log"),
    sqlite3.SQLITE_CANTOPEN: (LogUnavailable, "the file cannot be opened; look at its path and permissions"),
    sqlite3.SQLITE_READONLY: (LogUnavailable, "the file or its directory is read-only; change the permissions"),
    sqlite3.SQLITE_PERM: (LogUnavailable, "the file may not be accessed; change the permissions"),
    sqlite3.SQLITE_NOTADB: (SettingsError, "the file is no SQLite database; name another file for the log"),
    sqlite3.SQLITE_CORRUPT: (LogError, "the file is damaged; restore it from a copy"),
}
# SQLite keeps the general code in the low byte and says more in the others: https://www.sqlite.org/rescode.html
_GENERAL = 0xFF


def translate(error: sqlite3.Error, where: str) -> EverwhenError:
    """Return our error for SQLite's; ``where`` names the file and, if there is one, the topic."""
    code = getattr(error, "sqlite_errorcode", None)
    kind, remedy = _REMEDIES.get((code or 0) & _GENERAL, (LogError, "see the cause"))
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    return kind(f"{where}: {remedy} ({name})")


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn the errors of SQLite that leave the block into ours, with the cause chained."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, where) from error
