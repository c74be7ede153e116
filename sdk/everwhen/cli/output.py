"""Writing to standard output: tables on a terminal, tab-separated lines elsewhere, JSON for machines."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

_SAMPLE = 200
"""How many rows of a table are looked at to choose the widths: the rest streams."""
_GAP = "  "
_LEAST_WIDTH = 20
"""The last column keeps this many characters, however narrow the terminal is."""


def to_json(value: Any) -> str:
    """Return JSON in one line. It is ASCII, so that neither a terminal nor an encoding can spoil it."""
    return json.dumps(value, separators=(",", ":"))


def printable(text: str) -> str:
    """Return text with control characters escaped: an entity id may hold one, and a terminal would obey it."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def on_terminal() -> bool:
    """Say whether standard output is a terminal."""
    return sys.stdout.isatty()


def write_line(line: str) -> None:
    """Write a line to standard output."""
    sys.stdout.write(line + "\n")


def write_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Write names and values, the values under one another."""
    lines = list(fields)
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        write_line(f"{name.ljust(width)}{_GAP}{printable(value)}".rstrip())


def write_rows(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write rows: on a terminal under titles, the last column cut to its width; elsewhere tab-separated and whole.

    Takes the rows one by one, in constant memory.
    """
    cleaned = ([printable(cell) for cell in row] for row in rows)
    if not on_terminal():
        for row in cleaned:
            write_line("\t".join(row))
        return
    for line in _aligned(titles, cleaned, shutil.get_terminal_size().columns):
        write_line(line)


def _aligned(titles: Sequence[str], rows: Iterator[list[str]], columns: int) -> Iterator[str]:
    sample = list(islice(rows, _SAMPLE))
    widths = [max(map(len, cells)) for cells in zip(titles, *sample, strict=True)][:-1]
    left = max(_LEAST_WIDTH, columns - sum(widths) - len(_GAP) * len(widths))
    for row in chain([titles], sample, rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield _GAP.join([*cells, _cut(row[-1], left)]).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


_PASSWORD = re.compile(r"(://[^\s/:@]*):[^\s@]+@")


def without_passwords(text: str) -> str:
    """Return ``text`` with the password of each URL hidden: an argument in the wrong place is quoted as it stands."""
    return _PASSWORD.sub(r"\1:***@", text)
