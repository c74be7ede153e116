"""How much longer than usual the property tests run."""

from __future__ import annotations

import os

LONGER = float(os.environ.get("EVERWHEN_TEST_LONGER", "1"))
"""How many times as many examples; ``make axes`` sets it."""


def times(examples: int) -> int:
    """Return how many examples to try."""
    return max(1, round(examples * LONGER))
