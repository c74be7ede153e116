"""``everwhen quarantine``: records that cannot be applied, and what is to become of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from everwhen.cli.documents import shown
from everwhen.cli.group import Group
from everwhen.cli.options import json_option, option, store_option
from everwhen.cli.output import to_json, write_fields, write_line, write_rows
from everwhen.cli.targets import named
from everwhen.connect import open_store
from everwhen.errors import ArgumentError
from everwhen.instants import from_micros
from everwhen.ports.quarantine import StoreQuarantine
from everwhen.positions import Position
from everwhen.projection.rows import Quarantined
from everwhen.worker.quarantine import read_headers


@click.group(cls=Group)
def quarantine() -> None:
    """Look at records that cannot be applied; have them tried again, or left out.

    What is asked for is carried out by the worker that owns the partition, within a few seconds, or when it starts.

    \b
    Example:
      everwhen quarantine list account --store sqlite:///bank.db
    """


@quarantine.command("list")
@click.argument("name", metavar="NAME")
@store_option
@json_option
def list_(name: str, *, store: str | None, as_json: bool) -> None:
    """Print all records that are kept aside, in the order of the log.

    A record that failed parks its entity; those behind it wait. On a terminal a table; elsewhere lines of
    tab-separated columns: position, entity, status, what is asked for, tries, when it was recorded, error. NAME is the
    projection's name or MODULE:PROJECTION (NAME@2: its generation 2).

    With --json: a line for each. Neither shows what a record holds.

    \b
    Example:
      everwhen quarantine list account --store sqlite:///bank.db
    """
    with _asking(name, store) as asked:
        topic, records = asked.generation.topic, asked.records()
    if as_json:
        for row in records:
            write_line(to_json(_document(topic, row)))
    else:
        titles = ("POSITION", "ENTITY", "STATUS", "REQUEST", "TRIES", "RECORDED AT", "ERROR")
        write_rows(titles, (tuple(value for _, value in _fields(topic, row)) for row in records))


@quarantine.command()
@click.argument("name", metavar="NAME")
@click.argument("partition", type=click.IntRange(min=0))
@click.argument("offset", type=click.IntRange(min=0))
@store_option
@option("--payload", is_flag=True, help="Show key, value and headers too: as text, or in hex where they are none.")
@json_option
def show(name: str, partition: int, offset: int, *, store: str | None, payload: bool, as_json: bool) -> None:
    """Print one record that is kept aside: why, since when, and what is asked for.

    What it holds is shown with --payload only. NAME is the projection's name or MODULE:PROJECTION (NAME@2: its
    generation 2).

    \b
    Example:
      everwhen quarantine show account 0 17 --store sqlite:///bank.db
    """
    with _asking(name, store) as asked:
        topic, row = asked.generation.topic, asked.record(partition, offset)
    if row is None:
        raise _nothing(name, f"{topic}[{partition}]@{offset}")
    if as_json:
        write_line(to_json(_document(topic, row) | (dict(_payload(row)) if payload else {})))
    else:
        reason = [("reason", row.reason)] if row.reason is not None else []
        write_fields([*_fields(topic, row), *reason, *(_payload(row) if payload else [])])


@quarantine.command()
@click.argument("name", metavar="NAME")
@click.argument("partition", type=click.IntRange(min=0), required=False)
@click.argument("offset", type=click.IntRange(min=0), required=False)
@option("--entity", metavar="ID", help="All that is kept aside of this entity.")
@option("--all", "everything", is_flag=True, help="All that is kept aside.")
@store_option
def retry(
    name: str, partition: int | None, offset: int | None, *, entity: str | None, everything: bool, store: str | None
) -> None:
    """Have records tried again: one with all that waits behind it, those of an entity, or all.

    Do it when the handlers were mended and the workers run with them. NAME is the projection's name or
    MODULE:PROJECTION (NAME@2: its generation 2).

    \b
    Example:
      everwhen quarantine retry account --all --store sqlite:///bank.db
    """
    if [offset is not None, entity is not None, everything].count(True) != 1:
        raise ArgumentError("give PARTITION and OFFSET, or --entity, or --all")
    position = None if partition is None or offset is None else (partition, offset)
    with _asking(name, store) as asked:
        count = asked.ask("retry", position=position, entity_id=entity)
    if not count and not everything:
        raise _nothing(name, f"entity {entity!r}" if position is None else f"{partition} {offset}")
    write_line(f"asked for {count} records to be tried again")


@quarantine.command()
@click.argument("name", metavar="NAME")
@click.argument("partition", type=click.IntRange(min=0))
@click.argument("offset", type=click.IntRange(min=0))
@option("--reason", metavar="TEXT", required=True, help="Why; everwhen explain shows it.")
@store_option
def discard(name: str, partition: int, offset: int, *, reason: str, store: str | None) -> None:
    """Have one record left out for good; what waits behind it is tried again.

    Its row is kept. A rebuild from the log meets it again. NAME is the projection's name or MODULE:PROJECTION (NAME@2:
    its generation 2).

    \b
    Example:
      everwhen quarantine discard account 0 17 --reason "a test by mistake" --store sqlite:///bank.db
    """
    if not reason.strip():
        raise ArgumentError("say in --reason why the record is left out")
    with _asking(name, store) as asked:
        if not asked.ask("discard", position=(partition, offset), reason=reason):
            raise _nothing(name, f"{asked.generation.topic}[{partition}]@{offset}")
    write_line("asked for 1 record to be discarded")


@contextmanager
def _asking(name: str, store: str | None) -> Iterator[StoreQuarantine]:
    opened = open_store(store)
    try:
        yield opened.quarantine(*named(name))
    finally:
        opened.close()


def _nothing(name: str, what: str) -> ArgumentError:
    return ArgumentError(
        f"nothing of {what} is kept aside, or it was discarded already; everwhen quarantine list {name} shows what is"
    )


def _fields(topic: str, row: Quarantined) -> list[tuple[str, str]]:
    return [
        ("position", str(Position(topic, row.partition, row.offset))),
        ("entity", "-" if row.entity_id is None else row.entity_id),
        ("status", row.status),
        ("request", row.request or "-"),
        ("tries", str(row.attempts)),
        ("recorded_at", shown(from_micros(row.recorded_at))),
        ("error", "-" if row.error is None else f"{row.error_class}: {row.error}"),
    ]


def _document(topic: str, row: Quarantined) -> dict[str, Any]:
    return {
        "position": {"topic": topic, "partition": row.partition, "offset": row.offset},
        "entity_id": row.entity_id,
        "status": row.status,
        "request": row.request,
        "attempts": row.attempts,
        "recorded_at": shown(from_micros(row.recorded_at)),
        "error_class": row.error_class,
        "error": row.error,
        "reason": row.reason,
    }


def _payload(row: Quarantined) -> list[tuple[str, str]]:
    headers = [(f"header {name}", _readable(value)) for name, value in read_headers(row)]
    return [("key", _readable(row.key)), ("value", _readable(row.value)), *headers]


def _readable(data: bytes | None) -> str:
    if data is None:
        return "null"
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f"hex {data.hex()}"
    return text if text.isprintable() else f"hex {data.hex()}"
