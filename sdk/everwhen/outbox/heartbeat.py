"""A sign of life beside the relay's work, so that a slow batch does not cost it its shards."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from everwhen.errors import StoreError

_log = logging.getLogger("everwhen.relay")


@contextmanager
def beating(beat: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call ``beat`` every so many seconds, in a thread, while the block runs.

    A database that fails is left to the thread that works: this one tries again.
    """
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(seconds):
            try:
                beat()
            except StoreError as error:
                _log.debug("heart.missed %s", error)

    thread = threading.Thread(target=run, name="everwhen-relay-heart", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
