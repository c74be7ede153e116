"""``everwhen worker --http``: a process that says how it is."""

from __future__ import annotations

import re
import signal
import socket
import sys
from typing import TYPE_CHECKING

from everwhen.cli.exits import Exit
from tests.cli.workspace import LOG, STORE, Workspace, fetch

if TYPE_CHECKING:
    import subprocess

ARGUMENTS = ("worker", "bank:account", "--log", LOG, "--store", STORE)
_LISTENING = re.compile(r"http\.listening http://127\.0\.0\.1:(\d+)/metrics")
_WITHOUT = "import sys; sys.modules['prometheus_client'] = None; from everwhen.cli import main; main()"


def test_a_process_answers_and_ends_when_it_is_told_to(workspace: Workspace) -> None:
    """Also while a client holds a connection open and says nothing."""
    workspace.publish("story")
    process = workspace.start(*ARGUMENTS, "--http", "0", "--ready-lag", "60")
    port = _port(process)
    with socket.create_connection(("127.0.0.1", port)):
        while 'everwhen_partition_gap_records{partition="0"' not in fetch(port, "/metrics")[1]:
            assert process.poll() is None
        assert fetch(port, "/livez") == (200, "ok\n")
        assert (
            'everwhen_partitions_claimed{projection="account",topic="bank.accounts"} 2.0' in fetch(port, "/metrics")[1]
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == Exit.DONE
    process.communicate()


def test_a_place_where_nobody_can_listen_is_one_line(workspace: Workspace) -> None:
    """A port that is taken, a host that is none of ours, and what is no place."""
    workspace.publish("story")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        done = workspace.run(*ARGUMENTS, "--http", place)
    assert (done.code, f"--http {place}: cannot listen there" in done.error) == (Exit.USAGE, True)
    done = workspace.run(*ARGUMENTS, "--http", "192.0.2.1:9464")
    assert (done.code, "choose another one" in done.error) == (Exit.USAGE, True)
    done = workspace.run(*ARGUMENTS, EVERWHEN_HTTP="127.0.0.1:http")
    assert (done.code, "is not HOST:PORT or PORT" in done.error) == (Exit.USAGE, True)


def test_without_the_package_it_says_what_to_install(workspace: Workspace) -> None:
    """And a worker without --http does not miss it."""
    workspace.publish("story")
    without = (sys.executable, "-c", _WITHOUT)
    done = workspace.run_new(*ARGUMENTS, "--http", "0", program=without)
    assert (done.code, "pip install 'everwhen[metrics]'" in done.error) == (Exit.USAGE, True)
    assert workspace.run_new(*ARGUMENTS, "--until-end", program=without).code == Exit.DONE


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stderr is not None
    for line in process.stderr:
        if found := _LISTENING.search(line):
            return int(found[1])
    raise AssertionError(f"it did not listen, and ended with {process.wait()}")
