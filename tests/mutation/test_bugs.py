"""The list of seeded bugs stays one that can be tried: every bug fits the code, and names tests that are there."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path

import pytest

from tests.mutation.bug import ROOT, SOURCES, Bug, Misplaced
from tests.mutation.bugs import BUGS

BY_NAME = pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)


@BY_NAME
def test_a_bug_fits_the_code_and_leaves_python_behind(bug: Bug) -> None:
    """Whoever changes a line that a bug stands in writes the bug anew, or the list would rot."""
    text = (SOURCES / "everwhen" / bug.file).read_text()
    assert text.count(bug.before) == 1, f"write `before` of {bug.name!r} anew, in tests/mutation"
    mistaken = text.replace(bug.before, bug.after)
    assert mistaken != text
    compile(mistaken, bug.file, "exec", dont_inherit=True)


@BY_NAME
def test_a_bug_names_tests_that_are_there(bug: Bug) -> None:
    """A test that was renamed would fail the run before the first bug is tried."""
    assert bug.tests
    for test in bug.tests:
        path, *names = test.partition("[")[0].split("::")
        assert (ROOT / path).is_file(), test
        place = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        for name in names:
            place = getattr(place, name)


def test_every_bug_has_a_name_of_its_own() -> None:
    """The runner is told by names what to try."""
    assert [name for name, count in Counter(bug.name for bug in BUGS).items() if count > 1] == []


def test_a_bug_that_does_not_fit_is_not_planted(tmp_path: Path) -> None:
    """Neither where its line is gone nor where there are two of them: the runner says so instead of passing it."""
    (tmp_path / "everwhen").mkdir()
    file = tmp_path / "everwhen" / "module.py"
    bug = Bug("a bug", "module.py", "a < b", "a <= b", ("tests",))
    for text, count in (("a > b", 0), ("a < b or a < b", 2)):
        file.write_text(text)
        with pytest.raises(Misplaced, match=f"is {count} times in module.py"):
            bug.plant(tmp_path)
        assert file.read_text() == text
    file.write_text("if a < b:")
    bug.plant(tmp_path)
    assert file.read_text() == "if a <= b:"
