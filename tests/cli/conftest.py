"""Working directories for the tests of the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.workspace import Workspace

PROJECT = Path(__file__).parent / "project"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A directory with the user's module and its contract files, and nothing published."""
    return Workspace(_copy(tmp_path))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A directory where the story is published and projected; shared, so tests only ask."""
    workspace = Workspace(_copy(tmp_path_factory.mktemp("told")))
    workspace.publish("story")
    assert workspace.project().code == 0
    return workspace


def _copy(directory: Path) -> Path:
    return Path(shutil.copytree(PROJECT, directory / "project", ignore=shutil.ignore_patterns("__pycache__")))
