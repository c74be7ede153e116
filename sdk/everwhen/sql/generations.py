"""The generations of one projection: building one beside another, letting it answer, and dropping it."""

from __future__ import annotations

import json
import time
from typing import Final

from sqlalchemy import Connection, delete, func, select, update

from everwhen.errors import ArgumentError, ProjectionNotFound, StoreError
from everwhen.instants import from_micros
from everwhen.ports.generations import Blueprint, Build, Generation, State
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
        with self._database.core(f"beginning a generation of {self._projection}") as connection:
            wait_for_turn(connection)
            check_version(connection, self._shared, self._database.address)
            builds = self._locked(connection)
            for build in reversed(builds):
                if build.state == "building" and is_same(build.generation, blueprint):
                    return build
            number = self._next_number(connection)
            self._catalog.create(connection, blueprint, number, "building")
            return self._catalog.numbered(self._locked(connection), self._projection, number)

    def switch(self, number: int) -> Build:
        """Let a generation answer, and retire the one that answered; readers see the one or the other.

        :return: the one that is retired now.
        :raises GenerationNotFound: naming those that are there.
        :raises ArgumentError: if it answers already.
        """
        self.all()
        with self._database.core(f"switching {self._projection} to generation {number}") as connection:
            wait_for_turn(connection)
            check_version(connection, self._shared, self._database.address)
            builds = self._locked(connection)
            chosen = self._catalog.numbered(builds, self._projection, number)
            if chosen.state == "live":
                raise ArgumentError(
                    f"generation {number} of projection {self._projection} answers already; name another one: "
                    f"everwhen generations {self._projection} shows them"
                )
            live = next(build for build in builds if build.state == "live")
            self._become(connection, live.generation, "retired", time.time_ns() // 1000)
            self._become(connection, chosen.generation, "live", chosen.retired_at)
            self._show(connection, chosen.generation)
            return next(
                build for build in self._locked(connection) if build.generation.number == live.generation.number
            )

    def drop(self, number: int) -> None:
        """Free all that a generation takes. Its number is not used again.

        :raises GenerationNotFound: naming those that are there.
        :raises ArgumentError: if it answers, or answered until a moment ago.
        :raises StoreUnavailable: if somebody is using it.
        """
        self.all()
        with self._database.core(f"dropping generation {number} of {self._projection}") as connection:
            wait_for_turn(connection)
            check_version(connection, self._shared, self._database.address)
            build = self._catalog.numbered(self._locked(connection), self._projection, number)
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

    def _locked(self, connection: Connection) -> list[Build]:
        """Return all of them, after waiting for whoever else is changing them; workers may still claim."""
        mine = self._table.c.projection == self._projection
        connection.execute(
            select(self._table.c.number).where(mine).order_by(self._table.c.number).with_for_update(key_share=True)
        )
        builds = self._catalog.builds(connection, self._projection)
        if not builds:
            raise ProjectionNotFound(f"projection {self._projection} is not in {self._database.address} any more")
        return builds

    def _next_number(self, connection: Connection) -> int:
        highest = select(func.max(self._table.c.number)).where(self._table.c.projection == self._projection)
        return int(connection.execute(highest).scalar_one()) + 1

    def _become(self, connection: Connection, generation: Generation, state: State, retired_at: int | None) -> None:
        changed = update(self._table).where(of_generation(self._table, generation))
        connection.execute(changed.values(state=state, retired_at=retired_at))

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
