"""``everwhen explain``, ``diff`` and ``changes``: where answers come from, and what became of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import click

from everwhen.cli.asking import asking
from everwhen.cli.documents import (
    answer_document,
    answer_fields,
    change_document,
    explanation_document,
    fact_document,
    shown,
    state_cell,
    warn_of,
)
from everwhen.cli.exits import Exit, outcome_of
from everwhen.cli.options import VALID_AT, instant_option, json_option, option, point_options, store_option
from everwhen.cli.output import to_json, write_fields, write_line, write_rows
from everwhen.errors import ArgumentError
from everwhen.instants import from_micros, parse_instant
from everwhen.reader import At, Changed, Diff, Explanation, Fact


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("entity", metavar="ENTITY")
@store_option
@point_options
@json_option
def explain(
    name: str,
    entity: str,
    *,
    store: str | None,
    valid_at: datetime | None,
    known_at: datetime | None,
    basis: str | None,
    as_json: bool,
) -> Exit:
    """Print the events that were folded into an answer.

    First the answer, as get prints it; then the events in the order of folding; then every correction and retraction
    of the entity with the event that it withdrew, records that came under an event id that was taken, decisions about
    gaps in the log, and records that were discarded. NAME is the projection's name or MODULE:PROJECTION (NAME@2: its
    generation 2); only with the latter are the contents of events shown.

    With --json: one object with answer (as get --json), events, withdrawn, conflicts, discarded, decisions and
    pruned_before.

    \b
    Example:
      everwhen explain bank:account acc-1 --store sqlite:///bank.db
    """
    with asking(name, store) as source:
        found = source.reader.explain(entity, valid_at=valid_at, known_at=known_at, basis=basis)
    if as_json:
        write_line(to_json(explanation_document(source.name, found)))
    else:
        write_fields(answer_fields(found.answer))
        write_line("")
        write_rows(("", "OCCURRED AT", "RECORDED AT", "ID", "TYPE", "EVENT"), _explanation_rows(found))
    return outcome_of(found.answer.status).code


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("entity", metavar="ENTITY")
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@store_option
@json_option
def diff(name: str, entity: str, before: str, after: str, *, store: str | None, as_json: bool) -> Exit:
    """Print what differs between two points, and the events that make the difference.

    A point is an instant or "now", and may say what was known: 2026-03-01T12:00:00Z,known=2026-03-05T00:00:00Z or
    now,basis=TOKEN. Fields that differ come first, then events that are folded into the second answer only (+) and
    into the first only (-). NAME is the projection's name or MODULE:PROJECTION (NAME@2: its generation 2).

    With --json: one object with before and after (as get --json), changes (path, before, after), added and removed.

    \b
    Example:
      everwhen diff account acc-1 2026-03-02T00:00:00Z now --store sqlite:///bank.db
    """
    points = [_point(text) for text in (before, after)]
    with asking(name, store) as source:
        found = source.reader.diff(entity, *points)
    if as_json:
        write_line(to_json(_diff_document(source.name, found)))
    else:
        write_rows(("FIELD", "BEFORE", "AFTER"), _field_rows(found))
        write_line("")
        write_rows(("", "OCCURRED AT", "RECORDED AT", "ID", "TYPE", "EVENT"), _difference_rows(found))
    return Exit.DONE


@click.command()
@click.argument("name", metavar="NAME")
@option(
    "--since",
    metavar="TOKEN",
    help="The basis of an answer, or the token that this command printed before; everything if left out.",
)
@store_option
@instant_option("--valid-at", VALID_AT)
@json_option
def changes(name: str, *, since: str | None, store: str | None, valid_at: datetime | None, as_json: bool) -> Exit:
    """Print every entity of which something became known since a basis.

    They are ordered by entity id. On a terminal a table; elsewhere lines of tab-separated columns: entity, the instant
    from which on what is believed has changed, status, state as JSON at --valid-at. Then the token to go on from is
    written to standard error. NAME is the projection's name or MODULE:PROJECTION (NAME@2: its generation 2). Streams
    in constant memory.

    With --json: a line for each, with valid_from and answer (as get --json), and a last line with the new basis.

    \b
    Example:
      everwhen changes account --store sqlite:///bank.db --json
    """
    with asking(name, store) as source, source.reader.changes(since, valid_at=valid_at) as found:
        token = str(found.basis)
        if as_json:
            for each in found:
                write_line(to_json(change_document(source.name, each, token)))
            write_line(to_json({"basis": token}))
        else:
            write_rows(("ENTITY", "CHANGED FROM", "STATUS", "STATE"), map(_change_row, found))
            click.echo(f"basis: {token}", err=True)
        warn_of(found.incomplete)
    return Exit.DONE


def _point(text: str) -> At:
    instant, *more = text.split(",")
    known = dict(part.partition("=")[::2] for part in more)
    if known.keys() - {"known", "basis"} or len(known) != len(more):
        raise ArgumentError(
            "a point is an instant or now, with ,known=INSTANT or ,basis=TOKEN behind it where it says what was known"
        )
    return At(
        valid_at=None if instant == "now" else _instant(instant, "the instant of a point"),
        known_at=_instant(known["known"], "known=") if "known" in known else None,
        basis=known.get("basis"),
    )


def _instant(text: str, name: str) -> datetime:
    return from_micros(parse_instant(text, name))


def _explanation_rows(found: Explanation[Any]) -> Iterator[Sequence[str]]:
    if found.pruned_before is not None:
        yield (
            "pruned",
            "-",
            "-",
            "-",
            "-",
            f"events before {shown(found.pruned_before)}, but for the last, were dropped",
        )
    for fact in found.events:
        yield _fact_row("folded", fact)
    for each in found.withdrawn:
        said = "" if each.reason is None else f": {each.reason}"
        yield "withdraws", "-", shown(each.recorded_at), each.by_id, each.by_type, f"{each.target_id}{said}"
        if each.target is not None:
            yield _fact_row("withdrawn", each.target)
    for fact in found.conflicts:
        yield _fact_row("conflict", fact)
    for decided in found.decisions:
        offsets = f"from {decided.from_offset} to {decided.to_offset}"
        yield decided.kind, "-", shown(from_micros(decided.decided_at)), "-", offsets, decided.reason
    for left_out in found.discarded:
        yield "discarded", "-", shown(left_out.recorded_at), "-", str(left_out.position), left_out.reason


def _difference_rows(found: Diff[Any]) -> Iterator[Sequence[str]]:
    yield from (_fact_row("+", fact) for fact in found.added)
    yield from (_fact_row("-", fact) for fact in found.removed)


def _fact_row(role: str, fact: Fact) -> Sequence[str]:
    event = state_cell(fact.event)
    return role, shown(fact.occurred_at), shown(fact.recorded_at), fact.event_id, fact.event_type, event


def _field_rows(found: Diff[Any]) -> Iterator[Sequence[str]]:
    for change in found.changes:
        yield ".".join(change.path) or "(state)", to_json(change.before), to_json(change.after)


def _diff_document(projection: str, found: Diff[Any]) -> dict[str, Any]:
    return {
        "before": answer_document(projection, found.before, str(found.before.basis)),
        "after": answer_document(projection, found.after, str(found.after.basis)),
        "changes": [
            {"path": list(change.path), "before": change.before, "after": change.after} for change in found.changes
        ],
        "added": list(map(fact_document, found.added)),
        "removed": list(map(fact_document, found.removed)),
    }


def _change_row(changed: Changed[Any]) -> Sequence[str]:
    answer = changed.answer
    return changed.entity_id, shown(changed.valid_from), answer.status.value, state_cell(answer.state)
