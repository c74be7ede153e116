"""One command in a process of its own, twice: into pipes, and on a pseudo-terminal.

The processes are forked off one that has imported the program, so that every command can be run in both ways.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
import threading
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.cli import forks
from tests.cli.workspace import Finished, Workspace, environment_with, read_all

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS = 100


def piped(workspace: Workspace, *arguments: str, **variables: str) -> Finished:
    """Run a command whose output and errors are two pipes."""
    with TemporaryDirectory() as directory:
        out, err = Path(directory, "out"), Path(directory, "err")
        with _read_from_pipe(out) as said, _read_from_pipe(err) as complained:
            code = forks.run(arguments, workspace.path, environment_with(variables), out, err)
        return Finished(code, b"".join(said).decode(), b"".join(complained).decode())


def on_terminal(workspace: Workspace, *arguments: str, **variables: str) -> Finished:
    """Run a command on a pseudo-terminal; ``out`` is all that appears on it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    name = Path(os.ttyname(theirs))
    seen: list[bytes] = []
    reader = threading.Thread(target=lambda: seen.append(read_all(ours)))
    reader.start()
    try:
        code = forks.run(arguments, workspace.path, environment_with({"TERM": "xterm"} | variables), name, name)
    finally:
        os.close(theirs)
        reader.join()
    return Finished(code, b"".join(seen).decode().replace("\r\n", "\n"))


@contextmanager
def _read_from_pipe(path: Path) -> Iterator[list[bytes]]:
    os.mkfifo(path)
    seen: list[bytes] = []
    reader = threading.Thread(target=lambda: seen.append(path.read_bytes()), daemon=True)
    reader.start()
    yield seen
    reader.join()
