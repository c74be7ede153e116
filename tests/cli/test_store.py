"""``everwhen store``: the tables, from nothing to the version of this program."""

from __future__ import annotations

import sqlite3

from everwhen.cli.exits import Exit
from everwhen.sql.tables import SCHEMA_VERSION
from tests.cli.workspace import STORE, Workspace
from tests.store import old_stores

HERE = ("--store", STORE)


def test_the_tables_of_a_projection_are_made_before_its_worker_starts(workspace: Workspace) -> None:
    """Twice is once; then a worker finds all that it needs, and a check finds nothing wrong."""
    absent = workspace.run("store", "check", *HERE)
    assert (absent.code, absent.out) == (Exit.REFUSED, "")
    assert "everwhen store init" in absent.error
    assert not (workspace.path / "store.db").exists()
    assert workspace.run("store", "init", *HERE).out == "the tables are created\n"
    assert workspace.run("store", "init", "bank:account", *HERE).out.startswith("the tables are there already\n")
    found = workspace.run("store", "check", *HERE, "--json").document
    assert (found["version"], found["works_with"], found["problems"]) == (SCHEMA_VERSION, SCHEMA_VERSION, [])
    (built,) = found["generations"]
    assert (built["projection"], built["number"], built["state"]) == ("account", 1, "live")
    workspace.publish("story")
    assert workspace.project().code == Exit.DONE
    assert workspace.run("store", "check", *HERE).out.split("\t")[0] == "account"
    assert workspace.run("store", "init", "--grant", "somebody", *HERE).code == Exit.USAGE


def test_tables_of_an_older_version_are_refused_until_they_are_upgraded(workspace: Workspace) -> None:
    """The script says what would be done, and does nothing; upgrading twice is upgrading once."""
    file = workspace.path / "store.db"
    old_stores.make(f"sqlite:///{file}")
    for refused in (("get", "ledger", "a"), ("store", "check"), ("store", "init")):
        done = workspace.run(*refused, *HERE)
        assert done.code == Exit.REFUSED
        assert "everwhen store upgrade" in done.err
    script = workspace.run("store", "upgrade", "--sql", *HERE).out.splitlines()
    assert (script[0], script[-1]) == ("BEGIN IMMEDIATE;", "COMMIT;")
    assert f"version 2 to {SCHEMA_VERSION}:" in workspace.run("store", "upgrade", *HERE).out
    assert "nothing to upgrade" in workspace.run("store", "upgrade", *HERE).out
    assert workspace.run("store", "upgrade", "--sql", *HERE).out == ""
    assert workspace.run("get", "ledger", "a", *HERE).code == Exit.DONE
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE everwhen_meta SET schema_version = 99")
    for refused in (("get", "ledger", "a"), ("store", "upgrade")):
        assert "install a newer everwhen" in workspace.run(*refused, *HERE).error
