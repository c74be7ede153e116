"""Small logs, with one fault at each call to the database and the log in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.longer import LONGER
from tests.simulation.exhaust import exhaust
from tests.simulation.scenarios import ALL
from tests.simulation.stage import Place


@pytest.mark.parametrize("name", ALL)
def test_no_fault_at_any_call_changes_a_row(name: str, place: Place, played: Callable[[Counter[str]], None]) -> None:
    """After every commit the rows are those of the records below the checkpoints, and in the end all are there.

    ``EVERWHEN_TEST_LONGER`` below 1 plays a random part of the faults only, above 1 all kinds at each call.
    """
    played(exhaust(place, name, every=LONGER > 1, share=min(LONGER, 1)))
