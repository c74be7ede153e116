"""Empty stores to measure in, and how many bytes they take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from sqlalchemy import create_engine, text

from everwhen.testing.parts import PostgresAddress, start_postgres

MakeStore: TypeAlias = Callable[[], str]
"""Make one more empty store; return its URL."""

_BYTES = (
    "SELECT COALESCE(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'everwhen' AND c.relkind = 'r'"
)


@contextmanager
def empty_stores(where: str) -> Iterator[MakeStore]:
    """Make stores that are gone at the end.

    :param where: ``sqlite``: files in a directory of their own; ``postgres``: a server that is started for this;
        or the URL of one whose user may create databases.
    """
    if where == "sqlite":
        with TemporaryDirectory(prefix="everwhen-benchmark-") as directory:
            numbers = count(1)
            yield lambda: f"sqlite:///{Path(directory) / f'store-{next(numbers)}.db'}"
    elif where == "postgres":
        with start_postgres() as server:
            print(f"# {server.describe()}")
            yield server.database
    else:
        address, made = PostgresAddress(where, "environment", "", "--store"), list[str]()

        def make() -> str:
            made.append(address.database())
            return made[-1]

        try:
            yield make
        finally:
            for url in made:
                address.drop(url)


def bytes_of(store: str, *, vacuum: bool = False) -> int:
    """Return what a store takes on disk, indexes included; nobody may have it open.

    :param vacuum: on PostgreSQL, have the remains of replaced rows cleared first.
    """
    if store.startswith("sqlite:///"):
        file = Path(store.removeprefix("sqlite:///"))
        return sum(each.stat().st_size for each in file.parent.glob(f"{file.name}*"))
    engine = create_engine(store, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            if vacuum:
                connection.execute(text("VACUUM"))
            return int(connection.execute(text(_BYTES)).scalar_one())
    finally:
        engine.dispose()
