"""``everwhen generations``, ``switch`` and ``drop``: which build of a projection answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Final

import click

from everwhen.cli.documents import shown
from everwhen.cli.options import json_option, option, store_option
from everwhen.cli.output import to_json, write_line, write_rows
from everwhen.cli.targets import projection_name
from everwhen.connect import open_store
from everwhen.errors import ArgumentError, NotYetProjected
from everwhen.instants import from_micros
from everwhen.ports.generations import Build
from everwhen.ports.store import Store
from everwhen.positions import Basis

_TITLES: Final = ("GENERATION", "STATE", "VERSION", "CODE", "MADE", "ANSWERED UNTIL", "BEHIND", "STOPPED BY")
_LOOK_SECONDS: Final = 0.2


@click.command()
@click.argument("name", metavar="NAME")
@store_option
@json_option
def generations(name: str, *, store: str | None, as_json: bool) -> None:
    """Print the builds of a projection that stand side by side.

    One is live: it answers. One that is building never has; one that is retired has, until a switch. Behind is by how
    many offsets it has projected less than the live one. On a terminal a table; elsewhere lines of tab-separated
    columns: generation, state, version, code, when it was made, until when it answered, behind, stopped by. NAME is
    the projection's name or MODULE:PROJECTION.

    With --json: a line for each.

    \b
    Example:
      everwhen generations account --store sqlite:///bank.db
    """
    projection = projection_name(name)
    with closing(open_store(store)) as opened:
        builds = opened.generations(projection).all()
        marks = {build.generation.number: _marks(opened, build) for build in builds}
    live = marks[next(build.generation.number for build in builds if build.state == "live")]
    behind = {number: _behind(each, live) for number, each in marks.items()}
    if as_json:
        for build in builds:
            number = build.generation.number
            write_line(to_json(_document(build, behind[number], marks[number])))
    else:
        rows = (_row(build, behind[build.generation.number], marks[build.generation.number]) for build in builds)
        write_rows(_TITLES, rows)


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("number", metavar="[GENERATION]", type=click.IntRange(min=1), required=False)
@option("--back", is_flag=True, help="Switch to the generation that answered before, wherever it stands.")
@option(
    "--wait",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=60.0,
    help="For how long to wait until the generation is where the live one stands now: 60 by default.",
)
@option("--even-if-behind", is_flag=True, help="Do not wait: answers go back to where the generation stands.")
@store_option
def switch(name: str, number: int | None, *, back: bool, wait: float, even_if_behind: bool, store: str | None) -> None:
    """Let another generation of a projection answer, from one moment to the next.

    Without GENERATION it is the newest one that is being built. It must have projected all that the live one has: its
    worker should be running, and is waited for. Readers notice within about two seconds; an answer comes from the one
    or the other, and an answer that is pinned to a basis from the one that gave the basis. The generation that
    answered so far stays, and goes on if its worker does. NAME is the projection's name or MODULE:PROJECTION.

    \b
    Example:
      everwhen switch account 2 --store sqlite:///bank.db
      everwhen switch account --back --store sqlite:///bank.db
    """
    if back and number is not None:
        raise ArgumentError("give GENERATION or --back, not both")
    projection = projection_name(name)
    with closing(open_store(store)) as opened:
        builds = opened.generations(projection)
        chosen = number if number is not None else _chosen(projection, builds.all(), back=back)
        if not (back or even_if_behind):
            _wait(opened, projection, chosen, wait)
        retired = builds.switch(chosen)
        behind = _behind(opened.reader(projection, chosen).marks(), _marks(opened, retired)) or 0
    write_line(
        f"generation {chosen} of projection {projection} answers now instead of generation "
        f"{retired.generation.number}" + (f", and is {behind} offsets behind it" if behind > 0 else "")
    )
    write_line(
        f"back: everwhen switch {name} --back; or free the other: everwhen drop {name} {retired.generation.number}"
    )


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("number", metavar="GENERATION", type=click.IntRange(min=1))
@store_option
def drop(name: str, number: int, *, store: str | None) -> None:
    """Free what a generation takes in the store: all its tables.

    The one that answers is refused, and one that did until a moment ago. Stop its workers first. It can be built again
    from the log, under another number. NAME is the projection's name or MODULE:PROJECTION.

    \b
    Example:
      everwhen drop account 1 --store sqlite:///bank.db
    """
    projection = projection_name(name)
    with closing(open_store(store)) as opened:
        opened.generations(projection).drop(number)
    write_line(f"generation {number} of projection {projection} is dropped")


def _chosen(projection: str, builds: Sequence[Build], *, back: bool) -> int:
    """Return the number of the generation that is meant when none is given."""
    wanted = "retired" if back else "building"
    found = [build for build in builds if build.state == wanted]
    if not found:
        what = "has answered before" if back else "is being built"
        raise ArgumentError(
            f"no other generation of projection {projection} {what}; see everwhen generations {projection}"
        )
    return max(found, key=lambda build: (build.retired_at or 0, build.generation.number)).generation.number


def _wait(store: Store, projection: str, number: int, seconds: float) -> None:
    """Wait until a generation is where the live one stands now."""
    goal, reader = store.reader(projection).marks(), store.reader(projection, number)
    if reader.generation.topic != goal.topic:
        raise ArgumentError(
            f"generation {number} of projection {projection} is of topic {reader.generation.topic} and the one that "
            f"answers of {goal.topic}: nothing tells whether it is behind. Say --even-if-behind if it is not"
        )
    deadline = time.monotonic() + seconds
    while left := _missing(reader.marks(), goal):
        if time.monotonic() >= deadline:
            raise NotYetProjected(
                f"generation {number} of projection {projection} is {left} offsets behind the one that answers; start "
                f"its worker (everwhen worker MODULE:PROJECTION@{number}) or let everwhen rebuild finish, "
                "or say --even-if-behind"
            )
        time.sleep(_LOOK_SECONDS)


def _marks(store: Store, build: Build) -> Basis:
    return store.reader(build.generation.projection, build.generation.number).marks()


def _missing(marks: Basis, goal: Basis) -> int:
    """Count the offsets of the goal that are not reached, partition by partition."""
    return sum(max(0, mark.next_offset - marks.next_offset(partition)) for partition, mark in goal.items())


def _behind(marks: Basis, other: Basis) -> int | None:
    """Return by how many offsets it is behind another; less than 0 if it is ahead; ``None`` for another topic."""
    if marks.topic != other.topic:
        return None
    return sum(other.next_offset(p) - marks.next_offset(p) for p in {*marks, *other})


def _row(build: Build, behind: int | None, marks: Basis) -> tuple[str, ...]:
    document = _document(build, behind, marks)
    return tuple("-" if value is None else str(value) for name, value in document.items() if name != "topic")


def _document(build: Build, behind: int | None, marks: Basis) -> dict[str, Any]:
    generation = build.generation
    return {
        "generation": generation.number,
        "state": build.state,
        "version": generation.version,
        "code": generation.fingerprint,
        "topic": generation.topic,
        "created_at": shown(from_micros(build.created_at)),
        "answered_until": None if build.retired_at is None else shown(from_micros(build.retired_at)),
        "behind": behind,
        "stopped_by": ", ".join(sorted({error for _, error in marks.troubles})) or None,
    }
