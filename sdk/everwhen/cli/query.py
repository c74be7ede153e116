"""``everwhen get``, ``history``, ``snapshot`` and ``join``: questions to a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, BinaryIO

import click

from everwhen.cli.asking import asking
from everwhen.cli.documents import (
    answer_document,
    answer_fields,
    audit_document,
    history_document,
    shown,
    state_cell,
    warn_of,
)
from everwhen.cli.exits import Exit, outcome_of
from everwhen.cli.options import (
    at_least_option,
    basis_option,
    json_option,
    known_at_option,
    option,
    point_options,
    store_option,
    timeout_option,
)
from everwhen.cli.output import to_json, write_fields, write_line, write_rows
from everwhen.cli.pairs import read_pairs
from everwhen.reader import Answer, Audit, History, Incomplete, Status


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("entity", metavar="ENTITY")
@store_option
@point_options
@at_least_option
@timeout_option
@json_option
def get(
    name: str,
    entity: str,
    *,
    store: str | None,
    valid_at: datetime | None,
    known_at: datetime | None,
    basis: str | None,
    at_least: str | None,
    timeout: float,
    as_json: bool,
) -> Exit:
    """Print the state of one entity at an instant.

    NAME is the projection's name, which needs none of its code, or MODULE:PROJECTION. The exit code says what the
    answer says: 0 when there is a state, and a code for every reason why there is none. With --at-least the answer is
    not_yet_projected, and "behind" says how far the projection is, if the event is not projected in time.

    With --json: one object with projection, entity_id, valid_at, status, state, valid_from, valid_to, recorded_at,
    superseded_at, event_id, event_type, position (topic, partition, offset), basis, watermark, final, folded,
    incomplete (error and position: why events may be missing) and behind. Instants are RFC 3339 with a Z; what does not
    apply is null.

    \b
    Example:
      everwhen get account acc-1 --store sqlite:///bank.db --valid-at 2026-03-02T00:00:00Z --json
    """
    with asking(name, store) as source:
        answer = source.reader.get(
            entity, valid_at=valid_at, known_at=known_at, basis=basis, at_least=at_least, timeout=timeout
        )
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
@option("--audit", is_flag=True, help="Every belief that was ever held, each with the interval in which it was.")
@json_option
def history(
    name: str,
    entity: str,
    *,
    store: str | None,
    known_at: datetime | None,
    basis: str | None,
    audit: bool,
    as_json: bool,
) -> Exit:
    """Print all versions of one entity.

    They come in the order of valid time, future ones included; of several events at one instant the last one's is
    listed. NAME is the projection's name or MODULE:PROJECTION (NAME@2: its generation 2). On a terminal a table;
    elsewhere lines of tab-separated columns: valid from (until the next line's), recorded at, event type, state as
    JSON ("-" where it is deleted). With --audit the columns are: known from, known to, valid from, valid to, event
    type, state.

    With --json: one object with projection, entity_id, status, versions, basis, incomplete and pruned_before. A version
    has state, valid_from, valid_to, recorded_at, superseded_at, event_id, event_type and position; with --audit also
    known_from, known_to, made_by and ended_by.

    \b
    Example:
      everwhen history account acc-1 --store sqlite:///bank.db
    """
    if audit:
        return _audit(name, entity, store, known_at=known_at, basis=basis, as_json=as_json)
    with asking(name, store) as source:
        found = source.reader.history(entity, known_at=known_at, basis=basis)
    if as_json:
        write_line(to_json(history_document(source.name, found)))
    else:
        write_rows(("VALID FROM", "RECORDED AT", "EVENT", "STATE"), _history_rows(found))
        _explain_history(entity, found)
        warn_of(found.incomplete)
    return outcome_of(found.status).code


def _audit(
    name: str, entity: str, store: str | None, *, known_at: datetime | None, basis: str | None, as_json: bool
) -> Exit:
    if known_at is not None or basis is not None:
        raise click.UsageError("--audit is about every point of knowledge; leave --known-at and --basis out")
    with asking(name, store) as source:
        found = source.reader.history(entity, audit=True)
    if as_json:
        write_line(to_json(audit_document(source.name, found)))
    else:
        write_rows(("KNOWN FROM", "KNOWN TO", "VALID FROM", "VALID TO", "EVENT", "STATE"), _audit_rows(found))
        _explain_history(entity, found)
        warn_of(found.incomplete)
    return outcome_of(found.status).code


def _explain_history(entity: str, found: History[Any] | Audit[Any]) -> None:
    _explain_status(entity, found.status)
    if found.pruned_before is not None:
        click.echo(f"{entity!r}: what ended before {shown(found.pruned_before)} was pruned", err=True)


def _explain_status(entity: str, status: Status) -> None:
    if status is not Status.FOUND:
        click.echo(f"{entity!r}: {outcome_of(status).meaning}", err=True)


@click.command()
@click.argument("name", metavar="NAME")
@store_option
@point_options
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
    projection's name or MODULE:PROJECTION (NAME@2: its generation 2). Streams in constant memory. On a terminal a
    table; elsewhere lines of tab-separated columns: entity, status, valid from, state as JSON ("-" where the entity is
    deleted).

    With --json: a line for each entity, with the object that get --json prints. The exit code is 0, also when there
    is no entity, unless an answer is not_yet_projected or quarantined: then it is that answer's.

    \b
    Example:
      everwhen snapshot account --store sqlite:///bank.db --valid-at 2026-03-02T00:00:00Z
    """
    with (
        asking(name, store) as source,
        source.reader.snapshot(valid_at=valid_at, known_at=known_at, basis=basis, deleted=deleted) as answers,
    ):
        seen = _Seen(answers, _ORDINARY)
        if as_json:
            token = str(answers.basis)
            for answer in seen:
                write_line(to_json(answer_document(source.name, answer, token)))
        else:
            write_rows(("ENTITY", "STATUS", "VALID FROM", "STATE"), map(_snapshot_row, seen))
        warn_of(answers.incomplete)
    return seen.exit


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("file", metavar="[FILE]", type=click.File("rb"), default="-")
@store_option
@known_at_option
@basis_option
@json_option
def join(
    name: str, file: BinaryIO, *, store: str | None, known_at: datetime | None, basis: str | None, as_json: bool
) -> Exit:
    """Print the states of many entities, each at an instant of its own.

    FILE, or standard input, has lines of CSV in UTF-8: entity id, instant. A first line that says entity_id,valid_at
    is left out. There is a line for each, in the same order, computed at one basis. NAME is the projection's name or
    MODULE:PROJECTION (NAME@2: its generation 2). Streams in constant memory, a few thousand lines at a time. On a
    terminal a table; elsewhere lines of tab-separated columns: entity, instant, status, valid from, state as JSON ("-"
    where there is none).

    With --json: a line for each, with the object that get --json prints. The exit code is 0, also where there is no
    state, unless an answer is truncated, not_yet_projected or quarantined: then it is that answer's.

    \b
    Example:
      everwhen join account pairs.csv --store sqlite:///bank.db --json
    """
    with (
        asking(name, store) as source,
        source.reader.join(read_pairs(file), known_at=known_at, basis=basis) as answers,
    ):
        seen = _Seen(answers, _ORDINARY | {Status.BEFORE_FIRST, Status.NEVER_EXISTED})
        if as_json:
            token = str(answers.basis)
            for answer in seen:
                write_line(to_json(answer_document(source.name, answer, token)))
        else:
            write_rows(("ENTITY", "VALID AT", "STATUS", "VALID FROM", "STATE"), map(_join_row, seen))
            warn_of(seen.incomplete)
    return seen.exit


_ORDINARY = frozenset({Status.FOUND, Status.DELETED})


class _Seen:
    """Answers on their way through, and the exit code that they come to.

    :param ordinary: what is no reason for another code than 0.
    """

    def __init__(self, answers: Iterable[Answer[Any]], ordinary: frozenset[Status]) -> None:
        self._answers = answers
        self._ordinary = ordinary
        self.exit = Exit.DONE
        self.incomplete: Incomplete | None = None

    def __iter__(self) -> Iterator[Answer[Any]]:
        for answer in self._answers:
            if answer.status not in self._ordinary:
                self.exit = outcome_of(answer.status).code
            self.incomplete = self.incomplete or answer.incomplete
            yield answer


def _history_rows(found: History[Any]) -> Iterator[Sequence[str]]:
    for version in found:
        yield shown(version.valid_from), shown(version.recorded_at), version.event_type, state_cell(version.state)


def _audit_rows(found: Audit[Any]) -> Iterator[Sequence[str]]:
    for belief in found:
        intervals = belief.known_from, belief.known_to, belief.valid_from, belief.valid_to
        yield *map(shown, intervals), belief.event_type, state_cell(belief.state)


def _snapshot_row(answer: Answer[Any]) -> Sequence[str]:
    return answer.entity_id, answer.status.value, shown(answer.valid_from), state_cell(answer.state)


def _join_row(answer: Answer[Any]) -> Sequence[str]:
    entity_id, status, valid_from, state = _snapshot_row(answer)
    return entity_id, shown(answer.valid_at), status, valid_from, state
