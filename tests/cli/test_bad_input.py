"""What is wrong is told in one line with a remedy and an exit code: no traceback, no payload, no password."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from everwhen.cli.exits import Exit
from everwhen.positions import Basis
from tests.cli.workspace import LOG, STORE, Finished, Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

SECRET = "hunter2"
BASIS = str(Basis.of("bank.accounts", {}))
ON_FILES = ("--log", LOG, "--store", STORE)
DOWN = f"postgresql+psycopg://ada:{SECRET}@127.0.0.1:1/bank"


@pytest.fixture(scope="module")
def published(told: Workspace) -> Workspace:
    """A log with events, and a store with one projection of them."""
    return told


BAD = {
    "a database that is down": (("get", "account", "a", "--store", DOWN), Exit.STORE_UNAVAILABLE, "try again"),
    "a worker's database that is down": (
        ("worker", "bank:account", "--log", LOG, "--store", DOWN),
        Exit.STORE_UNAVAILABLE,
        "try again",
    ),
    "another database": (
        ("get", "account", "a", "--store", f"mysql://ada:{SECRET}@host/bank"),
        Exit.USAGE,
        "postgresql+psycopg://",
    ),
    "no URL": (("get", "account", "a", "--store", f"ada:{SECRET}"), Exit.USAGE, "postgresql+psycopg://"),
    "no store": (("get", "account", "a"), Exit.USAGE, "EVERWHEN_STORE"),
    "no log": (("worker", "bank:account", "--store", STORE), Exit.USAGE, "EVERWHEN_LOG"),
    "another log": (("topic", "check", "bank:accounts", "--log", f"amqp://ada:{SECRET}@host"), Exit.USAGE, "kafka://"),
    "a password in the log's URL": (
        ("topic", "check", "bank:accounts", "--log", f"kafka://ada:{SECRET}@host", "--kafka", "client.id=x"),
        Exit.USAGE,
        "sasl.password",
    ),
    "a secret that lost its name": (
        ("topic", "check", "bank:accounts", "--log", "kafka://host", "--kafka", SECRET),
        Exit.USAGE,
        "NAME=VALUE",
    ),
    "Kafka's settings for a file": (
        ("topic", "check", "bank:accounts", "--log", LOG, "--kafka", "a=b"),
        Exit.USAGE,
        "kafka://HOST:PORT",
    ),
    "a topic that is not there": (
        ("worker", "bank:account", "--log", "sqlite:///empty.db", "--store", STORE),
        Exit.NOT_FOUND,
        "bank.accounts",
    ),
    "an unknown projection": (("get", "acount", "a", "--store", STORE), Exit.NOT_FOUND, "it holds account"),
    "a naive instant": (
        ("get", "account", "a", "--store", STORE, "--valid-at", "2026-03-01T00:00:00"),
        Exit.USAGE,
        "--valid-at is not an instant: it has no offset, add Z",
    ),
    "a date": (("get", "account", "a", "--store", STORE, "--known-at", "2026-03-01"), Exit.USAGE, "--known-at"),
    "nanoseconds": (
        ("snapshot", "account", "--store", STORE, "--valid-at", "2026-03-01T00:00:00.000000001Z"),
        Exit.USAGE,
        "--valid-at is finer than a microsecond",
    ),
    "a year out of range": (
        ("snapshot", "account", "--store", STORE, "--valid-at", "9999-12-31T23:59:59-01:00"),
        Exit.USAGE,
        "--valid-at lies outside",
    ),
    "two points of knowledge": (
        ("get", "account", "a", "--store", STORE, "--known-at", "2026-03-01T00:00:00Z", "--basis", BASIS),
        Exit.USAGE,
        "known_at or basis",
    ),
    "a token that is none": (("history", "account", "a", "--store", STORE, "--basis", "x"), Exit.USAGE, "basis"),
    "an empty entity": (("get", "account", "", "--store", STORE), Exit.USAGE, "entity_id"),
    "no MODULE:NAME": (("worker", "bank", *ON_FILES), Exit.USAGE, "MODULE:PROJECTION; write it like bank:account"),
    "a path for a module": (("schema", "write", "./bank.py:accounts"), Exit.USAGE, "MODULE:TOPIC; write it like bank:"),
    "a missing module": (("worker", "banc:account", *ON_FILES), Exit.USAGE, "there is no module banc; start in"),
    "a missing name": (
        ("worker", "bank:acount", *ON_FILES),
        Exit.USAGE,
        "its projections are: account, broken, generous, newer",
    ),
    "a topic for a projection": (("get", "bank:accounts", "a", *ON_FILES[2:]), Exit.USAGE, "bank:accounts is a Topic"),
    "a projection for a topic": (("schema", "write", "bank:account"), Exit.USAGE, "its topics are: accounts"),
    "neither for a check": (
        ("schema", "check", "bank:opened"),
        Exit.USAGE,
        "its topics and projections are: account, accounts, broken",
    ),
    "a module that raises": (("schema", "check", "raises:x"), Exit.USAGE, "at line 1 of raises with KeyError"),
    "a module that exits": (("schema", "check", "exits:x"), Exit.USAGE, "at line 1 of exits with SystemExit"),
    "a module with a missing import": (("schema", "check", "lacks:x"), Exit.USAGE, "No module named 'nothing_such'"),
    "a module that is no Python": (("schema", "check", "garbled:x"), Exit.USAGE, "of garbled.py with SyntaxError"),
    "a module without topics": (("schema", "write", "empty:x"), Exit.USAGE, "there is no topic in it"),
    "a topic that cannot be": (("schema", "check", "wrong:x"), Exit.USAGE, "is not a topic's name"),
    "a missing handler": (("worker", "bank:partial", *ON_FILES), Exit.USAGE, "no handler for Deposited, Closed"),
    "another version": (("worker", "bank:newer", *ON_FILES), Exit.REFUSED, "version 2"),
    "a partition that is not there": (
        ("worker", "bank:account", *ON_FILES, "--partition", "7", "--until-end"),
        Exit.NOT_FOUND,
        "has no partition 7; it has 2",
    ),
    "an unknown option": (("get", "--valid", "x"), Exit.USAGE, "see everwhen get --help"),
    "an unknown command": (("gte",), Exit.USAGE, "see everwhen --help"),
    "a missing argument": (("get",), Exit.USAGE, "see everwhen get --help"),
    "a number that is none": (("topic", "create", "bank:accounts", "--partitions", "0"), Exit.USAGE, "--partitions"),
}
MODULES = {
    "raises": f"raise KeyError({SECRET!r})",
    "exits": "raise SystemExit(0)",
    "lacks": "import nothing_such",
    "garbled": f"password = ({SECRET!r}",
    "empty": "",
    "wrong": "import everwhen\nx = everwhen.Topic('x y', events=[], schemas='')",
}


@pytest.mark.parametrize(("arguments", "code", "remedy"), BAD.values(), ids=BAD)
def test_one_line(published: Workspace, arguments: Sequence[str], code: Exit, remedy: str) -> None:
    """A person at the prompt, and a script, must know what to do about each of these."""
    for name, source in MODULES.items():
        (published.path / f"{name}.py").write_text(source)
    # Without patience: a worker would wait for its database.
    _check(published.run(*arguments, EVERWHEN_STORE_PATIENCE_SECONDS="0"), code, remedy)


def test_missing_driver(published: Workspace) -> None:
    """Without PostgreSQL's driver the message says how to install it."""
    without = "import sys; sys.modules['psycopg'] = None; from everwhen.cli import main; main()"
    program = (sys.executable, "-c", without)
    done = published.run_new("get", "account", "a", "--store", f"postgresql://ada:{SECRET}@host/bank", program=program)
    _check(done, Exit.USAGE, "pip install 'everwhen[postgres]'")


