"""The page about the guarantee: what it names is there, and the README promises the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guarantee.md").read_text()
SOURCES = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "sdk" / "everwhen" / "testing").rglob("*.py")]
TESTS = {name for path in SOURCES for name in re.findall(r"def (test_\w+)", path.read_text())}
ROWS = re.findall(r"^\| (\d+) \|.*\|$", PAGE, re.MULTILINE)


def promise(text: str) -> str:
    """The quoted paragraphs as one line."""
    quoted = (line.removeprefix(">") for line in text.splitlines() if line.startswith(">"))
    return " ".join(" ".join(quoted).split())


def test_the_readme_promises_what_the_page_does() -> None:
    """Word for word."""
    assert promise((ROOT / "README.md").read_text()) == promise(PAGE) != ""


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", PAGE))))
def test_a_test_that_is_named_is_there(name: str) -> None:
    """Nobody can be sent to a test that was renamed."""
    assert name in TESTS


def test_every_clause_and_every_failure_names_a_test_or_says_why_not() -> None:
    """No row is left open."""
    clauses = re.findall(r"^> \*\*([^*,.]+)", PAGE, re.MULTILINE)
    assert len(clauses) == 5
    for clause in clauses:
        assert re.search(rf"^\| {clause} \|.*`test_", PAGE, re.MULTILINE), clause
    assert [int(number) for number in ROWS] == list(range(1, 39))
    for row in re.findall(r"^\| \d+ \|.*\|$", PAGE, re.MULTILINE):
        assert "`test_" in row or "Not tried" in row, row
