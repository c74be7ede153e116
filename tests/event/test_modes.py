"""Modes of compatibility: which versions are compared, and in which direction."""

from __future__ import annotations

from typing import Any

import pytest

from everwhen.event.compatibility import Rule
from everwhen.event.modes import Mode, judge
from everwhen.event.schema import resolve


def version(**fields: Any) -> Any:
    found = [{"name": name, "type": kind, **rest} for name, (kind, rest) in fields.items()]
    return resolve({"type": "record", "name": "happened", "fields": found})


# The second adds a field without a default, the third removes it again: neighbours break in one direction each.
LINEAGE = [version(), version(a=("int", {})), version(b=("int", {"default": 0}))]


@pytest.mark.parametrize(
    ("mode", "pairs"),
    [
        (Mode.BACKWARD, [(1, 2)]),
        (Mode.FORWARD, [(2, 1)]),
        (Mode.FULL, [(1, 2), (2, 1)]),
        (Mode.BACKWARD_TRANSITIVE, [(0, 2), (1, 2)]),
        (Mode.FORWARD_TRANSITIVE, [(2, 0), (2, 1)]),
        (Mode.FULL_TRANSITIVE, [(0, 2), (2, 0), (1, 2), (2, 1)]),
    ],
)
def test_each_mode_asks_about_its_pairs(mode: Mode, pairs: list[tuple[int, int]]) -> None:
    """A pair that is left out, or turned around, would let a change through that breaks somebody."""
    verdicts = judge(LINEAGE, mode)
    assert [(each.writer, each.reader) for each in verdicts] == pairs
    broken = [(each.writer, each.reader) for each in verdicts if each.found]
    assert broken == [pair for pair in pairs if pair == (2, 1)]


def test_a_verdict_names_path_rule_and_both_sides() -> None:
    """In the direction that broke: the writer is the newer one here."""
    (verdict,) = judge(LINEAGE, Mode.FORWARD)
    (found,) = verdict.found
    assert (found.path, found.rule, found.writer, found.reader) == ("a", Rule.FIELD, "nothing", "int")


@pytest.mark.parametrize("mode", Mode)
def test_a_first_version_breaks_nobody(mode: Mode) -> None:
    """There is nobody to read it, and nothing to be read."""
    assert judge(LINEAGE[:1], mode) == []
