"""Working directories for the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.workspace import Workspace

PROJECT = Workspace(Path(__file__).parent / "project")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A directory with the user's module and its contract files, and nothing published."""
    return PROJECT.copy(tmp_path / "project")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A directory where the story is published and projected; shared, so tests only ask."""
    workspace = PROJECT.copy(tmp_path_factory.mktemp("told") / "project")
    workspace.publish("story")
    assert workspace.project().code == 0
    return workspace
