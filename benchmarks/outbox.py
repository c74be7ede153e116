"""How fast a relay moves events from PostgreSQL to Kafka, and what publishing to an outbox costs.

``python -m benchmarks.outbox --events 100000`` starts a server and a broker of its own, publishes with several writers,
then relays all of it. Processor seconds tell what it costs where other programs run on the machine as well; what the
broker and the database take is not in them.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import create_engine

from everwhen import Event, Outbox, Topic
from everwhen.connect import Relay, open_log
from everwhen.event import contracts
from everwhen.testing.parts import start_kafka, start_postgres

TOPIC = "benchmark"
T0 = datetime(2026, 3, 1, tzinfo=UTC)


class Deposited(Event, type="bank.account.deposited"):
    """A payload of about a hundred bytes."""

    amount: int
    note: str = "n" * 90


def topic_of(name: str, schemas: Path) -> Topic:
    """The topic."""
    return Topic(name, events=[Deposited], schemas=schemas, partitions=4)


def prepare(database: str, name: str, schemas: Path) -> None:
    """Write the contract, and make the tables of the outbox."""
    contracts.write(schemas, [Deposited])
    with Outbox(topic_of(name, schemas), database) as outbox:
        outbox.create_tables()


def write(database: str, name: str, schemas: Path, writer: int, events: int, together: int, notify: bool) -> None:
    """Publish so many events in each transaction."""
    engine = create_engine(database)
    outbox = Outbox(topic_of(name, schemas), engine, notify=notify)
    for first in range(0, events, together):
        with engine.begin() as connection:
            for number in range(first, min(first + together, events)):
                outbox.publish(connection, f"acc-{writer}-{number % 1000}", Deposited(amount=number), occurred_at=T0)
    engine.dispose()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--together", type=int, default=1, help="events in a transaction")
    parser.add_argument("--no-notify", action="store_true")
    given = parser.parse_args()
    with start_kafka() as broker, start_postgres() as server, TemporaryDirectory() as directory:
        print(f"# {broker.describe()}; {server.describe()}; {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
        schemas, database = Path(directory, "schemas"), server.database()
        with closing(open_log(broker.address.url)) as log:
            log.create_topic(TOPIC, 4)
        prepare(database, TOPIC, schemas)
        _publish(database, schemas, given)
        _relay(database, schemas, broker.address.url)


def _publish(database: str, schemas: Path, given: argparse.Namespace) -> None:
    share, began = given.events // given.writers, time.perf_counter()
    with ProcessPoolExecutor(given.writers) as pool:
        running = [
            pool.submit(write, database, TOPIC, schemas, writer, share, given.together, not given.no_notify)
            for writer in range(given.writers)
        ]
        for each in running:
            each.result()
    seconds = time.perf_counter() - began
    rate = given.events / seconds
    print(
        f"published: {given.events} events, {given.together} in a transaction, in {seconds:.1f} s, {rate:,.0f} a second"
    )


def _relay(database: str, schemas: Path, log: str) -> None:
    with Relay(topic_of(TOPIC, schemas), database, log) as relay:
        began, processor = time.perf_counter(), time.process_time()
        done = relay.run(until="end")
        seconds, processor = time.perf_counter() - began, time.process_time() - processor
    print(
        f"relayed: {done.events} events in {seconds:.1f} s, {done.events / seconds:,.0f} a second; {processor:.1f} s "
        f"of a processor, {done.events / processor:,.0f} events each; load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
