"""``everwhen prune``: what it says that it will do, and what it did."""

from __future__ import annotations

import pytest

from everwhen.cli.exits import Exit
from tests.cli.workspace import STORE, Workspace

FROM_STORE = ("--store", STORE)


@pytest.fixture
def projected(workspace: Workspace) -> Workspace:
    """The story is published and projected."""
    workspace.publish("story")
    assert workspace.project().code == Exit.DONE
    return workspace


def test_it_drops_what_it_said_and_questions_before_it_are_truncated(projected: Workspace) -> None:
    """It asks first, which cannot be done without a terminal; the second time there is nothing left to drop."""
    last = projected.run("get", "account", "acc-1", *FROM_STORE, "--json").document["valid_from"]
    prune = ("prune", "account", "--before", last, *FROM_STORE)
    asked = projected.run(*prune)
    assert asked.code == Exit.USAGE
    assert "Say --yes" in asked.error
    done = projected.run(*prune, "--yes", "--json").document
    assert done["versions"] >= 1
    assert f"{done['versions']} versions" in asked.error
    before = projected.run("get", "account", "acc-1", "--valid-at", "2000-01-01T00:00:00Z", *FROM_STORE)
    assert before.code == Exit.TRUNCATED
    assert projected.run("get", "account", "acc-1", *FROM_STORE, "--json").document["status"] == "found"
    assert projected.run("explain", "account", "acc-1", *FROM_STORE, "--json").document["pruned_before"] == last
    assert "0 versions" in projected.run(*prune, "--yes").out


@pytest.mark.parametrize("before", [(), ("--before", "2999-01-01T00:00:00Z"), ("--before", "2026-01-01")])
def test_an_instant_that_cannot_be_meant_is_refused(projected: Workspace, before: tuple[str, ...]) -> None:
    """None, one that has not come, and a day without a time."""
    done = projected.run("prune", "account", *before, "--yes", *FROM_STORE)
    assert done.code == Exit.USAGE
    assert "--before" in done.error
