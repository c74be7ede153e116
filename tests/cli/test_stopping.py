"""A supervisor stops a worker that has much to do, and does not wait long."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from everwhen.cli.exits import Exit
from tests.cli.workspace import LOG, STORE
from tests.parts.watching import eventually

if TYPE_CHECKING:
    from tests.cli.workspace import Workspace

EVENTS = 25_200
SECONDS = 5.0
"""The property itself: supervisors kill what takes longer than their patience, Docker after ten seconds."""


def test_a_busy_worker_ends_in_order_within_seconds(workspace: Workspace) -> None:
    """SIGTERM in the middle of 25,000 events: exit code 0 in five seconds, the rest is left for the next."""
    workspace.publish("much")
    process = workspace.start("worker", "bank:account", "--log", LOG, "--store", STORE)
    assert eventually(lambda: _projected(workspace) > 0), process.communicate(timeout=60)
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(SECONDS) == Exit.DONE
    finally:
        process.kill()
        process.communicate()
    assert 0 < _projected(workspace) < EVENTS, "it was not busy any more when it was stopped"


def _projected(workspace: Workspace) -> int:
    """How many records are below the checkpoints."""
    file = workspace.path / "store.db"
    if not file.exists():
        return 0
    with closing(sqlite3.connect(file)) as connection:
        try:
            (offsets,) = connection.execute("SELECT sum(next_offset) FROM everwhen_checkpoints").fetchone()
        except sqlite3.OperationalError:  # its tables are being made
            return 0
    return int(offsets or 0)
