"""Writers that roll back, relays that are killed, and what the log and a projection have in the end.

``make torture-outbox`` runs it at length: 100,000 transactions of 8 writers, 2 relays, 50 kills, on Kafka and
PostgreSQL. A kill counts if the relay died of it, at the step that it was told.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from everwhen import Outbox, Reader, Worker
from everwhen.connect import open_log
from everwhen.testing.parts import start_kafka, start_postgres
from tests import ledger
from tests.outbox.processes import STEPS, relay, write

_PROCESSES: Final = multiprocessing.get_context("forkserver")  # it has loaded what each of them needs
_PROCESSES.set_forkserver_preload(["tests.outbox.processes"])
_PATIENCE: Final = 600.0


@dataclass
class Plan:
    """What is run, and on what."""

    database: str
    log: str
    path: Path
    transactions: int
    writers: int = 8
    relays: int = 2
    kills: int = 50
    entities: int = 500
    seed: int = 1
    lease: float = 2.0
    batch: int = 500
    turns: int = 3
    """In which batch of its life a relay dies."""


@dataclass
class Report:
    """What came of it."""

    committed: int = 0
    records: int = 0
    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Say it."""
        yield f"{self.committed} transactions committed, {self.records} records in the log, {self.seconds:.0f} s"
        yield f"{self.records - self.committed} records are repetitions under an id that was there"
        yield f"{sum(self.kills.values())} kills: " + ", ".join(f"{step} {n}" for step, n in sorted(self.kills.items()))
        yield from self.faults or ["no event lost, none out of order, each once in the projection"]


def run(plan: Plan) -> Report:
    """Run it and judge."""
    began, report = time.monotonic(), Report()
    schemas = plan.path / "schemas"
    topic = ledger.topic(schemas)
    with closing(open_log(plan.log)) as log:
        log.create_topic(topic.name, topic.partitions)
    with Outbox(topic, plan.database) as outbox:
        outbox.create_tables()
    enough = _PROCESSES.Event()
    with _writers(plan, schemas, enough) as writers:
        _kill(plan, schemas, report)
        enough.set()
        _finish(plan, schemas, writers)
    report.seconds = time.monotonic() - began
    _judge(plan, report)
    return report


@contextmanager
def _writers(plan: Plan, schemas: Path, enough: Any) -> Iterator[list[Any]]:
    share = plan.transactions // plan.writers
    arguments = [
        (plan.database, schemas, number, share, plan.entities, plan.path / f"told-{number}", plan.seed)
        for number in range(plan.writers)
    ]
    options = {"enough": enough}
    running = [_PROCESSES.Process(target=write, args=each, kwargs=options, daemon=True) for each in arguments]
    for process in running:
        process.start()
    try:
        yield running
        for process in running:
            process.join(_PATIENCE)
            assert process.exitcode == 0, "a writer failed"
    finally:
        for process in running:
            process.kill()


def _kill(plan: Plan, schemas: Path, report: Report) -> None:
    """Keep relays running that die in turn at each step, until enough died, and one at each. Writers go on."""
    running: list[tuple[Any, str]] = []
    started, give_up_at = 0, time.monotonic() + _PATIENCE
    while sum(report.kills.values()) < plan.kills or len(report.kills) < len(STEPS):
        while len(running) < plan.relays:
            step = STEPS[started % len(STEPS)]
            started += 1
            running.append((_relay(plan, schemas, step, to_end=False), step))
        running = [each for each in running if not _counted(*each, report)]
        if time.monotonic() > give_up_at:
            break  # the report says how many there were
        time.sleep(0.02)
    for process, _ in running:
        process.kill()
        process.join()


def _finish(plan: Plan, schemas: Path, writers: list[Any]) -> None:
    """Let some relays take what is left."""
    for process in writers:
        process.join(_PATIENCE)
    last = [_relay(plan, schemas, None, to_end=True) for _ in range(plan.relays)]
    for process in last:
        process.join(_PATIENCE)
        assert process.exitcode == 0, "a relay failed"


def _relay(plan: Plan, schemas: Path, step: str | None, *, to_end: bool) -> Any:
    arguments = (plan.database, schemas, plan.log, plan.lease, plan.batch, step, plan.turns)
    process = _PROCESSES.Process(target=relay, args=arguments, kwargs={"to_end": to_end}, daemon=True)
    process.start()
    return process


def _counted(process: Any, step: str, report: Report) -> bool:
    if process.is_alive():
        return False
    assert process.exitcode == -signal.SIGKILL, f"a relay ended with {process.exitcode}"
    report.kills[step] += 1
    return True


def _judge(plan: Plan, report: Report) -> None:
    """Compare the projection with what the writers were told: all events are of one instant, so it shows log order."""
    told: dict[str, dict[int, str]] = {}
    for file in plan.path.glob("told-*"):
        for entity, version, name in map(json.loads, file.read_text().splitlines()):
            report.committed += 1
            if told.setdefault(entity, {}).setdefault(version, name) != name:
                report.faults.append(f"version {version} of {entity} was given twice")
    topic, store = ledger.topic(plan.path / "schemas"), f"sqlite:///{plan.path / 'store.db'}"
    projection = ledger.projection(topic)
    with Worker(projection, plan.log, store) as worker:
        worker.run(until="end")
    with closing(open_log(plan.log)) as log:
        bounds = log.bounds(topic.name, range(topic.partitions))
        report.records = sum(each.end - each.start for each in bounds.values())
    with Reader(projection, store) as reader:
        found = {answer.entity_id: answer.require().notes for answer in reader.snapshot()}
    for entity in told.keys() | found.keys():
        versions = told.get(entity, {})
        if sorted(versions) != list(range(1, len(versions) + 1)):
            report.faults.append(f"{entity}: versions {sorted(versions)} have a hole")
        if [versions[number] for number in sorted(versions)] != found.get(entity, []):
            report.faults.append(f"{entity}: the projection has other events, or another order, than was committed")


def main() -> None:
    """Run it on Kafka and PostgreSQL of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, number in (("transactions", 100_000), ("writers", 8), ("relays", 2), ("kills", 50), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=number)
    given = vars(parser.parse_args())
    with start_kafka() as broker, start_postgres() as database, TemporaryDirectory(prefix="everwhen-outbox-") as path:
        print(f"{broker.describe()}; {database.describe()}; {given}", flush=True)
        report = run(Plan(database.database(), broker.address.url, Path(path), **given))
    print(*report.lines(), sep="\n")
    raise SystemExit(bool(report.faults) or sum(report.kills.values()) < given["kills"])


if __name__ == "__main__":
    main()
