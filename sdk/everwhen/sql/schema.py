"""Making our tables, upgrading them, and comparing what is there with what must be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, Update, inspect, select, text, update

from everwhen.errors import ArgumentError, StoreError, StoreMismatch
from everwhen.ports.schema import Built, Condition, Upgraded
from everwhen.sql.catalog import Catalog
from everwhen.sql.continuity import NOBODY
from everwhen.sql.database import Database
from everwhen.sql.expressions import POSTGRESQL
from everwhen.sql.migrations import BASELINE, STEPS, Dialect, Step
from everwhen.sql.tables import SCHEMA, GenerationTables, SharedTables
from everwhen.sql.versions import CHANGING, found_version, mismatch, wait_for_turn

_DROPPED: Final = "dropped"
"""The state of a generation whose row is kept and whose tables are gone."""
_READ: Final = ("SELECT",)
_WRITE: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
"""The last one for ``everwhen continuity restart``."""
_MISSING_RIGHTS: Final = text("""
SELECT asked.name, string_agg(privilege, ', ' ORDER BY privilege)
FROM unnest(CAST(:names AS text[])) AS asked (name), unnest(CAST(:privileges AS text[])) AS privilege
WHERE NOT has_table_privilege(CAST(:role AS text), asked.name, privilege)
GROUP BY asked.name ORDER BY asked.name
""")


class SqlSchema:
    """Implements :class:`everwhen.ports.schema.StoreSchema`.

    :param steps: what leads from one version to the next, in order.
    """

    def __init__(
        self, database: Database, shared: SharedTables, catalog: Catalog, steps: Sequence[Step] = STEPS
    ) -> None:
        self._database = database
        self._shared = shared
        self._catalog = catalog
        self._steps = steps
        self._dialect = Dialect(database.kind)

    def create(self) -> bool:
        """Create the tables that all projections share; return whether they were missing.

        :raises StoreMismatch: if they are there in another version.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        return self._catalog.create_shared()

    def grant(self, role: str, *, writing: bool) -> None:
        """Let a role of the database read, or read and write, all tables: also those that are made later by this one.

        :raises ArgumentError: if the database has no roles.
        :raises StoreError: if there is no such role, or these tables are not ours to grant.
        """
        if self._database.kind != POSTGRESQL:
            raise ArgumentError(f"{self._database.address} is a file, and has no roles: set the file's permissions")
        rights = ", ".join(_WRITE if writing else _READ)
        with self._database.core(f"granting rights to role {role}") as connection:
            wait_for_turn(connection)
            name = connection.dialect.identifier_preparer.quote_identifier(role)
            for statement in (
                f"GRANT USAGE ON SCHEMA {SCHEMA} TO {name}",
                f"GRANT {rights} ON ALL TABLES IN SCHEMA {SCHEMA} TO {name}",
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA {SCHEMA} GRANT {rights} ON TABLES TO {name}",
            ):
                connection.exec_driver_sql(statement)
            # Of what is not ours to grant PostgreSQL only warns.
            if lacking := list(
                self._lacking(connection, self._shared.metadata.sorted_tables, rights.split(", "), role)
            ):
                raise StoreError(
                    f"role {role} lacks {'; '.join(lacking)} in {self._database.address}, as these rights are not ours "
                    "to grant: run everwhen store init as the owner of the tables"
                )

    def upgrade(self) -> Upgraded:
        """Bring the tables to the version of this package, in one transaction, and fence every worker.

        :raises StoreMismatch: if they are of a newer version, or of one that cannot be upgraded.
        :raises StoreUnavailable: if the database failed, or somebody holds the tables for too long; nothing was done.
        """
        self._check_present()
        with self._database.core("upgrading the tables") as connection:
            wait_for_turn(connection)
            self._allow_time(connection)
            found = self._upgradable(connection)
            statements = self._statements(connection, found)
            for statement in statements:
                connection.exec_driver_sql(statement)
        return Upgraded(found, self._reached, statements)

    def script(self) -> Sequence[str]:
        """Return what :meth:`upgrade` would execute, transaction included, for somebody who does that by hand.

        :raises StoreMismatch: as for :meth:`upgrade`.
        """
        self._check_present()
        with self._database.core("reading which tables there are", reading=True) as connection:
            statements = self._statements(connection, self._upgradable(connection))
        if not statements:
            return ()
        if self._database.kind != POSTGRESQL:
            return "BEGIN IMMEDIATE", *statements, "COMMIT"
        return "BEGIN", f"SELECT pg_advisory_xact_lock({CHANGING})", *statements, "COMMIT"

    def check(self, *, writing: bool = True) -> Condition:
        """Compare what is there with what must be; change nothing.

        :param writing: also say which rights are missing to write.
        """
        if self._database.is_absent():
            return Condition(None, self._reached, (), [self._nothing()])
        with self._database.core("checking the tables", reading=True) as connection:
            if not self._catalog.exists(connection):
                return Condition(None, self._reached, (), [self._nothing()])
            wanted = _WRITE if writing else _READ
            tables = self._shared.metadata.sorted_tables
            if denied := list(self._denied(connection, tables, wanted)):
                return Condition(None, self._reached, (), denied)
            found = found_version(connection, self._shared)
            if found != self._reached:
                return Condition(found, self._reached, (), [str(mismatch(self._database.address, found))])
            built = self._built(connection)
            for each in _kept(built):
                tables += GenerationTables(self._database.kind, each.projection, each.number).metadata.sorted_tables
            problems = [*self._incomplete(connection, tables), *self._denied(connection, tables, wanted)]
            return Condition(found, self._reached, built, problems)

    @property
    def _reached(self) -> int:
        return self._steps[-1].version

    def _check_present(self) -> None:
        if not self._database.is_absent():
            with self._database.core("looking for tables", reading=True) as connection:
                if self._catalog.exists(connection):
                    return
        raise StoreMismatch(self._nothing())

    def _nothing(self) -> str:
        return f"{self._database.address} holds no tables of ours; make them with everwhen store init"

    def _upgradable(self, connection: Connection) -> int:
        found = found_version(connection, self._shared)
        if found is None or found > self._reached:
            raise mismatch(self._database.address, found)
        if found < BASELINE:
            raise StoreMismatch(
                f"the tables in {self._database.address} are of schema version {found}, and those before {BASELINE} "
                "cannot be upgraded: project into a fresh store"
            )
        return found

    def _allow_time(self, connection: Connection) -> None:
        """Let a statement take as long as it takes: what waits for a lock is still given up in time."""
        if self._database.kind == POSTGRESQL:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            raw: Any = connection.connection.driver_connection
            if hasattr(raw, "answer_within"):
                raw.answer_within = None

    def _statements(self, connection: Connection, found: int) -> list[str]:
        steps = [step for step in self._steps if step.version > found]
        if not steps:
            return []
        prefixes = [f"{each.projection}__{each.number}_" for each in _kept(self._built(connection))]
        write, statements = self._dialect.write, []
        if self._database.kind == POSTGRESQL:
            # First: it waits for every batch, claim and question that is under way, and keeps new ones waiting. So
            # nothing is written by rules of two versions, and no snapshot is read with tables of two.
            statements.append(write("LOCK TABLE {shared}checkpoints IN ACCESS EXCLUSIVE MODE"))
        for step in steps:
            statements += step.statements(self._dialect, prefixes)
        # A worker of an older version is fenced, and refused when it claims again.
        checkpoints, meta = self._shared.checkpoints, self._shared.meta
        fence = update(checkpoints).values(owner=NOBODY, epoch=checkpoints.c.epoch + 1)
        statements.append(_text(connection, fence))
        statements.append(_text(connection, update(meta).values(schema_version=self._reached)))
        return statements

    def _built(self, connection: Connection) -> list[Built]:
        rows = self._shared.generations.c
        listed = select(rows.projection, rows.number, rows.version, rows.state, rows.topic)
        return [Built(*row) for row in connection.execute(listed.order_by(rows.projection, rows.number))]

    def _incomplete(self, connection: Connection, tables: Sequence[Table]) -> Iterator[str]:
        inspector = inspect(connection)
        for table in tables:
            if not inspector.has_table(table.name, schema=table.schema):
                yield f"table {table.fullname} is missing; restore it, or project into a fresh store"
                continue
            there = {each["name"] for each in inspector.get_columns(table.name, schema=table.schema)}
            if missing := [each.name for each in table.c if each.name not in there]:
                yield (
                    f"table {table.fullname} has no column {', '.join(missing)}, though its store says that it is of "
                    f"schema version {self._reached}; restore it, or project into a fresh store"
                )

    def _denied(self, connection: Connection, tables: Sequence[Table], wanted: Sequence[str]) -> Iterator[str]:
        if self._database.kind != POSTGRESQL:
            return
        (role,) = connection.execute(text("SELECT current_user")).scalars()
        remedy = f"have the owner run everwhen store init --grant {role}"
        asked = text("SELECT has_schema_privilege(:schema, 'USAGE')")
        if not connection.execute(asked, {"schema": SCHEMA}).scalar():
            yield f"role {role} may not use schema {SCHEMA}; {remedy}"
            return
        for lacking in self._lacking(connection, tables, wanted, role):
            yield f"role {role} lacks {lacking}; {remedy}"

    def _lacking(
        self, connection: Connection, tables: Sequence[Table], wanted: Sequence[str], role: str
    ) -> Iterator[str]:
        """Say which rights a role lacks, a line for each table that is there."""
        inspector = inspect(connection)
        names = [each.fullname for each in tables if inspector.has_table(each.name, schema=each.schema)]
        asked = {"names": names, "privileges": list(wanted), "role": role}
        for name, rights in connection.execute(_MISSING_RIGHTS, asked):
            yield f"{rights} on {name}"


def _kept(built: Sequence[Built]) -> list[Built]:
    return [each for each in built if each.state != _DROPPED]


def _text(connection: Connection, clause: Update) -> str:
    return " ".join(str(clause.compile(connection, compile_kwargs={"literal_binds": True})).split())
