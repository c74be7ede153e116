"""What ends a daemon: an exit code, and as JSON a line of its log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

from everwhen.cli.collector import collect_rarely
from everwhen.cli.exits import exit_of
from everwhen.errors import EverwhenError


def exit_code(name: Literal["worker", "relay"], run: Callable[[], int], *, as_json: bool, traces: bool) -> int:
    """Run a daemon to its end; return its exit code.

    :param name: which one it is.
    :param traces: whether a logged error has its traceback.
    :raises EverwhenError: what ended it, unless that is logged as JSON.
    """
    collect_rarely()
    try:
        return run()
    except EverwhenError as error:
        if not as_json:
            raise
        log = logging.getLogger(f"everwhen.{name}")
        text = "relay.failed %s: %s" if name == "relay" else "worker.failed %s: %s"
        for line in str(error).splitlines():
            log.error(text, type(error).__name__, line, exc_info=error if traces else None)
        return exit_of(error)
