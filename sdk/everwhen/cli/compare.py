"""``everwhen compare``: what two generations of a projection say differently."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

import click

from everwhen.cli.documents import instant
from everwhen.cli.exits import Exit
from everwhen.cli.options import json_option, option, store_option
from everwhen.cli.output import to_json, write_line, write_rows
from everwhen.cli.targets import projection_name
from everwhen.connect import open_store
from everwhen.errors import ArgumentError
from everwhen.ports.store import Store
from everwhen.reader.compare import Comparison, Difference

_TITLES: Final = ("ENTITY", "KIND", "VALID FROM", "EVENT", "POSITION", "FIELDS")


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("old", metavar="[OLD]", type=click.IntRange(min=1), required=False)
@click.argument("new", metavar="[NEW]", type=click.IntRange(min=1), required=False)
@option(
    "--report",
    metavar="FILE",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the differences there too, as --json does, and the summary in the last line.",
)
@store_option
@json_option
def compare(
    name: str, old: int | None, new: int | None, *, report: Path | None, store: str | None, as_json: bool
) -> Exit:
    """Print every entity of which two generations say different things, at the last position that both have reached.

    Without OLD and NEW: the one that answers, and the newest other one. For each entity the first version that differs,
    and the event that made it. Kinds are: state (the version has another state), versions (only one of them has the
    version), parked (only one of them has set an event aside), unknown (one of them does not keep what it believed
    then; compare again when both stand at the end). On a terminal a table; elsewhere lines of tab-separated columns:
    entity, kind, valid from, event type, position, fields that differ. The exit code is 0 if there is no difference,
    and 18 if there is. NAME is the projection's name or MODULE:PROJECTION.

    With --json: a line for each entity, with the values of both.

    \b
    Example:
      everwhen compare account 1 2 --store sqlite:///bank.db
    """
    with ExitStack() as stack:
        opened = stack.enter_context(closing(open_store(store)))
        projection = projection_name(name)
        numbers = _numbers(opened, projection, old, new)
        comparison = stack.enter_context(Comparison(*(opened.reader(projection, number) for number in numbers)))
        lines = stack.enter_context(report.open("w", encoding="utf-8")) if report is not None else None
        found = 0

        def each() -> Iterator[Difference]:
            nonlocal found
            for found, difference in enumerate(comparison, 1):  # noqa: B007 - counted for what follows the loop
                if lines is not None:
                    lines.write(to_json(_document(difference)) + "\n")
                yield difference

        if as_json:
            for difference in each():
                write_line(to_json(_document(difference)))
        else:
            write_rows(_TITLES, map(_row, each()))
        if lines is not None:
            lines.write(to_json(_summary(comparison, numbers, found)) + "\n")
    click.echo(
        f"compared generations {numbers[0]} and {numbers[1]} of projection {projection}: {comparison.entities} "
        f"entities, {comparison.versions} versions, {found or 'no'} difference{'s' if found > 1 else ''}",
        err=True,
    )
    return Exit.DIFFERENT if found else Exit.DONE


def _numbers(store: Store, projection: str, old: int | None, new: int | None) -> tuple[int, int]:
    if old is not None and new is not None:
        return old, new
    if old is not None:
        raise ArgumentError("give both generations, OLD and NEW, or neither")
    builds = store.generations(projection).all()
    live = next(build.generation.number for build in builds if build.state == "live")
    others = [build.generation.number for build in builds if build.state != "live"]
    if not others:
        raise ArgumentError(
            f"there is only generation {live} of projection {projection}; everwhen rebuild MODULE:PROJECTION builds "
            "another one beside it"
        )
    return live, max(others)


def _row(each: Difference) -> tuple[str, ...]:
    return (
        each.entity_id,
        each.kind,
        instant(each.valid_from) or "-",
        each.event_type or "-",
        "-" if each.position is None else str(each.position),
        ", ".join(".".join(change.path) or "(deleted)" for change in each.changes) or "-",
    )


def _document(each: Difference) -> dict[str, Any]:
    return {
        "entity_id": each.entity_id,
        "kind": each.kind,
        "valid_from": instant(each.valid_from),
        "event_type": each.event_type,
        "event_id": each.event_id,
        "position": None if each.position is None else each.position._asdict(),
        "changes": [
            {"path": list(change.path), "before": change.before, "after": change.after} for change in each.changes
        ],
    }


def _summary(comparison: Comparison, numbers: tuple[int, int], found: int) -> dict[str, Any]:
    return {
        "generations": list(numbers),
        "basis": str(comparison.basis),
        "entities": comparison.entities,
        "versions": comparison.versions,
        "differences": found,
    }
