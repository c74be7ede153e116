"""An environment of a peer's own, made once under ``.bench``, for a peer that pins other versions than we do."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.harness.rig import MOST_SECONDS, STATE, Unavailable


class Environment:
    """A virtual environment with what a file of requirements names.

    :param name: the peer's, for its folder.
    :param requirements: the file.
    """

    def __init__(self, name: str, requirements: Path) -> None:
        self._name = name
        self._requirements = requirements
        self._home = STATE / name
        self._python = str(self._home / "bin" / "python")

    def prepare(self) -> None:
        """Make it if it is not there, or was made from other requirements or by another Python.

        :raises Unavailable: if it cannot be made.
        """
        wanted, stamp = f"# {sys.version}\n{self._requirements.read_text()}", self._home / "requirements.txt"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        shutil.rmtree(self._home, ignore_errors=True)
        venv.create(self._home, with_pip=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(self._requirements)]
        done = subprocess.run([self._python, *install], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"the environment of {self._name} cannot be made: {done.stderr.strip()[-300:]}")
        stamp.write_text(wanted)

    def run(self, *arguments: str) -> str:
        """Run its Python; return the last line of its output.

        :raises RuntimeError: if it fails.
        :raises subprocess.TimeoutExpired: if it does not end.
        """
        command = [self._python, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=MOST_SECONDS)
        if done.returncode:
            raise RuntimeError(f"{self._name} failed: {done.stderr[-2000:]}")
        return done.stdout.splitlines()[-1]

    def version(self, package: str) -> str:
        """Return the version of a distribution in it."""
        return self.run("-c", f"import importlib.metadata as m; print(m.version({package!r}))")
