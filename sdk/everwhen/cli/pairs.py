"""Pairs of an entity and an instant, from lines of CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO, Final

from everwhen.errors import ArgumentError, InstantError
from everwhen.instants import from_micros, parse_instant

_HEADER: Final = ["entity_id", "valid_at"]


def read_pairs(source: BinaryIO) -> Iterator[tuple[str, datetime]]:
    """Yield the pairs of a file, one by one: ``entity_id,valid_at``, in UTF-8. A first line that says so is left out.

    :raises ArgumentError: for a line that is not such a pair, naming the line's number, counted from 1.
    :raises InstantError: for an instant that is none, as above.
    """
    # A spreadsheet's byte order mark is no part of the first id. What is not UTF-8 is found line by line.
    text = io.TextIOWrapper(source, encoding="utf-8-sig", errors="surrogateescape", newline="")
    lines = csv.reader(text, strict=True)
    try:
        for fields in lines:
            if fields and (lines.line_num > 1 or fields != _HEADER):
                yield _pair(fields, f"line {lines.line_num}")
    except csv.Error as error:
        raise ArgumentError(f"line {lines.line_num} is not CSV: {error}; write it like {_EXAMPLE}") from None


_EXAMPLE: Final = "acc-1,2026-03-01T12:00:00Z"


def _pair(fields: list[str], where: str) -> tuple[str, datetime]:
    if len(fields) != len(_HEADER):
        raise ArgumentError(f"{where} has {len(fields)} fields; give an entity id and an instant, such as {_EXAMPLE}")
    entity_id, instant = fields
    try:
        entity_id.encode()
    except UnicodeEncodeError:
        raise ArgumentError(f"{where} is not in UTF-8") from None
    if not entity_id:
        raise ArgumentError(f"{where} has an empty entity id; write it like {_EXAMPLE}")
    try:
        return entity_id, from_micros(parse_instant(instant.strip(), "the instant"))
    except InstantError as error:
        raise InstantError(f"{where}: {error}") from None
