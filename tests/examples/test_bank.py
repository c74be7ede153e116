"""The first screen of the README runs as it stands, and so does the program that repeats it."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BANK = ROOT / "examples" / "bank" / "bank.py"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory in which the repository's contracts are found."""
    (tmp_path / "schemas").symlink_to(ROOT / "schemas", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def first_screen() -> str:
    """The first block of Python in the README."""
    block = re.search(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert block is not None
    return block[1]


def run(source: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Run a program as a module of its own, and return what it leaves."""
    file.write_text(source)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, file.stem, module)
    spec.loader.exec_module(module)
    return module


def test_first_screen_runs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newcomer who copies the first screen into a file would get an error, or another answer than it promises."""
    screen: Any = run(first_screen(), place / "first_screen.py", monkeypatch)
    with screen.reader:
        assert screen.answer.status == "found"
        assert screen.answer.state == screen.Account(owner="acme", balance=Decimal(0))
        assert (screen.answer.valid_from, screen.answer.valid_to) == (datetime(2026, 3, 1, tzinfo=UTC), None)
        assert screen.reader.get("acc-1", basis=screen.answer.basis).state == screen.answer.state
        assert [version.event_type for version in screen.reader.history("acc-1")] == ["bank.account.opened"]
        assert [each.entity_id for each in screen.reader.snapshot(valid_at=screen.answer.valid_at)] == ["acc-1"]
    assert {"log.db", "bank.db"} <= {file.name for file in place.iterdir()}


def test_declarations_are_those_of_the_first_screen() -> None:
    """The program in ``examples/`` would have drifted away from the README that it claims to repeat."""
    declared = declarations(first_screen(), until="log, store = ")
    assert len(declared) == 9
    assert declarations(BANK.read_text(), until="def main") == declared


def declarations(source: str, until: str) -> list[str]:
    """A program's classes, functions and assignments down to a line, without comments and layout."""
    above = source[: source.index(f"\n{until}")]
    kinds = ast.ClassDef | ast.FunctionDef | ast.Assign
    return [ast.unparse(statement) for statement in ast.parse(above).body if isinstance(statement, kinds)]


def test_program_runs_again_and_again(place: Path) -> None:
    """The program would fail, or answer otherwise, on what it left behind."""
    for _ in range(2):
        ran = subprocess.run([sys.executable, BANK], cwd=place, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.splitlines() == [
            "on 2 March: found, owner='acme' balance=Decimal('0'), from 2026-03-01 00:00:00+00:00 to None",
            "on 28 February: before_first",
            "asked again at its basis: found, owner='acme' balance=Decimal('0')",
            "versions of acc-1: 1",
            "in the snapshot of 2 March: acc-1, owner='acme' balance=Decimal('0')",
        ]
