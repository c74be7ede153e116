"""A small share of ``make torture-outbox``."""

from __future__ import annotations

from pathlib import Path

from everwhen.testing.parts import PostgresAddress
from tests.outbox.processes import STEPS
from tests.outbox.torture import Plan, run


def test_relays_that_are_killed_lose_and_reorder_nothing(postgres: PostgresAddress, tmp_path: Path) -> None:
    """Two relays, each killed at every step in turn, while writers commit and roll back."""
    database = postgres.database()
    try:
        log, kills = f"sqlite:///{tmp_path / 'log.db'}", len(STEPS)
        plan = Plan(database, log, tmp_path, 800, writers=2, kills=kills, entities=20, lease=0.7, batch=64, turns=1)
        report = run(plan)
    finally:
        postgres.drop(database)
    assert report.faults == []
    assert set(report.kills) == set(STEPS)
    assert report.records >= report.committed > 500
