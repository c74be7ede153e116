"""``python -m tests.torture``: kill workers for some minutes and check what is left; ``make torture MINUTES=3``."""

from __future__ import annotations

import argparse
import contextlib
import random
import secrets
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from everwhen.testing.parts import Postgres, start_kafka, start_postgres
from everwhen.testing.parts.brokers import Node
from tests.torture import quotas
from tests.torture.harness import Harness, Length
from tests.torture.place import Place
from tests.torture.process import preload
from tests.torture.report import write
from tests.torture.tally import EXPLICIT, Tally


def main() -> int:
    """Run, print the report, return 0 only if nothing was lost and every quota was met."""
    chosen = _parser().parse_args()
    seed = chosen.seed if chosen.seed is not None else random.SystemRandom().randrange(2**32)
    print(f"seed {seed}", flush=True)
    preload()
    verdicts = [_run(target, seed, chosen) for target in chosen.on]
    return int(any(verdict != "passed" for verdict in verdicts))


def _run(target: str, seed: int, chosen: argparse.Namespace) -> str:
    with contextlib.ExitStack() as running:
        reports = (chosen.report or Path(tempfile.mkdtemp(prefix="everwhen-torture-"))) / target
        reports.mkdir(parents=True, exist_ok=True)
        directory = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="run-", dir=reports)))
        place, beside, parts = running.enter_context(_places(target, chosen.kafka, chosen.postgres, directory))
        minutes = _minutes(target, chosen)
        owed = quotas.least(target, chosen.quota) if minutes is None else quotas.owed(target, minutes)
        owed = quotas.without(owed, database=place.postgres is not None, broker=place.broker is not None)
        phases = tuple(each for each in EXPLICIT if each != "P5c" or place.kind == "postgres")
        tally = Tally(target, seed, parts, owed, phases)
        length = Length(chosen.seconds if minutes is None else minutes * 60, until_enough=minutes is None)
        report = Harness(place, beside, tally, chosen.rate).run(length)
        print(write(reports, tally, report), flush=True)
        for each in (place, beside):
            if (said := each.directory / "workers.log").exists():
                shutil.copy(said, reports / f"workers-{each.directory.name}.log")
        print(f"report: {reports}", flush=True)
        return tally.verdict(report)


def _minutes(target: str, chosen: argparse.Namespace) -> float | None:
    """How many of the minutes this place gets; servers most of them, as files have no servers to stop."""
    if chosen.minutes is None:
        return None
    return float(chosen.minutes * quotas.SHARES[target] / sum(quotas.SHARES[each] for each in chosen.on))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, help="how long in all; without it, until the least is done")
    parser.add_argument("--seconds", type=float, default=120, help="without --minutes: the longest (%(default)s)")
    parser.add_argument("--quota", type=int, default=5, help="without --minutes: the least of each (%(default)s)")
    parser.add_argument("--rate", type=float, default=300, help="events published a second, at least (%(default)s)")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--on", nargs="+", choices=("servers", "files"), default=["servers", "files"])
    parser.add_argument("--kafka", help="bootstrap servers; without it a broker is started, and killed at times")
    parser.add_argument("--postgres", help="an empty database; without it a server is started, and stopped at times")
    parser.add_argument("--report", type=Path, help="a directory for the reports; a temporary one if left out")
    return parser


@contextlib.contextmanager
def _places(
    target: str, kafka: str | None, postgres: str | None, directory: Path
) -> Iterator[tuple[Place, Place, dict[str, str]]]:
    """The place of explicit partitions, that of the group, and what they are on."""
    topics = [f"torture-{secrets.token_hex(6)}" for _ in range(2)]
    directories = [directory / "explicit", directory / "group"]
    for each in directories:
        each.mkdir()
    if target == "files":
        places = [
            Place(f"sqlite:///{each}/log.db", f"sqlite:///{each}/store.db", topic, each)
            for each, topic in zip(directories, topics, strict=True)
        ]
        yield places[0], places[1], {"log": "the local log", "store": f"SQLite {sqlite3.sqlite_version}"}
        return
    with contextlib.ExitStack() as running:
        log, parts = f"kafka://{kafka}", {"log": f"Kafka at {kafka}", "store": "PostgreSQL"}
        node: Node | None = None
        if kafka is None:
            broker = running.enter_context(start_kafka())
            log, parts["log"] = broker.address.url, broker.describe()
            node = broker.nodes[0] if broker.nodes else None
        server: Postgres | None = None
        if postgres is None:
            server = running.enter_context(start_postgres(fsync=False))
            _recover_soon(server.address.url)
            parts["store"] = server.describe()
            stores = [server.database(), server.database()]
        else:
            stores = [postgres, running.enter_context(_another_database(postgres))]
        places = [
            Place(log, store, topic, each, server, node)
            for store, topic, each in zip(stores, topics, directories, strict=True)
        ]
        yield places[0], places[1], parts


def _recover_soon(url: str) -> None:
    """Have little to do again after a crash: what is tried here is the worker, not the server's recovery."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET checkpoint_timeout = '30s'")
        admin.execute("SELECT pg_reload_conf()")


@contextlib.contextmanager
def _another_database(url: str) -> Iterator[str]:
    """A database beside the one that was given, for the time of the run."""
    name = f"{urlsplit(url).path[1:]}_group"
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        try:
            yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


if __name__ == "__main__":
    sys.exit(main())
