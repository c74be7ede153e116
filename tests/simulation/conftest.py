"""A place to play in, and where to say what was played."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.simulation.counts import SIMULATED
from tests.simulation.stage import Place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place that the tests of a module share."""
    with Place(tmp_path_factory.mktemp("simulation")) as made:
        yield made


@pytest.fixture
def played(record_property: Callable[[str, object], None]) -> Callable[[Counter[str]], None]:
    """Takes the counts of a test; their sums are shown at the end of the run."""
    return lambda counts: record_property(SIMULATED, dict(counts))
