"""Kafka's jars are taken only as ``jars.lock`` names them. No test here uses the network."""

from __future__ import annotations

import hashlib
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from everwhen.testing.parts import PartsError, jars

CONTENT = b"classes"


class FakeMaven:
    """As much of jgo as is used: every artifact of every coordinate has the same content."""

    def __init__(self, repo_cache: Path, timeout: float) -> None:
        self._repository = repo_cache
        self._path = Path()

    def project(self, group: str, artifact: str) -> FakeMaven:
        found = FakeMaven(self._repository, 0)
        found._path = self._repository / group / artifact
        return found

    def at_version(self, version: str) -> FakeMaven:
        self._path = self._path / version / f"{self._path.name}-{version}.jar"
        return self

    def artifact(self) -> FakeMaven:
        return self

    def resolve(self) -> Path:
        self._path.parent.mkdir(parents=True)
        self._path.write_bytes(CONTENT)
        return self._path


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, a lock file of three jars, and no network."""
    module = types.ModuleType("jgo.maven")
    module.MavenContext = FakeMaven  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jgo.maven", module)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(jars, "_LOCK", tmp_path / "jars.lock")
    lock(tmp_path, hashlib.sha256(CONTENT).hexdigest())


def lock(directory: Path, sha256: str) -> None:
    """Write a lock file."""
    lines = [f"org.example:part-{name}:1.0 {sha256}\n" for name in "abc"]
    (directory / "jars.lock").write_text("# what it is\n" + "".join(lines))


def test_jars_are_fetched_once_and_kept() -> None:
    """The second call needs neither network nor jgo."""
    folder = jars.fetch_jars()
    assert sorted(path.name for path in folder.iterdir()) == ["part-a-1.0.jar", "part-b-1.0.jar", "part-c-1.0.jar"]
    del sys.modules["jgo.maven"]
    assert jars.fetch_jars() == jars.cached_jars() == folder


def test_two_that_fetch_at_once_share_one_folder(tmp_path: Path) -> None:
    """The first rename wins; nothing half-made and nothing superfluous is left."""
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: jars.fetch_jars(), range(4)))
    assert len(folders) == 1
    assert list((tmp_path / "cache" / "everwhen").iterdir()) == list(folders)


def test_another_content_is_refused(tmp_path: Path) -> None:
    """A jar that is not the locked one is named and not kept."""
    lock(tmp_path, "0" * 64)
    with pytest.raises(PartsError, match=r"org\.example:part-a:1\.0 is not the file that jars\.lock names"):
        jars.fetch_jars()
    assert jars.cached_jars() is None


def test_another_lock_file_is_another_folder(tmp_path: Path) -> None:
    """An upgrade of Kafka does not mix with what the cache holds."""
    before = jars.fetch_jars()
    with (tmp_path / "jars.lock").open("a") as file:
        file.write("# of today\n")
    assert jars.fetch_jars() != before


def test_the_lock_file_of_the_package_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the broker of the version that is promised, and a digest for every jar."""
    monkeypatch.undo()
    locked = jars.locked_jars()
    assert ("org.apache.kafka", "kafka_2.13", jars.KAFKA_VERSION) in {(j.group, j.artifact, j.version) for j in locked}
    assert all(len(jar.sha256) == 64 for jar in locked)
    assert len({jar.artifact for jar in locked}) == len(locked)
