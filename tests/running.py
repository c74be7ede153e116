"""A worker in a thread, for as long as a test needs it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from everwhen.worker import Worker

_PATIENCE = 60


@contextmanager
def running(worker: Worker) -> Iterator[list[BaseException]]:
    """Run a worker and stop it at the end; yield what it failed with, which is there by then."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            worker.run()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield failed
    finally:
        worker.stop()
        thread.join(_PATIENCE)
        worker.close()
    assert not thread.is_alive()
