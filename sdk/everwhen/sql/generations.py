"""The generations of one projection: building one beside another, letting it answer, and dropping it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, delete, func, select, update

from everwhen.errors import ArgumentError, ProjectionNotFound, StoreError
from everwhen.instants import from_micros
from everwhen.ports.generations import Blueprint, Build, Generation
from everwhen.sql.catalog import Catalog, is_same
from everwhen.sql.claims import of_generation
from everwhen.sql.database import Database
from everwhen.sql.expressions import POSTGRESQL
from everwhen.sql.tables import GenerationTables, SharedTables
from everwhen.sql.versions import check_version, wait_for_turn
from everwhen.sql.views import replace_views

_STILL_ASKED: Final = 10_000_000
"""For so many microseconds after a switch readers may not have noticed it."""


class SqlGenerations:
    """Implements :class:`everwhen.ports.generations.StoreGenerations`."""

    def __init__(self, database: Database, shared: SharedTables, catalog: Catalog, projection: str) -> None:
        self._database = database
        self._shared = shared
        self._table = shared.generations
        self._catalog = catalog
        self._projection = projection

    def all(self) -> list[Build]:
        """Return those that are not dropped, in the order of their numbers.

        :raises ProjectionNotFound: if nothing was projected under this name.
        """
        return self._catalog.all(self._projection)

    def begin(self, blueprint: Blueprint) -> Build:
        """Return the newest generation that is being built by this code; make one if there is none.

        :raises ProjectionNotFound: if none answers yet.
        """
        self.all()
        with self._changing(f"beginning a generation of {self._projection}") as connection:
            builds = self._builds(connection)
            for build in reversed(builds):
                if build.state == "building" and is_same(build.generation, blueprint):
                    return build
            number = self._next_number(connection)
            self._catalog.create(connection, blueprint, number, "building")
            return self._catalog.numbered(self._builds(connection), self._projection, number)

    def switch(self, number: int) -> Build:
        """Let a generation answer, and retire the one that answered; readers see the one or the other.

        :return: the one that is retired now.
        :raises GenerationNotFound: naming those that are there.
        :raises ArgumentError: if it answers already.
        """
        self.all()
        with self._changing(f"switching {self._projection} to generation {number}") as connection:
            builds = self._builds(connection)
            chosen = self._catalog.numbered(builds, self._projection, number)
            if chosen.state == "live":
                raise ArgumentError(
                    f"generation {number} of projection {self._projection} answers already; name another one: "
                    f"everwhen generations {self._projection} shows them"
                )
            live = next(build for build in builds if build.state == "live")
            retired = live._replace(state="retired", retired_at=time.time_ns() // 1000)
            self._become(connection, retired)
            self._become(connection, chosen._replace(state="live"))
            self._show(connection, chosen.generation)
            return retired

    def drop(self, number: int) -> None:
        """Free all that a generation takes. Its number is not used again.

        :raises GenerationNotFound: naming those that are there.
        :raises ArgumentError: if it answers, or answered until a moment ago.
        :raises StoreUnavailable: if somebody is using it.
        """
        self.all()
        with self._changing(f"dropping generation {number} of {self._projection}") as connection:
            build = self._catalog.numbered(self._builds(connection), self._projection, number)
            self._check_unused(build)
            generation = build.generation
            # A claim locks this row too, so no worker takes a partition of it from here on.
            mine = of_generation(self._table, generation)
            connection.execute(select(self._table.c.number).where(mine).with_for_update())
            connection.execute(update(self._table).where(mine).values(state="dropped"))
            for table in (self._shared.checkpoints, self._shared.decisions):
                connection.execute(delete(table).where(of_generation(table, generation)))
            tables = GenerationTables(self._database.kind, generation.projection, generation.number)
            tables.metadata.drop_all(connection)

    @contextmanager
    def _changing(self, doing: str) -> Iterator[Connection]:
        """Open a transaction in which nobody else makes, upgrades, switches or drops; workers may still claim."""
        with self._database.core(doing) as connection:
            wait_for_turn(connection)
            check_version(connection, self._shared, self._database.address)
            yield connection

    def _builds(self, connection: Connection) -> list[Build]:
        builds = self._catalog.builds(connection, self._projection)
        if not builds:
            raise ProjectionNotFound(f"projection {self._projection} is not in {self._database.address} any more")
        return builds

    def _next_number(self, connection: Connection) -> int:
        highest = select(func.max(self._table.c.number)).where(self._table.c.projection == self._projection)
        return int(connection.execute(highest).scalar_one()) + 1

    def _become(self, connection: Connection, build: Build) -> None:
        changed = update(self._table).where(of_generation(self._table, build.generation))
        connection.execute(changed.values(state=build.state, retired_at=build.retired_at))

    def _show(self, connection: Connection, generation: Generation) -> None:
        """Let the views show the generation that answers."""
        if self._database.kind != POSTGRESQL:
            return
        asked = select(self._table.c.columns).where(of_generation(self._table, generation))
        kept = connection.execute(asked).scalar_one()
        if kept is None:
            raise StoreError(
                f"generation {generation.number} of projection {self._projection} was made before the fields of its "
                "state were kept, and views need them: start a worker of its code once"
            )
        columns = json.loads(kept)
        tables = GenerationTables(self._database.kind, generation.projection, generation.number)
        replace_views(connection, generation.projection, columns, tables)

    def _check_unused(self, build: Build) -> None:
        what = f"generation {build.generation.number} of projection {self._projection}"
        if build.state == "live":
            raise ArgumentError(f"{what} answers; switch to another one before it can be dropped")
        if build.retired_at is not None and time.time_ns() // 1000 < build.retired_at + _STILL_ASKED:
            raise ArgumentError(
                f"{what} answered until {from_micros(build.retired_at):%H:%M:%S} UTC, and readers may not have "
                f"noticed the switch yet; drop it {_STILL_ASKED // 1_000_000} s after that"
            )
