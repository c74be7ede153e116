"""The file of a SQLite store, to be copied, cut and compared."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any


class StoreFile:
    """The file of a store, and its write-ahead log beside it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.file, self.wal = directory / "store.db", directory / "store.db-wal"

    @property
    def url(self) -> str:
        """Where it is."""
        return f"sqlite:///{self.file}"

    def cut(self, directory: Path, length: int) -> StoreFile:
        """Return a copy whose write-ahead log is that long; nobody may write to this one meanwhile."""
        copy = StoreFile(directory)
        shutil.copy(self.file, copy.file)
        copy.wal.write_bytes(self.wal.read_bytes()[:length])
        return copy

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Keep what is written in the write-ahead log: whoever closes a file last moves it into the file."""
        with closing(sqlite3.connect(self.file)) as connection:
            connection.execute("SELECT count(*) FROM everwhen_checkpoints")
            yield

    def rows(self) -> dict[str, list[Any]]:
        """Every row of every table, but for who may write."""
        with closing(sqlite3.connect(self.file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            found = {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}
            marks = "SELECT partition, next_offset, watermark FROM everwhen_checkpoints"
            found["everwhen_checkpoints"] = connection.execute(marks).fetchall()
            del found["everwhen_generations"]  # has an instant of the clock
        return {name: sorted(rows, key=repr) for name, rows in found.items()}
