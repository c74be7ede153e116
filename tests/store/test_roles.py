"""Roles of PostgreSQL that may not create tables: what they need, who gives it to them, and what is said without it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import pytest

from everwhen import Reader, Status
from everwhen.errors import ArgumentError, StoreError
from everwhen.sql import SqlStore
from everwhen.testing.parts.postgres_urls import execute
from everwhen.worker import blueprint
from tests.worker.test_corrections import Place, local


class Role(NamedTuple):
    """A role that may do nothing yet."""

    name: str
    url: str


@pytest.fixture
def roles(postgres_url: str) -> Iterator[list[Role]]:
    """Two of them, which can connect to the database; their names need quotes."""
    made = []
    for kind in ("worker", "reader"):
        name, password = f"The {kind} {secrets.token_hex(4)}", secrets.token_hex(8)
        execute(postgres_url, f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{password}'")
        parts = urlsplit(postgres_url)
        place = parts.netloc.rpartition("@")[2]
        netloc = f"{name.replace(' ', '%20')}:{password}@{place}"
        made.append(Role(name, urlunsplit(parts._replace(netloc=netloc))))
    yield made
    for role in made:
        execute(postgres_url, f'DROP OWNED BY "{role.name}"')
        execute(postgres_url, f'DROP ROLE "{role.name}"')


def test_a_role_that_may_not_create_runs_a_worker_once_the_owner_has_made_the_tables(
    postgres_url: str, roles: list[Role], tmp_path: Path
) -> None:
    """It is told what to do until then; then everything works, for a projection that is added later too."""
    writer, asker = roles
    here = local(tmp_path)
    place, other = (Place(here.log, each.url, here.topic) for each in roles)
    place.note("1", 1)
    with pytest.raises(StoreError, match="everwhen store init MODULE:PROJECTION --grant ROLE"):
        place.project()
    with closing(SqlStore(postgres_url)) as owner:
        assert owner.schema().create()
        with pytest.raises(StoreError, match="everwhen store init"):
            place.project()
        owner.schema().grant(writer.name, writing=True)
        owner.schema().grant(asker.name, writing=False)
        with pytest.raises(StoreError, match="everwhen store init"):
            place.project()
        owner.prepare(blueprint(place.projection))
    wrong = place.note("2", 2)
    place.project()
    place.retract(wrong)
    place.project()
    assert place.notes() == other.notes() == ["1"]
    with Reader("ledger", asker.url) as reader:
        assert [answer.status for answer in reader.join([("a", reader.get("a").valid_at)])] == [Status.FOUND]
    with closing(SqlStore(writer.url)) as store:
        list(store.pruning("ledger").portions(0))
        topic = store.continuity("ledger")
        assert topic.generation.projection == "ledger"
        assert store.schema().check().problems == []
    assert execute(asker.url, "SELECT count(*) FROM everwhen.ledger") == "1"


def test_what_a_role_may_not_do_is_named(postgres_url: str, roles: list[Role], tmp_path: Path) -> None:
    """One line for all where it sees nothing, one a table where it may only read; and nobody is shown rows."""
    writer, asker = roles
    with closing(SqlStore(postgres_url)) as owner, closing(SqlStore(asker.url)) as store:
        owner.prepare(blueprint(local(tmp_path).projection))
        (problem,) = store.schema().check().problems
        assert f"everwhen store init --grant {asker.name}" in problem
        with pytest.raises(StoreError, match="no right"):
            store.reader("ledger")
        owner.schema().grant(asker.name, writing=False)
        assert store.schema().check(writing=False).problems == []
        problems = store.schema().check().problems
        assert len(problems) == 4
        assert all("DELETE, INSERT, TRUNCATE, UPDATE" in each for each in problems)
        with pytest.raises(StoreError):
            owner.schema().grant("nobody at all", writing=True)
        with pytest.raises(StoreError, match="not ours to grant"):
            store.schema().grant(writer.name, writing=True)


def test_a_file_has_no_roles(tmp_path: Path) -> None:
    """Who may write it is for the file system to say."""
    with closing(SqlStore(f"sqlite:///{tmp_path}/store.db")) as store:
        store.schema().create()
        with pytest.raises(ArgumentError, match="permissions"):
            store.schema().grant("somebody", writing=True)
