"""A PostgreSQL server with ``ssl=on`` for tests, from the server that is installed on the machine."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from everwhen.testing.parts import sources
from everwhen.testing.parts.authority import Authority
from everwhen.testing.parts.databases import LocalPostgres
from everwhen.testing.parts.postgres_urls import execute, without_password

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class SecurePostgresAddress:
    """Where the server answers; can be handed to other processes. It takes connections by TLS only.

    :ivar url: to the database for administration, by the address ``127.0.0.1``; without any parameter for TLS.
    :ivar localhost: the same by the name ``localhost``, which the certificate does not have.
    :ivar authority: the certificate that vouches for the server, as the path of a PEM file.
    :ivar stranger: the certificate of an authority that does not.
    """

    url: str = field(repr=False)
    authority: Path
    stranger: Path
    version: str
    means: str = "installed"
    passed_over: tuple[str, ...] = ()

    @property
    def localhost(self) -> str:
        """`url` by another name."""
        return self.url.replace("@127.0.0.1:", "@localhost:")

    def describe(self) -> str:
        """One line, such as ``PostgreSQL 15.8 (installed) with TLS at 127.0.0.1:25432``."""
        return f"PostgreSQL {self.version} ({self.means}) with TLS at {without_password(self.url)}"


class SecurePostgres(sources.Running):
    """A server that takes connections by TLS only."""

    def __init__(self, address: SecurePostgresAddress, end: Callable[[], None]) -> None:
        super().__init__(end)
        self.address = address


def start_secure_postgres() -> SecurePostgres:
    """Start a server with a certificate for ``127.0.0.1`` and return once it answers.

    Raises `PartsError` saying what is missing.
    """
    sources.require("psycopg", "psycopg[binary]")
    directory = Path(tempfile.mkdtemp(prefix="everwhen-tls-"))
    server: LocalPostgres | None = None

    def end() -> None:
        if server is not None:
            server.remove()
        shutil.rmtree(directory, ignore_errors=True)

    try:
        (directory / "stranger").mkdir()
        authority, stranger = Authority(directory), Authority(directory / "stranger")
        server = LocalPostgres(fsync=False, tls=authority.issue("postgres", ["127.0.0.1"]))
        server.create()
        server.start()
        version = execute(server.url, "show server_version").partition(" ")[0]
    except BaseException:
        end()
        raise
    return SecurePostgres(SecurePostgresAddress(server.url, authority.certificate, stranger.certificate, version), end)
