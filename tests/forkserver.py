"""The process that those of the tests are forked off: there is one a run, so it knows what all of them need."""

from __future__ import annotations

import multiprocessing
from typing import Final

PROCESSES: Final = multiprocessing.get_context("forkserver")
"""Makes processes that begin with everything imported, and without the threads, and the locks, of the test run."""

PROCESSES.set_forkserver_preload(
    [
        "everwhen.event.codec",
        "everwhen.local",
        "everwhen.sql",
        "tests.cli.forks",
        "tests.store.test_migrations",
        "tests.worker.deadly",
    ]
)
