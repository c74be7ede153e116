"""Log lines on standard error: warnings of every command, and what a worker does, for people or for machines."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from everwhen.cli.output import printable, without_passwords
from everwhen.instants import format_instant

FORMATS: Final = ("text", "json")
_ERASE_LINE: Final = "\r\x1b[K"
_EVENT: Final = re.compile(r"[a-z]+(\.[a-z_]+)+")
_OF_EVERY_RECORD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_SHOWN_BEFORE_TEXT: Final = ("process_number", "projection")

_about: ContextVar[Mapping[str, object]] = ContextVar("everwhen_about", default={})  # noqa: B039 - never changed


@contextmanager
def about(**facts: object) -> Iterator[None]:
    """Add to every line that is logged in this context who or what it is about."""
    token = _about.set({**_about.get(), **facts})
    try:
        yield
    finally:
        _about.reset(token)


def is_json(chosen: str | None) -> bool:
    """Say whether to log JSON: as it was chosen, and else wherever nobody looks on."""
    return chosen == "json" if chosen in FORMATS else not sys.stderr.isatty()


def show_warnings() -> None:
    """Show warnings, and nothing else: an error that ends a command is told by the command."""
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: record.levelno == logging.WARNING)
    handler.setFormatter(logging.Formatter("everwhen: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


def show_worker(*, as_json: bool, over_bar: bool, several: bool = False, traces: bool = False) -> None:
    """Show what a worker does.

    :param traces: show also where handlers fail.
    :param over_bar: a progress bar is on the screen: it says enough, and a warning must erase it first.
    :param several: there are several workers: a line of text says which one it is from, as one of JSON always does.
    """
    handler = logging.StreamHandler()
    handler.addFilter(_add_facts)
    handler.setFormatter(_JsonFormatter() if as_json else _TextFormatter(_ERASE_LINE if over_bar else "", several))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("everwhen").setLevel(logging.WARNING if over_bar else logging.INFO)
    if traces:
        logging.getLogger("everwhen.worker.traceback").setLevel(logging.DEBUG)


def _add_facts(record: logging.LogRecord) -> bool:
    for name, value in _about.get().items():
        record.__dict__.setdefault(name, value)
    return True


class _TextFormatter(logging.Formatter):
    def __init__(self, prefix: str, several: bool) -> None:
        super().__init__()
        self._prefix = prefix
        self._names = _SHOWN_BEFORE_TEXT if several else ()

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()} "
        who = " ".join(str(record.__dict__[name]) for name in self._names if name in record.__dict__)
        return f"{self._prefix}{_time(record)} {level}{f'[{who}] ' if who else ''}{printable(record.message)}"


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message = without_passwords(record.getMessage())
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if event := _EVENT.match(message):
            line["event"] = event[0]
        line["message"] = message
        for name, value in record.__dict__.items():
            if name not in _OF_EVERY_RECORD and name not in line:
                line[name] = without_passwords(value) if isinstance(value, str) else value
        if record.exc_info:
            line["traceback"] = without_passwords(self.formatException(record.exc_info))
        return json.dumps(line, default=str)


def _time(record: logging.LogRecord) -> str:
    return format_instant(round(record.created * 1_000_000))
