"""What the whole run printed is searched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.canaries import PAYLOAD, SECRET

ROOT = Path(__file__).parents[2]
RUN = """
import pytest, sys
from tests.canaries import CanaryWatch
sys.exit(pytest.main([sys.argv[1], "-q", "-p", "no:cacheprovider", "--rootdir", sys.argv[1]], [CanaryWatch()]))
"""


@pytest.mark.parametrize(
    ("act", "title"),
    [
        (f"print({SECRET!r})", "Captured stdout call"),
        (f"import sys; sys.stderr.write({PAYLOAD!r})", "Captured stderr call"),
        (f"import logging; logging.warning('a password: %s', {SECRET!r})", "Captured log call"),
        ("print('nothing')", ""),
    ],
)
def test_a_run_that_prints_a_canary_fails(act: str, title: str, tmp_path: Path) -> None:
    """Although every test of it passes; the test is named, and what it printed is not."""
    (tmp_path / "test_one.py").write_text(f"def test_one():\n    {act}\n")
    # Options for the run that this test is part of are not for the run inside it, which has no conftest to know them.
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout
    assert done.returncode == bool(title)
    assert (f"test_one: {title}" in done.stdout) == bool(title)
    assert SECRET not in done.stdout
    assert PAYLOAD not in done.stdout


def test_this_run_is_watched(request: pytest.FixtureRequest) -> None:
    """By the process that hears of every test."""
    config = request.config
    assert hasattr(config, "workerinput") or config.pluginmanager.has_plugin("canaries")
