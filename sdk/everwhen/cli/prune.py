"""``everwhen prune``: dropping history that nobody asks about any more."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import datetime

import click

from everwhen.cli.documents import shown
from everwhen.cli.options import confirm, instant_option, json_option, store_option, yes_option
from everwhen.cli.output import to_json, write_line
from everwhen.cli.targets import named
from everwhen.connect import open_store
from everwhen.errors import ArgumentError
from everwhen.instants import to_micros
from everwhen.ports.pruning import Pruned


@click.command()
@click.argument("name", metavar="NAME")
@instant_option("--before", "History before this instant is dropped, such as 2026-01-01T00:00:00Z.")
@store_option
@yes_option
@json_option
def prune(name: str, *, before: datetime | None, store: str | None, yes: bool, as_json: bool) -> None:
    """Drop the history before an instant, and keep what is valid at it of every entity, and all that follows.

    Questions about instants before it are answered with the status truncated from then on, also as known at an earlier
    basis. An event that arrives later and belongs before the instant parks its entity (PrunedEvent), so choose one
    before which nothing comes any more. Entities that are parked are left as they are. Workers and readers may run; an
    interrupted run goes on where it was when it is started again. NAME is the projection's name or
    MODULE:PROJECTION (NAME@2: its generation 2).

    With --json: one object with what was dropped.

    \b
    Example:
      everwhen prune account --before 2026-01-01T00:00:00Z --yes --store sqlite:///bank.db
    """
    if before is None:
        raise ArgumentError("it is not said what is dropped; give an instant, as in --before 2026-01-01T00:00:00Z")
    instant = to_micros(before, "--before")
    if instant > time.time_ns() // 1000:
        raise ArgumentError(f"--before {shown(before)} has not come yet: what is valid until then is no history")
    with closing(open_store(store)) as opened:
        source = opened.pruning(*named(name))
        place = f"projection {source.generation.projection}"
        confirm(yes, f"{place} loses its history before {shown(before)}: {_counted(source.outlook(instant))}")
        done = Pruned()
        for portion in source.portions(instant):
            done = done.plus(portion)
    if as_json:
        write_line(to_json({"projection": source.generation.projection, "before": shown(before), **done._asdict()}))
    else:
        write_line(f"{place}: {_counted(done)} dropped before {shown(before)}{_left_out(done)}")


def _counted(pruned: Pruned) -> str:
    return f"{pruned.versions} versions and {pruned.superseded} earlier beliefs of {pruned.entities} entities"


def _left_out(pruned: Pruned) -> str:
    return f"; {pruned.parked} parked entities are left as they are" if pruned.parked else ""
