"""``everwhen get``, ``history`` and ``snapshot``: questions to a store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import click

from everwhen.cli.documents import answer_document, answer_fields, history_document, shown, state_cell
from everwhen.cli.exits import Exit, outcome_of
from everwhen.cli.options import basis_option, instant_option, json_option, known_at_option, option, store_option
from everwhen.cli.output import to_json, write_fields, write_line, write_rows
from everwhen.cli.targets import load_projection
from everwhen.connect import Reader
from everwhen.errors import NotStored
from everwhen.reader import Answer, History, Snapshot, Status

_VALID_AT = "At this instant, such as 2026-03-01T12:00:00Z; now if left out."


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("entity", metavar="ENTITY")
@store_option
@instant_option("--valid-at", _VALID_AT)
@known_at_option
@basis_option
@json_option
def get(
    name: str,
    entity: str,
    *,
    store: str | None,
    valid_at: datetime | None,
    known_at: datetime | None,
    basis: str | None,
    as_json: bool,
) -> Exit:
    """Print the state of one entity at an instant.

    NAME is the projection's name, which needs none of its code, or MODULE:PROJECTION. The exit code says what the
    answer says: 0 when there is a state, and a code for every reason why there is none.

    With --json: one object with projection, entity_id, valid_at, status, state, valid_from, valid_to, recorded_at,
    superseded_at, event_id, event_type, position (topic, partition, offset), basis, watermark and folded. Instants
    are RFC 3339 with a Z; what does not apply is null.

    \b
    Example:
      everwhen get account acc-1 --store sqlite:///bank.db --valid-at 2026-03-02T00:00:00Z --json
    """
    with _asking(name, store) as source:
        answer = source.reader.get(entity, valid_at=valid_at, known_at=known_at, basis=basis)
    if as_json:
        write_line(to_json(answer_document(source.name, answer, str(answer.basis))))
    else:
        write_fields(answer_fields(answer))
    return outcome_of(answer.status).code


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("entity", metavar="ENTITY")
@store_option
@known_at_option
@basis_option
@json_option
def history(
    name: str, entity: str, *, store: str | None, known_at: datetime | None, basis: str | None, as_json: bool
) -> Exit:
    """Print all versions of one entity.

    They come in the order of valid time, future ones included; of several events at one instant the last one's is
    listed. NAME is the projection's name or MODULE:PROJECTION. On a terminal a table; elsewhere lines of tab-separated
    columns: valid from (until the next line's), recorded at, event type, state as JSON ("-" where it is deleted).

    With --json: one object with projection, entity_id, status, versions and basis. A version has state, valid_from,
    valid_to, recorded_at, superseded_at, event_id, event_type and position.

    \b
    Example:
      everwhen history account acc-1 --store sqlite:///bank.db
    """
    with _asking(name, store) as source:
        found = source.reader.history(entity, known_at=known_at, basis=basis)
    if as_json:
        write_line(to_json(history_document(source.name, found)))
    else:
        write_rows(("VALID FROM", "RECORDED AT", "EVENT", "STATE"), _history_rows(found))
        if found.status is not Status.FOUND:
            click.echo(f"{entity!r}: {outcome_of(found.status).meaning}", err=True)
    return outcome_of(found.status).code


@click.command()
@click.argument("name", metavar="NAME")
@store_option
@instant_option("--valid-at", _VALID_AT)
@known_at_option
@basis_option
@option("--deleted", is_flag=True, help="Also give the entities that are deleted at the instant.")
@json_option
def snapshot(
    name: str,
    *,
    store: str | None,
    valid_at: datetime | None,
    known_at: datetime | None,
    basis: str | None,
    deleted: bool,
    as_json: bool,
) -> Exit:
    """Print the states of all entities at an instant.

    They are ordered by entity id and computed at one basis; entities without a state are left out. NAME is the
    projection's name or MODULE:PROJECTION. Streams in constant memory. On a terminal a table; elsewhere
    lines of tab-separated columns: entity, status, valid from, state as JSON ("-" where the entity is deleted).

    With --json: a line for each entity, with the object that get --json prints. The exit code is 0, also when there
    is no entity, unless an answer is not_yet_projected or quarantined: then it is that answer's.

    \b
    Example:
      everwhen snapshot account --store sqlite:///bank.db --valid-at 2026-03-02T00:00:00Z
    """
    with (
        _asking(name, store) as source,
        source.reader.snapshot(valid_at=valid_at, known_at=known_at, basis=basis, deleted=deleted) as answers,
    ):
        seen = _Seen(answers)
        if as_json:
            token = str(answers.basis)
            for answer in seen:
                write_line(to_json(answer_document(source.name, answer, token)))
        else:
            write_rows(("ENTITY", "STATUS", "VALID FROM", "STATE"), map(_snapshot_row, seen))
    return seen.exit


class _Source(NamedTuple):
    """Who answers, and under which name."""

    reader: Reader[Any]
    name: str


@contextmanager
def _asking(name: str, store: str | None) -> Iterator[_Source]:
    if ":" in name:
        projection = load_projection(name)
        source = _Source(Reader(projection, store), projection.name)
    else:
        source = _Source(Reader(name, store), name)
    try:
        with source.reader:
            yield source
    except NotStored as error:
        raise NotStored(
            f"what was believed at this basis is not kept as rows; give MODULE:PROJECTION instead of {name}, "
            "then it is folded from the events"
        ) from error


class _Seen:
    """The answers of a snapshot on their way through, and the exit code that they come to."""

    def __init__(self, answers: Snapshot[Any]) -> None:
        self._answers = answers
        self.exit = Exit.DONE

    def __iter__(self) -> Iterator[Answer[Any]]:
        for answer in self._answers:
            if answer.status not in (Status.FOUND, Status.DELETED):
                self.exit = outcome_of(answer.status).code
            yield answer


def _history_rows(found: History[Any]) -> Iterator[Sequence[str]]:
    for version in found:
        yield shown(version.valid_from), shown(version.recorded_at), version.event_type, state_cell(version.state)


def _snapshot_row(answer: Answer[Any]) -> Sequence[str]:
    return answer.entity_id, answer.status.value, shown(answer.valid_from), state_cell(answer.state)
