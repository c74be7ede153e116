"""The publisher that ``docker-compose.yml`` starts."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from click.testing import CliRunner
from examples.flights import data, processes
from examples.flights.model import aircraft
from examples.flights.publish import main

from everwhen import Worker

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_it_can_be_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes the topic and publishes; started again on the same log, it changes nothing."""
    monkeypatch.setattr(processes, "events", lambda: islice(data.events(in_file_order=True), 2_000))
    log = f"sqlite:///{tmp_path / 'log.db'}"
    for _ in range(2):
        done = CliRunner().invoke(main, ["--log", log])
        assert (done.exit_code, done.output.splitlines()[-1]) == (0, "2000 of 661610 events published")
    with Worker(aircraft, log, f"sqlite:///{tmp_path / 'store.db'}") as worker:
        tally = worker.run(until="end").tally
    assert (tally.applied, tally.duplicates) == (2_000, 2_000)
