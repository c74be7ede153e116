"""Which generations a store holds: creating their tables, and finding the one that is asked or written."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Final

from sqlalchemy import Connection, insert, inspect, select, update
from sqlalchemy.schema import CreateSchema

from everwhen.errors import ArgumentError, GenerationMismatch, GenerationNotFound, ProjectionNotFound
from everwhen.ports.generations import Blueprint, Build, Generation, State
from everwhen.sql.database import Database, use_write_ahead_log
from everwhen.sql.expressions import POSTGRESQL
from everwhen.sql.tables import SCHEMA, SCHEMA_VERSION, GenerationTables, SharedTables
from everwhen.sql.versions import check_version, wait_for_turn
from everwhen.sql.views import HISTORY, create_views

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_NAME_LIMIT: Final = 40
_RESERVED: Final = frozenset(
    {"meta", "generations", "checkpoints", "decisions", "outbox", "outbox_meta", "outbox_relays", "outbox_shards"}
)
_GENERATION: Final = ("projection", "number", "version", "fingerprint", "topic")


class Catalog:
    """The table ``generations`` and the tables that belong to its rows. Thread-safe."""

    def __init__(self, database: Database, shared: SharedTables) -> None:
        self._database = database
        self._shared = shared

    def create_shared(self) -> bool:
        """Create the tables that all projections share; return whether they were missing.

        :raises StoreMismatch: if they are there in another version.
        """
        with self._changing("making the tables") as connection:
            return self._create_shared(connection)

    def prepare(self, blueprint: Blueprint, number: int | None = None) -> Generation:
        """Return the generation that a worker of this blueprint writes, after creating whatever is missing.

        It is the live one if that was built by the same code, else the newest one that was.

        :param number: of the generation to return instead.
        :raises GenerationNotFound: if there is none of this number.
        :raises GenerationMismatch: if it was built by other code, or all of them were.
        """
        check_name(blueprint.projection)
        with self._changing(f"preparing projection {blueprint.projection}") as connection:
            self._create_shared(connection)
            builds = self.builds(connection, blueprint.projection)
            self._note_columns(connection, blueprint)
            if not builds and number is None:
                return self.create(connection, blueprint, 1, "live")
            if number is None:
                return self._matching(builds, blueprint)
            generation = self.numbered(builds, blueprint.projection, number).generation
            self.check_same(generation, blueprint)
            return generation

    def find(self, projection: str, number: int | None = None) -> Generation:
        """Return the generation that answers for the projection, or the one of a number.

        :raises ProjectionNotFound: naming the projections that are there.
        :raises GenerationNotFound: naming the generations that are there.
        :raises StoreMismatch: if the tables are of another schema version.
        """
        builds = self.all(projection)
        if number is not None:
            return self.numbered(builds, projection, number).generation
        return next(build.generation for build in builds if build.state == "live")

    def standing_for(self, projection: str, number: int) -> Generation:
        """Return the generation that answers as the one of a number does: that one or, if it was dropped, its like.

        :raises ProjectionNotFound: naming the projections that are there.
        :raises GenerationNotFound: if it was never there, or other code built all that is left.
        """
        builds = self.all(projection)
        by_number = {build.generation.number: build.generation for build in builds}
        if number in by_number:
            return by_number[number]
        with self._database.core(f"looking for projection {projection}", reading=True) as connection:
            dropped = self._dropped(connection, projection, number)
        live = next(build.generation for build in builds if build.state == "live")
        for generation in (live, *reversed(by_number.values())):
            if dropped is not None and replace(dropped, number=generation.number) == generation:
                return generation
        return self.numbered(builds, projection, number).generation

    def all(self, projection: str) -> list[Build]:
        """Return the generations of a projection that are not dropped, in the order of their numbers.

        :raises ProjectionNotFound: naming the projections that are there.
        :raises StoreMismatch: if the tables are of another schema version.
        """
        if self._database.is_absent():
            raise self._not_found(projection, "there is no such file, and no projection at all")
        names: list[str] = []
        with self._database.core(f"looking for projection {projection}", reading=True) as connection:
            if self.exists(connection):
                check_version(connection, self._shared, self._database.address)
                if builds := self.builds(connection, projection):
                    return builds
                names = self._names(connection)
        raise self._not_found(projection, f"it holds {', '.join(names) or 'no projection at all'}")

    def exists(self, connection: Connection) -> bool:
        """Say whether there are tables of ours, of whatever version."""
        meta = self._shared.meta
        return inspect(connection).has_table(meta.name, schema=meta.schema)

    @contextmanager
    def _changing(self, doing: str) -> Iterator[Connection]:
        """Open a transaction in which nobody else makes or changes tables."""
        if self._database.kind != POSTGRESQL:
            with self._database.connection(doing) as raw:
                use_write_ahead_log(raw)
        with self._database.core(doing) as connection:
            wait_for_turn(connection)
            yield connection

    def _not_found(self, projection: str, instead: str) -> ProjectionNotFound:
        return ProjectionNotFound(
            f"{self._database.address} holds nothing of projection {projection!r}; {instead}. Check the name and the "
            "URL, or run its worker first"
        )

    def _create_shared(self, connection: Connection) -> bool:
        if self._database.kind == POSTGRESQL and not inspect(connection).has_schema(SCHEMA):
            connection.execute(CreateSchema(SCHEMA))
        missing = not self.exists(connection)
        if missing:
            self._shared.metadata.create_all(connection)
            connection.execute(insert(self._shared.meta).values(schema_version=SCHEMA_VERSION))
        check_version(connection, self._shared, self._database.address)
        return missing

    def builds(self, connection: Connection, projection: str) -> list[Build]:
        """Return the generations of a projection that are not dropped, in the order of their numbers."""
        table = self._shared.generations.c
        asked = (
            select(*(table[name] for name in _GENERATION), table.state, table.created_at, table.retired_at)
            .where(table.projection == projection, table.state != "dropped")
            .order_by(table.number)
        )
        return [
            Build(Generation(*row[: len(_GENERATION)]), *row[len(_GENERATION) :]) for row in connection.execute(asked)
        ]

    def _note_columns(self, connection: Connection, blueprint: Blueprint) -> None:
        """Keep the fields of the state with generations of this code that were made before fields were kept."""
        table = self._shared.generations
        given = asdict(blueprint)
        ours = [table.c[name] == given[name] for name in _GENERATION if name != "number"]
        unknown = update(table).where(*ours, table.c.columns.is_(None))
        connection.execute(unknown.values(columns=json.dumps(blueprint.columns)))

    def _dropped(self, connection: Connection, projection: str, number: int) -> Generation | None:
        table = self._shared.generations.c
        asked = select(*(table[name] for name in _GENERATION)).where(
            table.projection == projection, table.number == number, table.state == "dropped"
        )
        row = connection.execute(asked).one_or_none()
        return None if row is None else Generation(*row)

    def numbered(self, builds: Sequence[Build], projection: str, number: int) -> Build:
        """Return the one of a number.

        :raises GenerationNotFound: if it is not among them.
        """
        for build in builds:
            if build.generation.number == number:
                return build
        there = ", ".join(f"{build.generation.number} ({build.state})" for build in builds) or "none"
        raise GenerationNotFound(
            f"{self._database.address} holds no generation {number} of projection {projection}; there are: "
            f"{there}. Ask one of these, or the one that answers by leaving the number or the basis out"
        )

    def _matching(self, builds: Sequence[Build], blueprint: Blueprint) -> Generation:
        live = next(build.generation for build in builds if build.state == "live")
        for generation in (live, *(build.generation for build in reversed(builds))):
            if is_same(generation, blueprint):
                return generation
        self.check_same(live, blueprint)
        return live

    def _names(self, connection: Connection) -> list[str]:
        generations = self._shared.generations.c
        names = select(generations.projection).where(generations.state == "live").order_by(generations.projection)
        return list(connection.execute(names).scalars())

    def create(self, connection: Connection, blueprint: Blueprint, number: int, state: State) -> Generation:
        """Make the tables of a new generation, and the views of one that answers."""
        generation = Generation(blueprint.projection, number, blueprint.version, blueprint.fingerprint, blueprint.topic)
        tables = GenerationTables(self._database.kind, generation.projection, generation.number)
        tables.metadata.create_all(connection, checkfirst=False)
        connection.execute(
            insert(self._shared.generations).values(
                **asdict(generation),
                state=state,
                created_at=time.time_ns() // 1000,
                columns=json.dumps(blueprint.columns),
            )
        )
        if state == "live" and self._database.kind == POSTGRESQL:
            create_views(connection, generation.projection, blueprint.columns, tables)
        return generation

    def check_same(self, generation: Generation, blueprint: Blueprint) -> None:
        """Refuse code that did not build the generation.

        :raises GenerationMismatch: naming the command that builds another one beside it.
        """
        if not is_same(generation, blueprint):
            raise GenerationMismatch(
                f"the store {self._database.address} holds projection {blueprint.projection} as generation "
                f"{generation.number} of {_describe(generation)}; this program has {_describe(blueprint)}. States of "
                "the two must not be mixed: build another generation beside it with `everwhen rebuild "
                "MODULE:PROJECTION`, or run the code that built this one"
            )


def is_same(generation: Generation, blueprint: Blueprint) -> bool:
    """Say whether the generation was built by this code."""
    return _describe(generation) == _describe(blueprint)


def _describe(built: Generation | Blueprint) -> str:
    return f"version {built.version}, code {built.fingerprint[:12]}, of topic {built.topic}"


def check_name(projection: str) -> None:
    """Refuse what cannot be part of the names of tables.

    :raises ArgumentError: if it is such a name.
    """
    if _NAME.fullmatch(projection) is None or len(projection) > _NAME_LIMIT:
        raise ArgumentError(
            f"a projection cannot be stored under the name {projection!r}: use lower-case words of letters and digits "
            f"joined by single underscores, at most {_NAME_LIMIT} characters"
        )
    if projection in _RESERVED or projection.endswith(HISTORY):
        raise ArgumentError(
            f"a projection cannot be stored under the name {projection!r}: {', '.join(sorted(_RESERVED))} and names "
            f"that end with {HISTORY} are tables and views of the store itself; choose another name"
        )