def test_broker_that_is_down(published: Workspace) -> None:
    """The client's own log lines do not bury the one that says what to do."""
    hasty = "from everwhen.kafka import admin; admin.ANSWER_SECONDS = 1.0; from everwhen.cli import main; main()"
    program = (sys.executable, "-c", hasty)
    done = published.run_new("topic", "check", "bank:accounts", "--log", "kafka://127.0.0.1:1", program=program)
    _check(done, Exit.LOG_UNAVAILABLE, "is it up and reachable?")


def test_traceback_on_demand(published: Workspace) -> None:
    """Whoever looks for the cause can see where it came from."""
    done = published.run("--traceback", "worker", "bank:newer", *ON_FILES, "--until-end")
    assert done.code == Exit.REFUSED
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1].startswith("everwhen: ")


@pytest.mark.parametrize("arguments", [(), ("topic",), ("schema",), ("quarantine",)])
def test_nothing_asked(published: Workspace, arguments: Sequence[str]) -> None:
    """A group of commands shows its help, and does not pass for a success."""
    done = published.run(*arguments)
    assert (done.code, done.out) == (Exit.USAGE, "")
    assert "Usage: everwhen" in done.err
    assert "Commands:" in done.err


def _check(done: Finished, code: Exit, remedy: str) -> None:
    assert done.code == code, done.err
    assert done.out == ""
    # A worker's log comes before the line that counts.
    lines = [line for line in done.err.splitlines() if not re.match(r"\d{4}-", line)]
    assert len(lines) == 1, done.err
    assert lines[0].startswith("everwhen: ")
    assert remedy in lines[0]
    assert not any(hidden in done.err for hidden in ("Traceback", SECRET, "Ærø", "12.50"))
