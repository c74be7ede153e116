"""Log lines on standard error: warnings of every command, and what a worker does, for people or for machines."""

from __future__ import annotations

import json
import logging

from everwhen.cli.output import printable, without_passwords
from everwhen.instants import format_instant

FORMATS = ("text", "json")
_ERASE_LINE = "\r\x1b[K"


def show_warnings() -> None:
    """Show warnings, and nothing else: an error that ends a command is told by the command."""
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: record.levelno == logging.WARNING)
    handler.setFormatter(logging.Formatter("everwhen: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


def show_worker(*, as_json: bool, over_bar: bool, traces: bool = False) -> None:
    """Show what a worker does.

    :param traces: show also where handlers fail.
    :param over_bar: a progress bar is on the screen: it says enough, and a warning must erase it first.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter() if as_json else _TextFormatter(_ERASE_LINE if over_bar else ""))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("everwhen").setLevel(logging.WARNING if over_bar else logging.INFO)
    if traces:
        logging.getLogger("everwhen.worker.traceback").setLevel(logging.DEBUG)


class _TextFormatter(logging.Formatter):
    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()} "
        return f"{self._prefix}{_time(record)} {level}{printable(record.message)}"


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_passwords(record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = without_passwords(self.formatException(record.exc_info))
        return json.dumps(line)


def _time(record: logging.LogRecord) -> str:
    return format_instant(round(record.created * 1_000_000))
