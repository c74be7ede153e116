"""``everwhen continuity``: what to do where the log does not go on where the store stands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import click

from everwhen.cli.documents import shown
from everwhen.cli.group import Group
from everwhen.cli.options import (
    confirm,
    json_option,
    kafka_option,
    log_option,
    log_target,
    option,
    registry_option,
    store_option,
    yes_option,
)
from everwhen.cli.output import to_json, write_line, write_rows
from everwhen.cli.targets import load_projection, named, numbered
from everwhen.connect import find_registry, open_log, open_store
from everwhen.errors import ArgumentError
from everwhen.instants import from_micros
from everwhen.ports.continuity import Decision, PartitionStand, StoreContinuity
from everwhen.worker import roll_back as roll_back_partition

_AGAIN = "Workers that had it are fenced: start them again"

partition_option = option(
    "--partition", "partition", metavar="N", type=click.IntRange(min=0), required=True, help="Which partition."
)
reason_option = option("--reason", metavar="TEXT", required=True, help="Why; it is kept for good.")


@click.group(cls=Group)
def continuity() -> None:
    """Decide what happens where the log does not go on where the store stands.

    A worker never decides it: the partition stands still, and answers that depend on it say that they are incomplete.

    \b
    Example:
      everwhen continuity show account --store sqlite:///bank.db
    """


@continuity.command()
@click.argument("name", metavar="NAME")
@store_option
@json_option
def show(name: str, *, store: str | None, as_json: bool) -> None:
    """Print where every partition stands, what it was stopped by, and what was decided before.

    On a terminal two tables; elsewhere lines of tab-separated columns: partition, next offset, error, from, to; then,
    after an empty line: partition, instant, what was decided, from, to, reason. NAME is the projection's name or
    MODULE:PROJECTION (NAME@2: its generation 2).

    With --json: one object with partitions and decisions.

    \b
    Example:
      everwhen continuity show account --store sqlite:///bank.db
    """
    with _deciding(name, store) as source:
        partitions, decisions = source.partitions(), source.decisions()
    if as_json:
        found = {"partitions": list(map(_stand_document, partitions)), "decisions": list(map(_document, decisions))}
        write_line(to_json(found))
        return
    write_rows(("PARTITION", "NEXT OFFSET", "STOPPED BY", "FROM", "TO"), map(_stand_row, partitions))
    write_line("")
    write_rows(("PARTITION", "DECIDED AT", "WHAT", "FROM", "TO", "REASON"), map(_row, decisions))


@continuity.command("accept-gap")
@click.argument("name", metavar="NAME")
@partition_option
@reason_option
@log_option
@kafka_option
@store_option
@yes_option
def accept_gap(
    name: str, *, partition: int, reason: str, log: str | None, kafka: tuple[str, ...], store: str | None, yes: bool
) -> None:
    """Go on without records that the log does not hold any more.

    The partition is put to the beginning of what the log holds. What its entities were meanwhile is not known; the gap
    is kept for good, and explain shows it. NAME is the projection's name or MODULE:PROJECTION (NAME@2: its generation
    2).

    \b
    Example:
      everwhen continuity accept-gap account --partition 0 --reason "lost with the old disk" --log kafka://HOST:9092
    """
    _check(reason)
    with _deciding(name, store) as source, closing(open_log(log_target(log, kafka))) as opened:
        topic = opened.describe(source.generation.topic)
        start = opened.bounds(topic.name, [partition])[partition].start
        place = f"{topic.name}[{partition}] of projection {source.generation.projection}"
        confirm(yes, f"{place} goes on at offset {start}, without what was before it and is not applied")
        done = source.accept_gap(topic, partition, start, reason)
    write_line(f"{place}: the gap from {done.from_offset} to {done.to_offset} is accepted. {_AGAIN}")


@continuity.command("roll-back")
@click.argument("target", metavar="MODULE:PROJECTION")
@partition_option
@option("--to-offset", metavar="X", type=click.IntRange(min=0), required=True, help="The first offset to read again.")
@reason_option
@store_option
@registry_option
@yes_option
def roll_back(
    target: str, *, partition: int, to_offset: int, reason: str, store: str | None, registry: str | None, yes: bool
) -> None:
    """Undo everything that the records of a partition from an offset on did.

    What was answered from them before cannot be answered any more. The projection's code is needed: entities that
    they touched are folded again from the records before. Choose an offset up to which the log is surely the same;
    nothing can check that.

    \b
    Example:
      everwhen continuity roll-back bank:account --partition 0 --to-offset 1200 --reason "broker 2 lost its disk"
    """
    _check(reason)
    code, generation = numbered(target)
    projection = load_projection(code)
    place = f"partition {partition} of projection {projection.name}"
    confirm(yes, f"{place} goes back to offset {to_offset}; what the records from there on did is removed")
    named = find_registry(registry)
    ids = None if named is None else named.ids(projection.topic.name)
    with closing(open_store(store)) as opened:
        done = roll_back_partition(projection, opened, partition, to_offset, reason, generation=generation, ids=ids)
    write_line(f"{place}: from {done.stood} back to {to_offset}, {done.entities} entities folded again. {_AGAIN}")


@continuity.command()
@click.argument("name", metavar="NAME")
@reason_option
@log_option
@kafka_option
@store_option
@yes_option
def restart(name: str, *, reason: str, log: str | None, kafka: tuple[str, ...], store: str | None, yes: bool) -> None:
    """Throw away what a projection holds, and begin with the topic as it is now.

    For a topic that was made again, or a cluster that was replaced. No earlier answer can be given again. NAME is the
    projection's name or MODULE:PROJECTION (NAME@2: its generation 2).

    \b
    Example:
      everwhen continuity restart account --reason "moved to the new cluster" --log kafka://HOST:9092
    """
    _check(reason)
    with _deciding(name, store) as source, closing(open_log(log_target(log, kafka))) as opened:
        topic = opened.describe(source.generation.topic)
        place = f"projection {source.generation.projection}"
        confirm(yes, f"{place} loses all that it holds, and begins at the beginning of {topic.name}")
        done = source.restart(topic, reason)
    write_line(f"{place}: {len(done)} partitions begin anew with topic id {topic.topic_id}. {_AGAIN}")


@continuity.command("accept-partitions")
@click.argument("name", metavar="NAME")
@reason_option
@store_option
@yes_option
def accept_partitions(name: str, *, reason: str, store: str | None, yes: bool) -> None:
    """Read the partitions that a topic was given since the store was built.

    They are read from their beginning. An entity that has records in an old one and in a new one goes on in the old
    one only: those in the new one are kept aside (SplitEntity). NAME is the projection's name or MODULE:PROJECTION
    (NAME@2: its generation 2).

    \b
    Example:
      everwhen continuity accept-partitions account --reason "all entities are new" --store sqlite:///bank.db
    """
    _check(reason)
    with _deciding(name, store) as source:
        place = f"projection {source.generation.projection}"
        confirm(yes, f"{place} reads new partitions; records of entities that are in an old one are kept aside")
        done = source.accept_partitions(reason)
    numbers = ", ".join(str(each.partition) for each in done)
    write_line(f"{place}: partitions {numbers} are read from their beginning. {_AGAIN}")


@contextmanager
def _deciding(name: str, store: str | None) -> Iterator[StoreContinuity]:
    with closing(open_store(store)) as opened:
        yield opened.continuity(*named(name))


def _check(reason: str) -> None:
    if not reason.strip():
        raise ArgumentError("say in --reason why; whoever asks later wants to know")


def _stand_row(each: PartitionStand) -> tuple[str, ...]:
    error, *offsets = each.trouble or ("-", None, None)
    return str(each.partition), str(each.next_offset), str(error), *("-" if n is None else str(n) for n in offsets)


def _stand_document(each: PartitionStand) -> dict[str, Any]:
    trouble = None if each.trouble is None else each.trouble._asdict()
    return {"partition": each.partition, "next_offset": each.next_offset, "trouble": trouble}


def _row(each: Decision) -> tuple[str, ...]:
    offsets = str(each.from_offset), str(each.to_offset)
    return str(each.partition), shown(from_micros(each.decided_at)), each.kind, *offsets, each.reason


def _document(each: Decision) -> dict[str, Any]:
    return each._asdict() | {"decided_at": shown(from_micros(each.decided_at))}
