"""A server lives no longer than its owner, and does what it is told."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.parts.watching import eventually

from everwhen.testing.parts import PartsError
from everwhen.testing.parts.process import GuardedProcess, free_ports, wait_until

if TYPE_CHECKING:
    from pathlib import Path

COUNTER = "import itertools, time\nfor n in itertools.count():\n print(n, flush=True); time.sleep(0.01)"
"""A server that shows that it is alive by a log that grows."""

OWNER = """
import sys, os, signal
from pathlib import Path
from everwhen.testing.parts.process import GuardedProcess
directory = Path(sys.argv[1])
server = GuardedProcess([sys.executable, "-c", sys.argv[2]], directory=directory, log=Path(sys.argv[3]))
while not Path(sys.argv[3]).read_text():
    assert server.running
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The server's directory; its log lies outside, so that it can be read when the directory is gone."""
    directory = tmp_path / "server"
    directory.mkdir()
    return directory


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The server's log."""
    return tmp_path / "log"


def is_growing(log: Path) -> bool:
    """Whether the counter counts on, watched for longer than its step."""
    before = log.stat().st_size
    time.sleep(0.1)
    return log.stat().st_size > before


def test_a_killed_owner_takes_its_server_and_the_directory_along(directory: Path, log: Path) -> None:
    """``kill -9`` gives the owner no chance to clean up: the guard does."""
    owner = subprocess.run([sys.executable, "-c", OWNER, directory, COUNTER, log], check=False)
    assert owner.returncode == -signal.SIGKILL
    assert eventually(lambda: not directory.exists())
    assert not is_growing(log)


def test_a_paused_server_stands_still_and_goes_on(directory: Path, log: Path) -> None:
    """Signals reach the server, in order."""
    server = GuardedProcess([sys.executable, "-c", COUNTER], directory=directory, log=log)
    assert eventually(lambda: is_growing(log))
    server.send(signal.SIGSTOP)
    assert eventually(lambda: not is_growing(log))
    assert server.running
    server.send(signal.SIGCONT)
    assert eventually(lambda: is_growing(log))
    server.end(signal.SIGKILL, 5)
    assert not server.running
    assert directory.exists(), "the directory stays for the next start"


def test_a_server_that_ignores_its_signal_is_killed(directory: Path, log: Path) -> None:
    """An end is an end, a little later."""
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + COUNTER
    server = GuardedProcess([sys.executable, "-c", deaf], directory=directory, log=log)
    assert eventually(lambda: is_growing(log))
    server.end(signal.SIGTERM, 0.2)
    assert not server.running


def test_ending_twice_is_ending_once(directory: Path, log: Path) -> None:
    """Nothing is signalled when nothing is left."""
    server = GuardedProcess([sys.executable, "-c", COUNTER], directory=directory, log=log)
    server.end(signal.SIGTERM, 5)
    server.end(signal.SIGTERM, 5)
    server.send(signal.SIGTERM)
    assert not server.running


def test_waiting_for_a_server_that_ended_shows_why(directory: Path, log: Path) -> None:
    """The end of the server's log is in the error."""
    server = GuardedProcess([sys.executable, "-c", "raise SystemExit('no room')"], directory=directory, log=log)
    with pytest.raises(PartsError, match=r"thing ended while it was starting(?s:.*)no room"):
        wait_until(lambda: False, what="thing", server=server, seconds=20)


def test_waiting_for_a_server_that_stays_silent_has_an_end(directory: Path, log: Path) -> None:
    """So has the error, with the same log."""
    server = GuardedProcess([sys.executable, "-c", COUNTER], directory=directory, log=log)
    with pytest.raises(PartsError, match="thing did not answer within 0 s"):
        wait_until(lambda: False, what="thing", server=server, seconds=0.1)
    server.end(signal.SIGKILL, 5)


def test_free_ports_differ() -> None:
    """A cluster asks for several at once."""
    assert len(set(free_ports(6))) == 6
