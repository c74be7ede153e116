"""A local log and a publisher for the tests beside this file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from everwhen import Publisher
from tests.publisher.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A fresh one."""
    return Place(tmp_path)


@pytest.fixture
def publisher(place: Place) -> Iterator[Publisher]:
    """An open publisher."""
    with Publisher(place.topic, place.log) as opened:
        yield opened
