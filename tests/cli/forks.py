"""Commands in processes forked off one that has imported the program, since that takes most of a command's time."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

from everwhen.cli import main
from tests.forkserver import PROCESSES

_SECONDS = 60.0


def run(arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], out: Path, err: Path) -> int:
    """Run the program with its output in two files and return its exit code."""
    return _fork(main, ("everwhen", *arguments), cwd, environment, out, err)


def run_script(arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], out: Path, err: Path) -> int:
    """Run a script, the first of the arguments, in the same way."""
    return _fork(_script, arguments, cwd, environment, out, err)


def _fork(work: Callable[[], None], words: tuple[str, ...], *place: object) -> int:
    process = PROCESSES.Process(target=_child, args=(work, words, *place))
    process.start()
    process.join(_SECONDS)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"{' '.join(words)} has not ended")
    return process.exitcode


def _child(
    work: Callable[[], None], words: tuple[str, ...], cwd: Path, environment: dict[str, str], out: Path, err: Path
) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
    sys.argv = list(words)
    work()


def _script() -> None:
    runpy.run_path(sys.argv[0], run_name="__main__")
