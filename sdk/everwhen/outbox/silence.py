"""A log that leaves a relay without an answer: it is waited for, and somebody should know."""

from __future__ import annotations

import logging
import time
from typing import Final

from everwhen.outbox.watching import RelayObserver

_log = logging.getLogger("everwhen.relay")
_PATIENCE: Final = 5.0
"""After how many seconds without any answer the log counts as away. A broker's failover may take as long."""


class Silence:
    """The time since the log last answered for anything that waits for it.

    :param address: which log, without secrets.
    :param observer: is told when it becomes long, and when it ends.
    """

    def __init__(self, address: str, observer: RelayObserver) -> None:
        self._address = address
        self._observer = observer
        self._since = 0.0
        self._is_long = False

    def begin(self) -> None:
        """Note that something was sent, and nothing waited before."""
        self._since = time.monotonic()

    def look(self, *, unanswered: int, heard: bool) -> None:
        """Note whether the log has answered for anything since the last look, and for how many it has not."""
        now = time.monotonic()
        lasted = now - self._since
        if heard:
            self._since = now
            if self._is_long:
                self._is_long = False
                _log.info("log.back after %.1f s", lasted)
                self._observer.log_away(away=False)
        elif lasted >= _PATIENCE and not self._is_long:
            self._is_long = True
            _log.warning(
                "log.unavailable and waited for: %s has not answered for %d events within %g s",
                self._address,
                unanswered,
                _PATIENCE,
            )
            self._observer.log_away(away=True)
