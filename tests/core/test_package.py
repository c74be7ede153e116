"""The package as a whole: what it exports, what importing it loads, what the wheel holds, what the docs say of it."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import everwhen
from everwhen import errors
from everwhen.testing.parts import PartsError

ROOT = Path(__file__).parents[2]


def test_the_public_names_are_sorted_there_and_documented() -> None:
    """About twenty names, each with a docstring."""
    assert everwhen.__all__ == sorted(everwhen.__all__, key=lambda name: (not name.isupper(), name))  # constants first
    assert len(everwhen.__all__) <= 24
    for name in everwhen.__all__:
        documented = getattr(everwhen, name)
        if inspect.isclass(documented):
            assert documented.__doc__, name


@pytest.mark.parametrize(
    ("statement", "not_loaded"),
    [
        ("import everwhen", ["confluent_kafka", "sqlalchemy", "psycopg", "fastavro", "click", "sqlite3"]),
        ("import everwhen; everwhen.Reader('x', 'sqlite:///nothing.db')", ["confluent_kafka", "psycopg", "click"]),
    ],
)
def test_an_import_loads_no_driver_that_it_does_not_need(statement: str, not_loaded: list[str], tmp_path: Path) -> None:
    """A reader service needs no Kafka client, and the core needs no driver at all."""
    code = f"import sys; {statement}; print(sorted(set({not_loaded!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_every_error_is_in_the_drawn_tree_under_its_parent() -> None:
    """The drawing in the module's docstring is the tree, no more and no less."""
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        stripped = line.lstrip(" │├└─")
        if not stripped or not (line.strip().startswith(("│", "├", "└")) or stripped.startswith("EverwhenError")):
            continue
        depth = (len(line) - len(stripped) - 4) // 4
        name = stripped.split()[0]
        path[depth:] = [name]
        drawn[name] = path[depth - 1] if depth else ""
    actual = {
        name: value.__bases__[0].__name__ if value is not errors.EverwhenError else ""
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.EverwhenError)
    }
    assert drawn == actual | {"PartsError": PartsError.__bases__[0].__name__}


def test_every_module_can_be_imported_and_says_what_it_is() -> None:
    """No module without a docstring."""
    for info in pkgutil.walk_packages(everwhen.__path__, "everwhen."):
        if info.name.endswith("__main__"):
            continue
        assert importlib.import_module(info.name).__doc__, info.name


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    """``everwhen/`` at the top, with its type marker and the data files that it reads; not ``sdk/``, not the tests."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False, env=os.environ | {"PIP_NO_INPUT": "1"})
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"everwhen", f"everwhen-{everwhen_version()}.dist-info"}
    assert "everwhen/py.typed" in names
    assert "everwhen/testing/parts/jars.lock" in names


def everwhen_version() -> str:
    """The version in pyproject.toml."""
    for line in (ROOT / "pyproject.toml").read_text().splitlines():
        if line.startswith("version = "):
            return line.split('"')[1]
    raise AssertionError("no version")
