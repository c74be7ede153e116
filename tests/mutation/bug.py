"""A seeded bug: one replacement in one file, and the tests that have to notice."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "sdk"
SOURCES_VARIABLE = "EVERWHEN_TEST_SOURCES"
"""The environment variable that tells a run of tests where the package has to come from."""


class Misplaced(Exception):
    """A bug does not fit the code any more: write its ``before`` anew."""


class Bug(NamedTuple):
    """A mistake that somebody might make."""

    name: str
    """What is wrong then, in words."""
    file: str
    """Below ``sdk/everwhen``."""
    before: str
    """What stands there; exactly once."""
    after: str
    tests: tuple[str, ...]
    """Node ids of pytest, as few as will do: one of them has to fail."""

    def plant(self, sources: Path) -> None:
        """Make the mistake in a copy of the sources.

        :raises Misplaced: if ``before`` does not stand there exactly once.
        """
        path = sources / "everwhen" / self.file
        text = path.read_text()
        if (count := text.count(self.before)) != 1:
            raise Misplaced(f"{self.name!r}: its `before` is {count} times in {self.file}, not once")
        path.write_text(text.replace(self.before, self.after))
