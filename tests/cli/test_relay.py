"""``everwhen relay``: a process that says how it is, and ends when it is told to."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

from everwhen.cli.exits import Exit
from tests.cli.workspace import LOG, fetch
from tests.parts.watching import eventually

if TYPE_CHECKING:
    from tests.cli.workspace import Workspace

OUTBOX = ("--outbox", "sqlite:///service.db")
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


def test_a_database_without_an_outbox_is_one_line(workspace: Workspace) -> None:
    """With the command that makes one."""
    done = workspace.run("relay", "bank:accounts", *OUTBOX, "--log", LOG, "--until-end")
    assert done.code == Exit.REFUSED
    assert "everwhen outbox init" in done.err
