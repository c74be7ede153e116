"""A small domain for tests: a list of notes, so that loss, duplication and reordering all show in the state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from everwhen import Event, Projection, Topic
from everwhen.event import contracts, event_type, headers
from everwhen.ports.log import Record
from tests.canaries import PAYLOAD


class Noted(Event, type="ledger.noted"):
    """Adds a note."""

    text: str


class Wiped(Event, type="ledger.wiped"):
    """Deletes the entity."""


class Reset(Event, type="ledger.reset"):
    """Forgets all notes, so that a fold converges after a late event."""


class Poison(Event, type="ledger.poison"):
    """Cannot be applied."""


class Skipped(Event, type="ledger.skipped"):
    """Is ignored by the projection."""


class Ledger(BaseModel):
    """The notes in the order of valid time."""

    notes: list[str] = []


EVENTS = (Noted, Wiped, Reset, Poison, Skipped)


def topic(directory: Path, name: str = "ledger", partitions: int = 2) -> Topic:
    """Make the topic, with its contract files in ``directory``."""
    contracts.write(directory, EVENTS)
    return Topic(name, events=EVENTS, schemas=directory, partitions=partitions)


def projection(
    source: Topic, name: str = "ledger", version: int = 1, *, late: Literal["refold", "append"] = "refold"
) -> Projection[Ledger]:
    """Make the projection."""
    made = Projection(name, version=version, topic=source, state=Ledger, ignore=[Skipped], late=late)

    @made.on(Noted)
    def noted(state: Ledger | None, event: Noted) -> Ledger:
        return Ledger(notes=[*(state.notes if state else []), event.text])

    @made.on(Wiped)
    def wiped(state: Ledger | None, event: Wiped) -> None:
        return None

    @made.on(Reset)
    def reset(state: Ledger | None, event: Reset) -> Ledger:
        return Ledger(notes=["reset"])

    @made.on(Poison)
    def poison(state: Ledger | None, event: Poison) -> Ledger:
        raise ValueError(PAYLOAD)

    return made


@dataclass
class Writer:
    """Makes records as a publisher would, without a log."""

    source: Topic
    partition: int = 0

    def record(
        self,
        offset: int,
        entity: str,
        event: Event,
        *,
        occurred_at: int,
        recorded_at: int | None = None,
        event_id: str | None = None,
        withdraws: str | None = None,
    ) -> Record:
        """Make one record; times in microseconds."""
        meta = headers.build(
            id=event_id or f"id-{self.partition}-{offset}",
            source="/tests",
            type=event_type(type(event)),
            entity_id=entity,
            occurred_at=occurred_at,
            withdraws=withdraws,
        )
        recorded = occurred_at if recorded_at is None else recorded_at
        return Record(self.partition, offset, recorded, entity.encode(), self.source.codec.encode(event), meta)
