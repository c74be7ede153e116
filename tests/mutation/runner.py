"""Plants one bug after the other in a copy of the sources and runs the tests that have to notice it.

Run ``python -m tests.mutation.runner`` for all of them, with parts of names for some, with ``--list`` for the names.
It ends with 1 if a bug survived its tests. Before that the tests run on a copy without a bug, where they must pass.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.mutation.bug import ROOT, SOURCES, SOURCES_VARIABLE, Bug, Misplaced
from tests.mutation.bugs import BUGS

AT_ONCE = 2
LIMIT, CONTROL_LIMIT = 180, 900
"""Seconds that the tests of one bug may take, and those of the run without a bug."""
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
_TESTS_FAILED = 1  # https://docs.pytest.org/en/stable/reference/exit-codes.html


class Outcome(NamedTuple):
    """What became of one run of tests."""

    caught: bool
    text: str
    output: str = ""
    """What pytest printed, where that is worth reading."""


class Ran(NamedTuple):
    """A run of pytest that ended; ``code`` is ``None`` if it had to be ended."""

    code: int | None
    output: str
    seconds: float


def run(sources: Path, tests: Iterable[str], directory: Path, limit: float) -> Ran:
    """Run tests on the package in ``sources``; kill them after ``limit`` seconds."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "tests.mutation.plugin"]
    command += [f"--basetemp={directory / 'tests'}", *tests]
    environment = {
        "EVERWHEN_TEST_LONGER": "2",  # a bug that shows seldom has to show here
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (sources, ROOT))),
        "PYTEST_ADDOPTS": "",
        SOURCES_VARIABLE: str(sources),
    }
    started = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return Ran(None, "", time.monotonic() - started)
        except BaseException:
            os.killpg(process.pid, signal.SIGINT)
            raise
    return Ran(process.returncode, output, time.monotonic() - started)


def try_bug(bug: Bug, clean: Path) -> Outcome:
    """Plant a bug in a copy of the ``clean`` sources and run its tests."""
    with tempfile.TemporaryDirectory(prefix="everwhen-mutation-") as name:
        directory = Path(name)
        sources = _copied(clean, directory / "sdk")
        try:
            bug.plant(sources)
        except Misplaced as error:
            return Outcome(False, f"MISPLACED {error}")
        ran = run(sources, bug.tests, directory, LIMIT)
    took = f"in {ran.seconds:.1f} s"
    if ran.code is None:
        return Outcome(True, f"caught {took}: its tests hung")
    if ran.code == 0:
        return Outcome(False, f"SURVIVED {took}")
    failed = _FAILED.search(ran.output)
    if ran.code != _TESTS_FAILED or failed is None:
        # A bug that cannot even be imported says nothing about the tests.
        return Outcome(False, f"BROKEN {took}: pytest ended with {ran.code}", ran.output)
    return Outcome(True, f"caught {took} by {failed[1]}")


def control(bugs: Sequence[Bug], clean: Path, directory: Path) -> Outcome:
    """Run the tests of all these bugs on the sources without any."""
    tests = sorted({test for bug in bugs for test in bug.tests})
    ran = run(clean, tests, directory, CONTROL_LIMIT)
    if ran.code == 0:
        return Outcome(True, f"{len(tests)} tests pass without a bug, in {ran.seconds:.1f} s")
    return Outcome(False, "the tests do not pass without a bug", ran.output)


def try_all(bugs: Sequence[Bug]) -> int:
    """Try the bugs, print what became of each, and return how many were not caught; all of them if none was tried."""
    missed, began = 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="everwhen-mutation-") as name:
        # Copied once, so that what is written in the meantime is not taken for a bug.
        clean = _copied(SOURCES, Path(name) / "sdk")
        found = control(bugs, clean, Path(name))
        _show(found.text, found.output)
        if not found.caught:
            return len(bugs)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for bug, outcome in zip(bugs, pool.map(partial(try_bug, clean=clean), bugs), strict=True):
                missed += not outcome.caught
                _show(f"{bug.name}: {outcome.text}", outcome.output)
    _show(f"{len(bugs)} bugs, {len(bugs) - missed} caught, {time.monotonic() - began:.0f} s", "")
    return missed


def _show(text: str, output: str) -> None:
    print(*filter(None, [text, output]), sep="\n", flush=True)


def _copied(sources: Path, copy: Path) -> Path:
    shutil.copytree(sources, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def chosen(parts: Sequence[str]) -> list[Bug]:
    """Return the bugs whose names hold one of the parts; all of them if there is none."""
    lowered = [part.lower() for part in parts]
    return [bug for bug in BUGS if not lowered or any(part in bug.name.lower() for part in lowered)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the bugs and print what became of each."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.runner", description=__doc__)
    parser.add_argument("name", nargs="*", help="try only the bugs whose names hold this")
    parser.add_argument("--list", action="store_true", help="print the names")
    asked = parser.parse_args(arguments)
    bugs = chosen(asked.name)
    if asked.list:
        print(*(f"{bug.file}: {bug.name}" for bug in bugs), sep="\n")
        return 0
    if not bugs:
        parser.error("no bug has such a name; --list shows them")
    return 1 if try_all(bugs) else 0


if __name__ == "__main__":
    sys.exit(main())
