"""Which generations a store holds: creating its tables, and finding the generation that answers."""

from __future__ import annotations

import re
import time
from typing import Final

from sqlalchemy import Connection, func, insert, inspect, select
from sqlalchemy.schema import CreateSchema

from everwhen.errors import ArgumentError, GenerationMismatch, ProjectionNotFound, StoreMismatch
from everwhen.ports.store import Blueprint, Generation
from everwhen.sql.database import Database, use_write_ahead_log
from everwhen.sql.expressions import POSTGRESQL
from everwhen.sql.tables import SCHEMA, SCHEMA_VERSION, GenerationTables, SharedTables
from everwhen.sql.views import HISTORY, create_views

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_NAME_LIMIT: Final = 40
_RESERVED: Final = frozenset({"meta", "generations", "checkpoints", "decisions"})
_PREPARING: Final = 0x65766572_7768656E
"""The key of PostgreSQL's advisory lock under which tables are made: "everwhen" in ASCII."""


class Catalog:
    """The table ``generations`` and the tables that belong to its rows. Thread-safe."""

    def __init__(self, database: Database, shared: SharedTables) -> None:
        self._database = database
        self._shared = shared

    def prepare(self, blueprint: Blueprint) -> Generation:
        """Return the live generation of the projection after creating whatever is missing."""
        _check_name(blueprint.projection)
        doing = f"preparing projection {blueprint.projection}"
        if self._database.kind != POSTGRESQL:
            with self._database.connection(doing) as connection:
                use_write_ahead_log(connection)
        with self._database.core(doing) as connection:
            self._create_shared(connection)
            generation = self._live(connection, blueprint.projection)
            if generation is None:
                return self._create_generation(connection, blueprint)
        self._check_same(generation, blueprint)
        return generation

    def live(self, projection: str) -> Generation:
        """Return the generation that answers for the projection.

        :raises ProjectionNotFound: naming the projections that are there.
        :raises StoreMismatch: if the tables are of another schema version.
        """
        if self._database.is_absent():
            raise self._not_found(projection, "there is no such file, and no projection at all")
        names: list[str] = []
        with self._database.core(f"looking for projection {projection}", reading=True) as connection:
            if self._exists(connection):
                self._check_version(connection)
                if (generation := self._live(connection, projection)) is not None:
                    return generation
                names = self._names(connection)
        raise self._not_found(projection, f"it holds {', '.join(names) or 'no projection at all'}")

    def _not_found(self, projection: str, instead: str) -> ProjectionNotFound:
        return ProjectionNotFound(
            f"{self._database.address} holds nothing of projection {projection!r}; {instead}. Check the name and the "
            "URL, or run its worker first"
        )

    def _create_shared(self, connection: Connection) -> None:
        if self._database.kind == POSTGRESQL:
            # SQLite has only one writer at a time; here two workers that start together must wait for each other.
            connection.execute(select(func.pg_advisory_xact_lock(_PREPARING)))
            if not inspect(connection).has_schema(SCHEMA):
                connection.execute(CreateSchema(SCHEMA))
        if not self._exists(connection):
            self._shared.metadata.create_all(connection)
            connection.execute(insert(self._shared.meta).values(schema_version=SCHEMA_VERSION))
        self._check_version(connection)

    def _exists(self, connection: Connection) -> bool:
        meta = self._shared.meta
        return inspect(connection).has_table(meta.name, schema=meta.schema)

    def _check_version(self, connection: Connection) -> None:
        found = connection.execute(select(self._shared.meta.c.schema_version)).scalars().all()
        if found != [SCHEMA_VERSION]:
            raise StoreMismatch(
                f"the tables in {self._database.address} are of schema version {', '.join(map(str, found)) or 'none'}, "
                f"and this package works with version {SCHEMA_VERSION}; use the version of everwhen that made them, "
                "or a fresh store"
            )

    def _live(self, connection: Connection, projection: str) -> Generation | None:
        generations = self._shared.generations.c
        row = (
            connection.execute(
                select(
                    generations.projection,
                    generations.number,
                    generations.version,
                    generations.fingerprint,
                    generations.topic,
                ).where(generations.projection == projection, generations.state == "live")
            )
            .mappings()
            .one_or_none()
        )
        return Generation(**row) if row is not None else None

    def _names(self, connection: Connection) -> list[str]:
        generations = self._shared.generations.c
        names = select(generations.projection).where(generations.state == "live").order_by(generations.projection)
        return list(connection.execute(names).scalars())

    def _create_generation(self, connection: Connection, blueprint: Blueprint) -> Generation:
        generation = Generation(blueprint.projection, 1, blueprint.version, blueprint.fingerprint, blueprint.topic)
        tables = GenerationTables(self._database.kind, generation.projection, generation.number)
        tables.metadata.create_all(connection, checkfirst=False)
        connection.execute(
            insert(self._shared.generations).values(
                projection=generation.projection,
                number=generation.number,
                version=generation.version,
                fingerprint=generation.fingerprint,
                topic=generation.topic,
                state="live",
                created_at=time.time_ns() // 1000,
            )
        )
        if self._database.kind == POSTGRESQL:
            create_views(connection, blueprint, tables)
        return generation

    def _check_same(self, generation: Generation, blueprint: Blueprint) -> None:
        held, ours = _describe(generation), _describe(blueprint)
        if held != ours:
            raise GenerationMismatch(
                f"the store {self._database.address} holds projection {blueprint.projection} {held}; this program "
                f"has {ours}. States of the two must not be mixed: point this program at a fresh store, or run the "
                "code that built this one"
            )


def _describe(built: Generation | Blueprint) -> str:
    return f"version {built.version}, code {built.fingerprint[:12]}, of topic {built.topic}"


def _check_name(projection: str) -> None:
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
