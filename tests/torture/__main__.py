"""``python -m tests.torture``: kill workers for some minutes and check what is left; ``make torture MINUTES=3``."""

from __future__ import annotations

import argparse
import contextlib
import random
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from everwhen.testing.parts import start_kafka, start_postgres
from tests.torture.harness import Harness, Place
from tests.torture.process import preload
from tests.torture.tally import Tally


def main() -> int:
    """Run, print the report, return 0 only if nothing was lost and every phase was met."""
    chosen = _parser().parse_args()
    seed = chosen.seed if chosen.seed is not None else random.SystemRandom().randrange(2**32)
    print(f"seed {seed}", flush=True)
    preload()
    codes = []
    for target in chosen.on:
        with contextlib.ExitStack() as running:
            reports = (chosen.report or Path(tempfile.mkdtemp(prefix="everwhen-torture-"))) / target
            reports.mkdir(parents=True, exist_ok=True)
            directory = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="run-", dir=reports)))
            place, parts = running.enter_context(_place(target, chosen.kafka, chosen.postgres, directory))
            tally = Tally(seed, parts, chosen.quota)
            harness = Harness(place, tally, chosen.rate)
            until_enough = chosen.minutes is None
            report = harness.run(chosen.seconds if until_enough else chosen.minutes * 60, until_enough=until_enough)
            tally.write(reports, report)
            print(tally.as_markdown(report), flush=True)
            print(f"report: {reports}", flush=True)
            codes.append(tally.verdict(report) != "passed")
    return int(any(codes))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, help="how long; without it, until every phase has its quota")
    parser.add_argument("--seconds", type=float, default=120, help="without --minutes: the longest (%(default)s)")
    parser.add_argument("--quota", type=int, default=5, help="the fewest kills of a phase (%(default)s)")
    parser.add_argument("--rate", type=float, default=300, help="events published a second (%(default)s)")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--on", nargs="+", choices=("servers", "files"), default=["servers", "files"])
    parser.add_argument("--kafka", help="bootstrap servers; without it a broker is started, and killed at times")
    parser.add_argument("--postgres", help="an empty database; without it a server is started, and stopped at times")
    parser.add_argument("--report", type=Path, help="a directory for the reports; a temporary one if left out")
    return parser


@contextlib.contextmanager
def _place(
    target: str, kafka: str | None, postgres: str | None, directory: Path
) -> Iterator[tuple[Place, dict[str, str]]]:
    topic = f"torture-{secrets.token_hex(6)}"
    if target == "files":
        files = Place(f"sqlite:///{directory}/log.db", f"sqlite:///{directory}/store.db", topic, directory)
        yield files, {"log": "the local log", "store": "SQLite"}
        return
    with contextlib.ExitStack() as running:
        place = Place(f"kafka://{kafka}", postgres or "", topic, directory)
        parts = {"log": f"Kafka at {kafka}", "store": "PostgreSQL"}
        if kafka is None:
            broker = running.enter_context(start_kafka())
            place.log, parts["log"] = broker.address.url, broker.describe()
            place.broker = broker.nodes[0] if broker.nodes else None
        if postgres is None:
            server = running.enter_context(start_postgres(fsync=False))
            place.store, parts["store"] = server.database(), server.describe()
            place.postgres = server
        yield place, parts


if __name__ == "__main__":
    sys.exit(main())
