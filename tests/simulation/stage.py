"""A place where runs take place one after the other: one database file, one log, one reference."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from everwhen import Basis, Event, Projection, Reader, Topic, WorkerSettings
from everwhen.instants import to_micros
from everwhen.ports.log import TopicDescription
from everwhen.positions import Mark
from everwhen.worker import blueprint
from everwhen.worker.projector import Owned, Projector
from tests import ledger, oracle
from tests.axes.logs import START
from tests.axes.logs import reduce as folded
from tests.ledger import Ledger, Poison
from tests.simulation.database import File, Slot
from tests.simulation.faults import TAKEOVERS, Plan
from tests.simulation.log import Tape
from tests.simulation.run import Run, silent
from tests.simulation.story import Story
from tests.simulation.verdict import Reference, Stand, Watcher, judged, rows_of, stands

_CACHE = 10**6


@dataclass(frozen=True)
class Setting:
    """How a log is projected.

    :ivar workers: how many share it.
    :ivar batch_records: the most that one transaction takes.
    :ivar explicit: the worker reads all partitions without a group.
    :ivar fresh: the file has no tables at the beginning.
    """

    workers: int = 1
    batch_records: int = 3
    most: int = 3
    depth: int = 32
    appends: bool = False
    exact: bool = True
    explicit: bool = False
    fresh: bool = False
    options: dict[str, Any] = field(default_factory=dict)


class Place:
    """A directory with a database file for the disturbed and one for the undisturbed, for any number of logs."""

    def __init__(self, directory: Path) -> None:
        self.topic: Topic = ledger.topic(directory / "schemas")
        self._projections = {late: ledger.projection(self.topic, late=late) for late in ("refold", "append")}
        self._slots = [Slot(directory / "disturbed.db", name) for name in ("a", "b", "thief")]
        self._undisturbed = Slot(directory / "undisturbed.db", "undisturbed")
        for slot in (*self._slots, self._undisturbed):
            slot.engine.connect().close()  # what SQLAlchemy asks once is not to be counted
        self._files = File(directory / "disturbed.db"), File(directory / "undisturbed.db")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        for slot in (*self._slots, self._undisturbed):
            slot.close()
        for file in self._files:
            file.close()

    def stage(self, story: Story, setting: Setting) -> Stage:
        """Project a log undisturbed, compare that with the definition, and make ready to disturb it."""
        projection = self._projections["append" if setting.appends else "refold"]
        with silent():
            reference = self._refer(story.tape(), projection, setting)
        reader = Reader(projection, self._undisturbed.engine)
        check_answers(story, reader, stands(self._files[1]), appends=setting.appends)
        self._files[0].empty(drop=True)  # it may be another projection's
        slots = [*self._slots[: setting.workers], self._slots[-1]]
        return Stage(self._files[0], slots, projection, story, reference, setting)

    def _refer(self, tape: Tape, projection: Projection[Ledger], setting: Setting) -> Reference:
        file = self._files[1]
        file.empty(drop=True)
        store = self._undisturbed.store
        generation = store.prepare(blueprint(projection))
        description = TopicDescription(tape.name, len(tape.partitions), "simulated", "one")
        claims = store.claim(generation, sorted(tape.partitions), description)
        projector = Projector(projection, store, depth=setting.depth)
        reference = Reference(tape, exact=setting.exact)
        tables = judged(file)
        for partition, claim in claims.items():
            owned = Owned(claim, _CACHE)
            for count, record in enumerate(tape.records(partition), start=1):
                projector.apply(owned, [record], record.offset + 1)
                rows = rows_of(file, tables).get(partition, {})
                reference.note(partition, count, rows, stands(file)[partition].watermark)
            projector.apply(owned, [], tape.end(partition))
        return reference


def reduce(state: Any, event: Event) -> Any:
    """The ledger's fold, written a second time."""
    if isinstance(event, Poison):
        raise ValueError
    return folded(state, event)


def check_answers(story: Story, reader: Reader[Ledger], ends: Mapping[int, Stand], *, appends: bool) -> None:
    """Compare every version of every entity, as known at every offset, with the definition."""
    for entity, told in story.entries.items():
        entries = oracle.appended(told) if appends else told
        partition = story.partition(entity)
        marks = {p: Mark(s.next_offset, -1 if s.watermark is None else s.watermark) for p, s in ends.items()}
        for offset in sorted({e.offset + 1 for e in entries}):
            watermark = max((e.recorded_at for e in entries if e.offset < offset), default=-1)
            basis = Basis.of(story.topic.name, marks | {partition: Mark(offset, watermark)})
            found = [
                (
                    to_micros(version.valid_from, "valid_from"),
                    json.loads(version.state.model_dump_json()) if version.state else None,
                )
                for version in reader.history(entity, basis=basis)
            ]
            good = oracle.good_basis(entries, offset, reduce)
            begins = sorted({event.valid_at for event in oracle.events(entries, good)})
            assert found == [(at, oracle.state(entries, at, good, reduce)) for at in begins], (entity, offset)


class Stage:
    """One log to be projected again and again, disturbed in another way each time."""

    def __init__(
        self,
        file: File,
        slots: list[Slot],
        projection: Projection[Ledger],
        story: Story,
        reference: Reference,
        setting: Setting,
    ) -> None:
        self._file = file
        self._slots = slots
        self._projection = projection
        self._story = story
        self._tape = story.tape()
        self._reference = reference
        self._setting = setting
        options = {"partitions": tuple(self._tape.partitions)} if setting.explicit else {}
        self._blueprint = blueprint(projection)
        self._answered: set[str] = set()
        self._settings = WorkerSettings(
            **{"batch_records": setting.batch_records, "depth": setting.depth, "revoke_seconds": 2.0}
            | options
            | setting.options
        )

    def play(self, plan: Plan, seed: int = 0, switches: float = 0.0) -> Run:
        """Project the log while the plan's faults happen.

        :raises BaseException: what is wrong with what the store held at any commit, or with how the workers ended.
        """
        self._file.empty(drop=self._setting.fresh)
        if not self._setting.fresh and not self._file.tables():
            self._slots[0].store.prepare(self._blueprint)
        watcher = Watcher(self._file, self._tape, self._reference)
        run = Run(
            self._projection,
            self._tape,
            self._slots,
            self._settings,
            plan,
            watcher,
            blueprint=self._blueprint,
            start=START,
            draw=random.Random(seed),
            most=self._setting.most,
            switches=switches,
        )
        run.to_the_end()
        watcher.in_the_end()
        if self._setting.workers == 1 and not self._tape.breaks and not plan.done.keys() & TAKEOVERS:
            assert not self._slots[0].fenced, "a worker was fenced though nobody took a partition over"
        if not self._reference.exact:
            self._check_answers()
        return run

    def _check_answers(self) -> None:
        """Where rows depend on how the log was cut: compare what is answered, once for each set of rows."""
        rows = repr(rows_of(self._file, judged(self._file)))
        if rows not in self._answered:
            reader = Reader(self._projection, self._slots[0].engine)
            check_answers(self._story, reader, stands(self._file), appends=self._setting.appends)
            self._answered.add(rows)
