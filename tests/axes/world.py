"""A store that random logs go through, and what is needed to compare its answers with the oracle's."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from everwhen import Basis, Projection, Reader, Topic
from everwhen.connect import open_store
from everwhen.ports.log import Record, TopicDescription
from everwhen.ports.store import Store
from everwhen.positions import Mark
from everwhen.projection import Late
from everwhen.reader import Answer
from everwhen.worker import blueprint
from everwhen.worker.projector import Owned, Projector
from tests import ledger, oracle
from tests.axes.logs import Log
from tests.ledger import Ledger


class World:
    """One store that many random logs go through, one after the other, each with entities of its own."""

    def __init__(
        self,
        url: str,
        schemas: Path,
        *,
        appends: bool = False,
        made: Callable[[World], Projection[Ledger]] | None = None,
    ) -> None:
        self.url = url
        self.appends = appends
        self.kind = "sqlite" if url.startswith("sqlite") else "postgres"
        self.topic: Topic = ledger.topic(schemas, partitions=1)
        late: Late = "append" if appends else "refold"
        self.projection = made(self) if made is not None else ledger.projection(self.topic, late=late)
        self.store: Store = open_store(url)
        self.reader = Reader(self.projection, url)
        self.generation = self.store.prepare(blueprint(self.projection))
        self.owned = self.claim()

    def claim(self) -> Owned:
        description = TopicDescription("ledger", 1, "cluster", "topic")
        return Owned(self.store.claim(self.generation, [0], description)[0], 10**6)

    def apply(self, records: list[Record], cuts: set[int], restarts: set[int], depth: int) -> None:
        places = sorted({0, len(records), *(c for c in cuts if c < len(records))})
        for number, (start, stop) in enumerate(itertools.pairwise(places)):
            if number in restarts:
                self.owned = self.claim()
            batch = records[start:stop]
            projector = Projector(self.projection, self.store, depth=depth)
            projector.apply(self.owned, batch, batch[-1].offset + 1)


def shown(answer: Answer[Ledger]) -> Any:
    """An answer's state as the oracle shows it."""
    return None if answer.state is None else json.loads(answer.state.model_dump_json())


def instants_around(log: Log) -> list[int]:
    """Every breakpoint of valid time, and one microsecond to each side."""
    return sorted({t + d for t in log.instants for d in (-1, 0, 1)})


def basis_at(entries: list[oracle.Entry], offset: int) -> Basis:
    """The basis of an answer that was given when everything below the offset was projected."""
    return Basis.of("ledger", {0: Mark(offset, max((e.recorded_at for e in entries if e.offset < offset), default=-1))})
