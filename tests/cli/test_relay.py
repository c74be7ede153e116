"""``everwhen relay``: a process that says how it is, and ends when it is told to."""

from __future__ import annotations

import json
import re
import signal
import sys
from typing import TYPE_CHECKING

from everwhen.cli.exits import Exit
from tests.cli.workspace import LOG, fetch
from tests.parts.watching import eventually

if TYPE_CHECKING:
    from tests.cli.workspace import Workspace

OUTBOX = ("--outbox", "sqlite:///service.db")
PUBLISH = """
from bank import Opened, accounts
from everwhen import Outbox
from sqlalchemy import create_engine
engine = create_engine("sqlite:///service.db")
with engine.begin() as connection:
    for entity in ("acc-1", "acc-2"):
        Outbox(accounts, engine).publish(connection, entity, Opened(owner="acme"))
"""
_LISTENING = re.compile(r"http\.listening http://127\.0\.0\.1:(\d+)/metrics")


def test_a_relay_answers_and_ends_when_it_is_told_to(workspace: Workspace) -> None:
    """It is alive and ready with nothing to do, has the whole key space, and SIGTERM ends it with 0."""
    assert workspace.run("outbox", "init", *OUTBOX).code == Exit.DONE
    process = workspace.start("relay", "bank:accounts", *OUTBOX, "--log", LOG, "--http", "0", "--ready-lag", "60")
    assert process.stderr is not None
    found = next(match for line in process.stderr if (match := _LISTENING.search(line)))
    port = int(found[1])
    measured = 'everwhen_relay_waiting_events{topic="bank.accounts"} 0.0'
    assert eventually(lambda: measured in fetch(port, "/metrics")[1])
    assert 'everwhen_relay_shards{topic="bank.accounts"} 32.0' in fetch(port, "/metrics")[1]
    assert fetch(port, "/livez") == (200, "ok\n")
    assert fetch(port, "/readyz") == (200, "ok\n")
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == Exit.DONE
    process.communicate()


def test_what_waits_can_be_seen(workspace: Workspace) -> None:
    """Before any relay ran, with how old the first is, and after one has left."""
    assert workspace.run("outbox", "init", *OUTBOX).code == Exit.DONE
    assert workspace.run("outbox", "status", *OUTBOX).out == ""
    published = workspace.run_new(program=(sys.executable, "-c", PUBLISH))
    assert published.code == 0, published.err
    line = workspace.run("outbox", "status", *OUTBOX).out.split("\t")
    assert (line[:2], line[3:]) == (["bank.accounts", "2"], ["0", "0/32", "-\n"])
    assert float(line[2]) > 0
    assert workspace.run("relay", "bank:accounts", *OUTBOX, "--log", LOG, "--until-end").code == Exit.DONE
    (topic,) = json.loads(workspace.run("outbox", "status", *OUTBOX, "--json").out)["topics"]
    assert topic == {
        "topic": "bank.accounts",
        "waiting_events": 0,
        "lag_seconds": 0.0,
        "relays": 0,
        "shards_held": 0,
        "shards": 32,
        "silent_seconds": None,
    }


def test_a_database_without_an_outbox_is_one_line(workspace: Workspace) -> None:
    """With the command that makes one; nothing is made, and nothing is said of shards that were never taken."""
    done = workspace.run("relay", "bank:accounts", *OUTBOX, "--log", LOG, "--until-end")
    asked = workspace.run("outbox", "status", *OUTBOX)
    for each in (done, asked):
        assert each.code == Exit.REFUSED
        assert "everwhen outbox init" in each.err
        assert "there is no such file" in each.err
    assert "unreleased" not in done.err
    assert not (workspace.path / "service.db").exists()
    logged = workspace.run("relay", "bank:accounts", *OUTBOX, "--log", LOG, "--until-end", "--log-format", "json")
    lines = [json.loads(line) for line in logged.err.splitlines()]
    (told,) = (line["message"] for line in lines if line["event"] == "relay.failed")
    assert logged.code == Exit.REFUSED
    assert told.startswith("relay.failed StoreMismatch: ")
    assert "everwhen outbox init" in told
