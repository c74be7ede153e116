"""librdkafka's own log lines, brought to the logger ``everwhen.kafka``."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable

# Settings are passed to every kind of client; that each ignores the others' is not worth a line.
_OF_THE_OTHER_KIND = re.compile(r"is a (producer|consumer) property and will be ignored")
_VARYING = re.compile(r"\d+ms\b|\d+ identical")
_QUIET_SECONDS = 30.0
_MOST_REMEMBERED = 256


class _Repeats(logging.Filter):
    """Lets the same line through once in a while: a broker that is down makes twenty a second."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if _OF_THE_OTHER_KIND.search(text):
            return False
        text = _VARYING.sub("", text)
        now = time.monotonic()
        if now - self._last.get(text, -_QUIET_SECONDS) < _QUIET_SECONDS:
            return False
        if len(self._last) >= _MOST_REMEMBERED:
            self._last.clear()
        self._last[text] = now
        return True


logger = logging.getLogger("everwhen.kafka")
logger.addFilter(_Repeats())


class ClientLog:
    """What a client is given as its ``logger``: its lines go to the logger ``everwhen.kafka`` without secrets.

    With librdkafka's ``debug`` set they are many, and tell of settings.
    """

    def __init__(self, hide: Callable[[str], str]) -> None:
        self._hide = hide

    def log(self, level: int, message: str, *arguments: object) -> None:
        """Log one line of librdkafka's."""
        if logger.isEnabledFor(level):
            logger.log(level, "kafka.client %s", self._hide(message % arguments))
