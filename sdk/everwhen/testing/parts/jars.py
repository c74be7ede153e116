"""The jars of an Apache Kafka broker: fetched once, checked against ``jars.lock``, kept in the user's cache.

``jars.lock`` names every jar with its SHA-256, so nothing is resolved at run time: a resolver's answer depends on the
resolver (jgo's picks kafka-clients 3.9.1 for a 4.1.1 broker), and jgo only warns where a checksum is wrong. jgo is used
for what it knows best, where a jar lies in Maven Central.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from everwhen.testing.parts.errors import PartsError
from everwhen.testing.parts.sources import require

if TYPE_CHECKING:
    from jgo.maven import MavenContext

KAFKA_VERSION = "4.1.1"
"""The Apache Kafka version of ``jars.lock``, and of the container image."""

_LOCK = Path(__file__).with_name("jars.lock")
_DOWNLOADS_AT_ONCE = 6
_SECONDS_FOR_ONE_ANSWER = 60


@dataclass(frozen=True)
class Jar:
    """One jar in Maven's coordinates, and the SHA-256 of the file."""

    group: str
    artifact: str
    version: str
    sha256: str


def cached_jars() -> Path | None:
    """The folder of the jars if they have been fetched."""
    folder = _folder()
    return folder if folder.is_dir() else None


def fetch_jars() -> Path:
    """The folder of the jars; 43 MB are downloaded the first time.

    Two processes may do this at once: each downloads into a folder of its own and the first rename wins.
    """
    folder = _folder()
    if folder.is_dir():
        return folder
    require("jgo", "jgo")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetch-") as scratch:
        complete = Path(scratch, "complete")
        complete.mkdir()
        _download(locked_jars(), Path(scratch, "repository"), complete)
        try:
            complete.rename(folder)
        except OSError as error:
            if not folder.is_dir():
                raise PartsError(f"{folder} cannot be written: {error}") from error
    return folder


def locked_jars() -> list[Jar]:
    """What ``jars.lock`` names."""
    lines = [line.replace(":", " ").split() for line in _LOCK.read_text().splitlines() if not line.startswith("#")]
    return [Jar(group, artifact, version, sha256) for group, artifact, version, sha256 in lines]


def classpath(folder: Path) -> str:
    """What ``java -cp`` wants."""
    return os.pathsep.join(str(jar) for jar in sorted(folder.glob("*.jar")))


def _folder() -> Path:
    """In the user's cache; another lock file is another folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    digest = hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:8]
    return Path(cache, "everwhen", f"kafka-{KAFKA_VERSION}-{digest}")


def _download(jars: list[Jar], repository: Path, into: Path) -> None:
    from jgo.maven import MavenContext

    maven = MavenContext(repo_cache=repository, timeout=_SECONDS_FOR_ONE_ANSWER)
    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
        for path in pool.map(lambda jar: _download_one(maven, jar), jars):
            shutil.move(path, into / path.name)


def _download_one(maven: MavenContext, jar: Jar) -> Path:
    name = f"{jar.group}:{jar.artifact}:{jar.version}"
    try:
        path = Path(maven.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except Exception as error:  # whatever jgo and its HTTP client raise: all of it means the same here
        raise PartsError(f"{name} cannot be fetched from Maven Central: {error}") from error
    if digest != jar.sha256:
        raise PartsError(f"{name} is not the file that jars.lock names: SHA-256 is {digest}")
    return path
