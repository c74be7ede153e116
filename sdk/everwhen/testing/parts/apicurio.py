"""Apicurio Registry as a plain process: its distribution from Maven Central, unpacked once into the user's cache.

``registry.lock`` names the archive with its SHA-256. The distribution is needed whole: with an unused jar removed it
refuses to start.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from everwhen.testing.parts.errors import PartsError
from everwhen.testing.parts.process import HOST, GuardedProcess, free_ports, wait_until
from everwhen.testing.parts.sources import require

if TYPE_CHECKING:
    from everwhen.testing.parts.java import Java

REGISTRY_JAVA = 21
"""Apicurio Registry 3 is compiled for this Java version."""

_LOCK = Path(__file__).with_name("registry.lock")
_START_SECONDS = 90.0
_STOP_SECONDS = 10.0
_ANSWER_SECONDS = 3.0
_DOWNLOAD_SECONDS = 300


def registry_version() -> str:
    """The version that ``registry.lock`` names."""
    return _locked()[2]


def cached_registry() -> Path | None:
    """The folder of the distribution if it has been fetched."""
    folder = _folder()
    return folder if folder.is_dir() else None


def fetch_registry() -> Path:
    """The folder of the distribution; 158 MB are downloaded the first time.

    Two processes may do this at once: each downloads into a folder of its own and the first rename wins.
    """
    folder = _folder()
    if folder.is_dir():
        return folder
    require("jgo", "jgo")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetch-") as scratch:
        complete = Path(scratch, "complete")
        with tarfile.open(_download(Path(scratch, "repository"))) as archive:
            # Filters (PEP 706) came with Python 3.11.4; the archive is the one that is named, to the byte.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(complete)  # noqa: S202 - see above
        try:
            complete.rename(folder)
        except OSError as error:
            if not folder.is_dir():
                raise PartsError(f"{folder} cannot be written: {error}") from error
    return folder


class RegistryServer:
    """A registry whose port and schemas stay the same over every stop and start, in a directory that `remove` removes.

    Its global level of compatibility is ``BACKWARD``, Confluent's default; Apicurio's own is ``NONE``.
    """

    def __init__(self, java: Java, folder: Path) -> None:
        self._folder = folder
        self._java = java
        self._directory = Path(tempfile.mkdtemp(prefix="everwhen-registry-"))
        self.port, self._management = free_ports(2)
        self._process: GuardedProcess | None = None

    @property
    def url(self) -> str:
        """Where its Confluent-compatible API answers."""
        return f"http://{HOST}:{self.port}/apis/ccompat/v7"

    def start(self) -> None:
        """Start the process and return once it answers."""
        self._process = GuardedProcess(self._command(), directory=self._directory, log=self._directory / "log")
        try:
            wait_until(self._ready, what="the registry", server=self._process, seconds=_START_SECONDS)
            _put(f"{self.url}/config", {"compatibility": "BACKWARD"})
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the process; what was registered is there again after :meth:`start`."""
        if self._process is not None:
            self._process.end(signal.SIGTERM, _STOP_SECONDS)
            self._process = None

    def remove(self) -> None:
        """End the process and remove its data."""
        if self._process is not None:
            self._process.end(signal.SIGKILL, _STOP_SECONDS)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _command(self) -> list[str]:
        settings = {
            "quarkus.http.host": HOST,
            "quarkus.http.port": self.port,
            "quarkus.management.host": HOST,
            "quarkus.management.port": self._management,
            "apicurio.storage.kind": "sql",
            "apicurio.storage.sql.kind": "h2",
            "apicurio.datasource.url": f"jdbc:h2:file:{self._directory / 'schemas'};DB_CLOSE_ON_EXIT=FALSE",
            "apicurio.datasource.jdbc.initial-size": 2,
            "apicurio.datasource.jdbc.min-size": 2,
        }
        quick = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
        options = (f"-D{name}={value}" for name, value in settings.items())
        own = f"-Djava.io.tmpdir={self._directory}"
        return [str(self._java.path), *quick, own, *options, "-jar", str(self._folder / "quarkus-run.jar")]

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self._management}/health/ready", timeout=_ANSWER_SECONDS):
                return True
        except OSError:
            return False


def _put(url: str, body: object) -> None:
    request = urllib.request.Request(  # noqa: S310 - on loopback
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="PUT"
    )
    with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS * 3):  # noqa: S310 - as above
        return


def _locked() -> tuple[str, str, str, str, str, str]:
    (line,) = (line for line in _LOCK.read_text().splitlines() if not line.startswith("#"))
    group, artifact, version, classifier, packaging, sha256 = line.replace(":", " ").split()
    return group, artifact, version, classifier, packaging, sha256


def _folder() -> Path:
    """In the user's cache; another archive is another folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    _, artifact, version, _, _, sha256 = _locked()
    return Path(cache, "everwhen", f"{artifact}-{version}-{sha256[:8]}")


def _download(repository: Path) -> Path:
    from jgo.maven import MavenContext

    group, artifact, version, classifier, packaging, sha256 = _locked()
    name = f"{group}:{artifact}:{version}"
    try:
        maven = MavenContext(repo_cache=repository, timeout=_DOWNLOAD_SECONDS)
        component = maven.project(group, artifact).at_version(version)
        path = Path(component.artifact(classifier=classifier, packaging=packaging).resolve())
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except Exception as error:  # whatever jgo and its HTTP client raise: all of it means the same here
        raise PartsError(f"{name} cannot be fetched from Maven Central: {error}") from error
    if digest != sha256:
        raise PartsError(f"{name} is not the file that registry.lock names: SHA-256 is {digest}")
    return path
