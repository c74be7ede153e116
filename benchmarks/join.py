"""What a join saves: many pairs of an entity and an instant, joined and as gets one after another.

End to end: instants in, answers with pydantic states out. Rounds of both are interleaved, so that whatever else the
machine does hits both; figures are medians over the rounds.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import click
from pydantic import BaseModel, Field

from benchmarks.places import empty_stores
from everwhen import Answer, Event, Projection, Publisher, Reader, Topic, Worker
from everwhen.event import contracts

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Deposited(Event, type="benchmark.deposited"):
    """Money comes in."""

    amount: Annotated[Decimal, Field(max_digits=12, decimal_places=2)]


class Account(BaseModel):
    """An account."""

    owner: str
    balance: Decimal = Decimal(0)
    deposits: int = 0
    since: datetime = START


def declare(directory: Path) -> Projection[Account]:
    """Declare the projection, with contract files in a directory."""
    contracts.write(directory, [Deposited])
    topic = Topic("benchmark", events=[Deposited], schemas=directory, partitions=1)
    projection = Projection("account", version=1, topic=topic, state=Account)

    @projection.on(Deposited)
    def deposited(state: Account | None, event: Deposited) -> Account:
        before = state or Account(owner="Ada Lovelace")
        return before.model_copy(
            update={"balance": before.balance + event.amount, "deposits": before.deposits + 1},
        )

    return projection


def publish(projection: Projection[Account], log: str, entities: int, versions: int) -> None:
    """Publish one deposit an hour for each account."""
    with Publisher(projection.topic, log) as publisher:
        for hour in range(versions):
            for number in range(entities):
                publisher.publish(name(number), Deposited(amount=Decimal("1.25")), occurred_at=START + hour * HOUR)


def name(number: int) -> str:
    """An account's id."""
    return f"account-{number:06}"


def taken(work: Callable[[], list[Answer[Account]]], pairs: int) -> tuple[float, list[Answer[Account]]]:
    """Do it; return the microseconds for each pair, and the answers."""
    began = time.perf_counter()
    answers = work()
    return (time.perf_counter() - began) / pairs * 1e6, answers


def measure(reader: Reader[Account], pairs: list[tuple[str, datetime]], rounds: int, **known: Any) -> tuple[bool, str]:
    """Compare the two; return whether they said the same, and a line of the table."""
    one_by_one: list[float] = []
    joined: list[float] = []
    step = max(1, len(pairs) // 2_000)
    some = pairs[::step]  # of gets fewer are enough, and a round stays short
    same = True
    for _ in range(rounds):
        microseconds, gets = taken(lambda: [reader.get(each, valid_at=at, **known) for each, at in some], len(some))
        one_by_one.append(microseconds)
        microseconds, answers = taken(lambda: list(islice(reader.join(pairs, **known), 0, None, step)), len(pairs))
        joined.append(microseconds)
        same &= gets == answers
    get, join = median(one_by_one), median(joined)
    return same, f"{get:,.0f} | {join:,.1f} | {get / join:.1f} |"


@click.command()
@click.option("--pairs", default=20_000, show_default=True, help="How many pairs are joined.")
@click.option("--entities", default=2_000, show_default=True, help="How many entities there are.")
@click.option("--versions", default=100, show_default=True, help="How many versions each of them has.")
@click.option("--rounds", default=7, show_default=True, help="How often to measure; figures are medians.")
@click.option("--store", "kinds", multiple=True, default=("postgres", "sqlite"), show_default=True, help="Where.")
def main(pairs: int, entities: int, versions: int, rounds: int, kinds: tuple[str, ...]) -> None:
    """Compare a join with as many gets."""
    chance = random.Random(1)
    asked = [(name(chance.randrange(entities)), START + chance.random() * versions * HOUR) for _ in range(pairs)]
    right = True
    with TemporaryDirectory(prefix="everwhen-benchmark-") as directory:
        projection, log = declare(Path(directory, "schemas")), f"sqlite:///{directory}/log.db"
        publish(projection, log, entities, versions)
        lines = []
        for kind in kinds:
            with empty_stores(kind) as make_store:
                store = make_store()
                with Worker(projection, log, store) as worker:
                    worker.run(until="end")
                with Reader(projection, store) as reader:
                    basis = reader.get(name(0)).basis
                    for what, known in (("now", {}), ("at a basis", {"basis": basis})):
                        same, line = measure(reader, asked, rounds, **known)
                        lines.append(f"| {kind.partition(':')[0]} | {what} | {line}")
                        right &= same
    print(f"\n{pairs:,} random pairs over {entities:,} entities with {versions} versions each, median of {rounds}:\n")
    print("| store | as known | get, us | join, us a pair | ratio |\n|---|---|---|---|---|", *lines, sep="\n")
    print(f"\nsame answers: {'yes' if right else 'no'}")
    sys.exit(not right)


if __name__ == "__main__":
    main()
