"""Random logs of several entities, as records of a partition and as the oracle's entries."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from everwhen import Event, Topic
from everwhen.ports.log import Record
from tests.ledger import Noted, Reset, Skipped, Wiped, Writer
from tests.oracle import Entry

MINUTE = 60_000_000
START = 1_772_323_200_000_000  # 2026-03-01T00:00:00Z
_serial = itertools.count()


def reduce(state: Any, event: Event) -> Any:
    """The ledger's fold, written a second time."""
    if isinstance(event, Wiped):
        return None
    if isinstance(event, Reset):
        return {"notes": ["reset"]}
    assert isinstance(event, Noted)
    return {"notes": [*(state["notes"] if state else []), event.text]}


@dataclass
class Log:
    """One random log: what is published, and what the oracle is told of it."""

    partition: int
    records: list[Record] = field(default_factory=list)
    entries: dict[str, list[Entry]] = field(default_factory=dict)
    instants: set[int] = field(default_factory=set)

    @property
    def end(self) -> int:
        """The offset after the last record."""
        return self.records[-1].offset + 1


@st.composite
def logs(draw: st.DrawFn, topic: Topic, partition: int, first_offset: int, watermark: int, most: int = 12) -> Log:
    """Draw a log that goes on at an offset and a recorded time (-1: nothing was recorded yet).

    Late, tied, future-dated, deleting, converging, ignored, duplicated and corrected events of up to three entities;
    offsets with holes; a broker clock that stands still or goes back.
    """
    made = Log(partition)
    serial = next(_serial)
    writer = Writer(topic, partition)
    offset, recorded, broker = first_offset, watermark, max(watermark, START)
    used: dict[str, list[str]] = {}
    for index in range(draw(st.integers(1, most))):
        offset += draw(st.integers(0, 1))
        broker += draw(st.sampled_from([-MINUTE, 0, 1000, MINUTE]))
        recorded = max(recorded, broker)
        entity = f"{serial}-{draw(st.sampled_from('abc'))}"
        valid = START + MINUTE * draw(st.integers(0, 8)) + draw(st.sampled_from([0, 0, 1]))
        kind = draw(st.sampled_from([Noted, Noted, Noted, Wiped, Reset, Skipped]))
        event: Event = Noted(text=str(index)) if kind is Noted else kind()
        known = used.setdefault(entity, [])
        event_id = f"{serial}-{index}"
        if known and draw(st.integers(0, 5)) == 0:
            event_id = draw(st.sampled_from(known))
        withdraws = None
        if draw(st.integers(0, 5)) == 0:
            withdraws = f"{serial}-{draw(st.integers(0, most))}"
        if kind is not Skipped or withdraws is not None:
            known.append(event_id)
            made.entries.setdefault(entity, []).append(
                Entry(offset, recorded, valid, event_id, event, withdraws, kind is not Skipped)
            )
        made.records.append(
            writer.record(
                offset,
                entity,
                event,
                occurred_at=valid,
                recorded_at=broker,
                event_id=event_id,
                withdraws=withdraws,
            )
        )
        made.instants.add(valid)
        offset += 1
    return made
