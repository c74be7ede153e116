"""A user's working directory, and commands that run in it as processes, piped or on a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.cli import forks

LOG, STORE = "sqlite:///log.db", "sqlite:///store.db"
_PROGRAM = (sys.executable, "-m", "everwhen.cli")
_SECONDS = 60.0


@dataclass(frozen=True)
class Finished:
    """What became of a command."""

    code: int
    out: str
    err: str = ""

    @property
    def document(self) -> Any:
        """The JSON that it printed."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line that it wrote to standard error."""
        (line,) = self.err.splitlines()
        return line


@dataclass(frozen=True)
class Workspace:
    """A copy of ``project``; the log and the store lie in it."""

    path: Path

    def run(self, *arguments: str, **variables: str) -> Finished:
        """Run a command with its output in files."""
        return self._forked(forks.run, arguments, variables)

    def run_new(self, *arguments: str, program: tuple[str, ...] = _PROGRAM, **variables: str) -> Finished:
        """Run a command, or another program, in a new interpreter with its output piped."""
        done = subprocess.run(
            [*program, *arguments],
            cwd=self.path,
            env=environment_with(variables),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
        return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start a command with its output piped."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*_PROGRAM, *arguments],
            cwd=self.path,
            env=environment_with(variables),
            stdout=pipe,
            stderr=pipe,
            text=True,
            preexec_fn=hear_interrupts,
        )

    def run_on_terminal(self, *arguments: str, columns: int = 100) -> Finished:
        """Run a command on a pseudo-terminal; ``out`` is all that appears on it."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        environment = environment_with({"TERM": "xterm"})
        process = subprocess.Popen(
            [*_PROGRAM, *arguments], cwd=self.path, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        seen = read_all(ours)
        return Finished(process.wait(_SECONDS), seen.decode().replace("\r\n", "\n"))

    def publish(self, what: str, log: str = LOG) -> None:
        """Have ``bank.py`` publish."""
        done = self._forked(forks.run_script, ("bank.py", what, log), {})
        assert done.code == 0, done.err

    def project(self, projection: str = "bank:account", log: str = LOG, store: str = STORE) -> Finished:
        """Project all that is published."""
        return self.run("worker", projection, "--log", log, "--store", store, "--until-end")

    def copy(self, path: Path) -> Workspace:
        """Return another one that begins where this one stands."""
        return Workspace(Path(shutil.copytree(self.path, path, ignore=shutil.ignore_patterns("__pycache__"))))

    def _forked(self, run: Callable[..., int], arguments: tuple[str, ...], variables: dict[str, str]) -> Finished:
        with tempfile.TemporaryDirectory() as directory:
            out, err = Path(directory, "out"), Path(directory, "err")
            code = run(arguments, self.path, environment_with(variables), out, err)
            return Finished(code, out.read_text(), err.read_text())


def fetch(port: int, path: str) -> tuple[int, str]:
    """Ask what a command serves; return status and body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def hear_interrupts() -> None:
    """For the start of a process: a shell has what it starts in the background ignore them, with all that follows."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def environment_with(variables: dict[str, str]) -> dict[str, str]:
    """This process's environment, without what would be an option of the program."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EVERWHEN_", "COLUMNS", "LINES"))}
    return kept | {"EVERWHEN_LOG_FORMAT": "text"} | variables


def read_all(terminal: int) -> bytes:
    """All that appears on a terminal until the last process has left it."""
    seen = b""
    try:
        while piece := os.read(terminal, 4096):
            seen += piece
    except OSError:  # Linux says so when the last process has left the terminal
        pass
    os.close(terminal)
    return seen
