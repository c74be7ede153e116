"""Answers and versions as JSON objects and as fields to read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click
from pydantic import BaseModel

from everwhen.cli.exits import outcome_of
from everwhen.cli.output import on_terminal, to_json
from everwhen.instants import format_instant, from_micros, to_micros
from everwhen.reader import Answer, Audit, Changed, Explanation, Fact, History, Incomplete, Status, Version

_NO_VERSION = {
    "state": None,
    "valid_from": None,
    "valid_to": None,
    "recorded_at": None,
    "superseded_at": None,
    "event_id": None,
    "event_type": None,
    "position": None,
}


def answer_document(projection: str, answer: Answer[Any], basis: str) -> dict[str, Any]:
    """Return an answer as a JSON object.

    :param basis: the token of the answer's basis, which all answers of a snapshot share.
    """
    return {
        "projection": projection,
        "entity_id": answer.entity_id,
        "valid_at": instant(answer.valid_at),
        "status": answer.status.value,
        **(_NO_VERSION if answer.version is None else version_document(answer.version)),
        "basis": basis,
        "watermark": instant(answer.watermark),
        "final": answer.final,
        "folded": answer.folded,
        "incomplete": incomplete(answer.incomplete),
        "behind": answer.behind,
    }


def history_document(projection: str, history: History[Any]) -> dict[str, Any]:
    """Return a history as a JSON object."""
    return {
        "projection": projection,
        "entity_id": history.entity_id,
        "status": history.status.value,
        "versions": [version_document(version) for version in history],
        "basis": str(history.basis),
        "incomplete": incomplete(history.incomplete),
        "pruned_before": instant(history.pruned_before),
    }


def audit_document(projection: str, audit: Audit[Any]) -> dict[str, Any]:
    """Return every belief of an entity as a JSON object."""
    return {
        "projection": projection,
        "entity_id": audit.entity_id,
        "status": audit.status.value,
        "versions": [
            version_document(belief)
            | {
                "known_from": instant(belief.known_from),
                "known_to": instant(belief.known_to),
                "made_by": belief.made_by._asdict(),
                "ended_by": None if belief.ended_by is None else belief.ended_by._asdict(),
            }
            for belief in audit
        ],
        "basis": str(audit.basis),
        "incomplete": incomplete(audit.incomplete),
        "pruned_before": instant(audit.pruned_before),
    }


def explanation_document(projection: str, found: Explanation[Any]) -> dict[str, Any]:
    """Return an explanation as a JSON object."""
    return {
        "answer": answer_document(projection, found.answer, str(found.answer.basis)),
        "events": list(map(fact_document, found.events)),
        "withdrawn": [
            {
                "target_id": each.target_id,
                "target": None if each.target is None else fact_document(each.target),
                "by_id": each.by_id,
                "by_type": each.by_type,
                "recorded_at": instant(each.recorded_at),
                "position": each.position._asdict(),
                "reason": each.reason,
            }
            for each in found.withdrawn
        ],
        "conflicts": list(map(fact_document, found.conflicts)),
        "decisions": [each._asdict() | {"decided_at": shown(from_micros(each.decided_at))} for each in found.decisions],
        "discarded": [
            {
                "position": each.position._asdict(),
                "recorded_at": instant(each.recorded_at),
                "reason": each.reason,
                "error": each.error,
            }
            for each in found.discarded
        ],
        "pruned_before": instant(found.pruned_before),
    }


def fact_document(fact: Fact) -> dict[str, Any]:
    """Return an event as a JSON object."""
    return {
        "event_id": fact.event_id,
        "event_type": fact.event_type,
        "occurred_at": instant(fact.occurred_at),
        "recorded_at": instant(fact.recorded_at),
        "position": fact.position._asdict(),
        "withdraws": fact.withdraws,
        "correlation_id": fact.correlation_id,
        "causation_id": fact.causation_id,
        "event": state_document(fact.event),
    }


def change_document(projection: str, changed: Changed[Any], basis: str) -> dict[str, Any]:
    """Return a change as a JSON object.

    :param basis: the token of the basis, which all changes share.
    """
    answer = answer_document(projection, changed.answer, basis)
    return {"entity_id": changed.entity_id, "valid_from": instant(changed.valid_from), "answer": answer}


def version_document(version: Version[Any]) -> dict[str, Any]:
    """Return a version as a JSON object."""
    return {
        "state": state_document(version.state),
        "valid_from": instant(version.valid_from),
        "valid_to": instant(version.valid_to),
        "recorded_at": instant(version.recorded_at),
        "superseded_at": instant(version.superseded_at),
        "event_id": version.event_id,
        "event_type": version.event_type,
        "position": version.position._asdict(),
    }


def state_document(state: Any) -> Any:
    """Return a state as JSON has it, the same whether it was read with the projection's code or without."""
    return state.model_dump(mode="json", by_alias=False, round_trip=True) if isinstance(state, BaseModel) else state


def answer_fields(answer: Answer[Any]) -> Iterator[tuple[str, str]]:
    """Yield the names and values of an answer for a person to read."""
    yield "entity", answer.entity_id
    reason = "" if answer.status is Status.FOUND else f": {outcome_of(answer.status).meaning}"
    yield "status", f"{answer.status.value}{reason}"
    yield "valid at", shown(answer.valid_at)
    if answer.version is not None:
        yield from _version_fields(answer.version)
    if answer.incomplete is not None:
        yield "incomplete", str(answer.incomplete)
    if answer.behind is not None:
        yield "behind", answer.behind
    yield "watermark", shown(answer.watermark)
    yield "basis", str(answer.basis)


def _version_fields(version: Version[Any]) -> Iterator[tuple[str, str]]:
    yield "state", "deleted" if version.state is None else ""
    for name, value in (state_document(version.state) or {}).items():
        yield f"  {name}", _plain(value)
    yield "valid from", shown(version.valid_from)
    yield "valid to", shown(version.valid_to)
    yield "recorded at", shown(version.recorded_at)
    if version.superseded_at is not None:
        yield "superseded", shown(version.superseded_at)
    yield "event", f"{version.event_type} {version.event_id}"
    yield "position", str(version.position)


def incomplete(found: Incomplete | None) -> dict[str, Any] | None:
    """Return why an answer is incomplete as a JSON object."""
    return None if found is None else {"error": found.error, "position": found.position._asdict()}


def warn_of(found: Incomplete | None) -> None:
    """Say on standard error, beside a table that has no room for it, that what it shows is incomplete."""
    if found is not None:
        click.echo(f"incomplete: {found}; see everwhen continuity show", err=True)


def state_cell(state: Any) -> str:
    """Return a state for the last column of a table: as JSON, or on a terminal in a form that is easier to read."""
    if state is None:
        return "-"
    document = state_document(state)
    if not on_terminal():
        return to_json(document)
    return "  ".join(f"{name}={_plain(value)}" for name, value in document.items())


def instant(moment: datetime | None) -> str | None:
    """Return an instant as RFC 3339 in UTC."""
    return None if moment is None else format_instant(to_micros(moment, "moment"))


def shown(moment: datetime | None) -> str:
    """Return an instant for a table; ``-`` where there is none."""
    return instant(moment) or "-"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value)
