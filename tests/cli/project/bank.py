"""A user's module: what the tests of the command line publish and project.

It runs in other processes only, in a copy of this directory that is their working directory.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from everwhen import Event, Projection, Publisher, Topic


class Opened(Event, type="bank.account.opened"):
    """An account is opened."""

    owner: str


class Deposited(Event, type="bank.account.deposited"):
    """Money comes in."""

    amount: Annotated[Decimal, Field(max_digits=12, decimal_places=2)]


class Closed(Event, type="bank.account.closed"):
    """An account is closed."""


accounts = Topic("bank.accounts", events=[Opened, Deposited, Closed], schemas="schemas/bank.accounts", partitions=2)


class Account(BaseModel):
    """An account."""

    owner: str
    balance: Decimal = Decimal(0)


account = Projection("account", version=1, topic=accounts, state=Account)
slow = Projection("slow", version=1, topic=accounts, state=Account)
broken = Projection("broken", version=1, topic=accounts, state=Account)
partial = Projection("partial", version=1, topic=accounts, state=Account)
newer = Projection("account", version=2, topic=accounts, state=Account)
generous = Projection("account", version=3, topic=accounts, state=Account)

BONUS_ABOVE = Decimal("10.00")
HELD = Decimal("7.00")
"""``slow`` does not come past a deposit of this amount until the pipe ``gate`` was opened and closed."""


@generous.on(Opened)
@newer.on(Opened)
@partial.on(Opened)
@broken.on(Opened)
@slow.on(Opened)
@account.on(Opened)
def opened(state: Account | None, event: Opened) -> Account:
    """Begin."""
    return Account(owner=event.owner)


@newer.on(Deposited)
@account.on(Deposited)
def deposited(state: Account, event: Deposited) -> Account:
    """Add."""
    return _added(state, event)


@slow.on(Deposited)
def deposited_slowly(state: Account, event: Deposited) -> Account:
    """Add, when the test lets us."""
    if event.amount == HELD:
        Path("gate").read_bytes()
    return _added(state, event)


@generous.on(Deposited)
def deposited_with_a_bonus(state: Account, event: Deposited) -> Account:
    """Add, and a bonus to a large one."""
    added = _added(state, event)
    return added.model_copy(update={"balance": added.balance + 1}) if event.amount > BONUS_ABOVE else added


@broken.on(Deposited)
def refused(state: Account, event: Deposited) -> Account:
    """Fail, with a payload in the exception."""
    raise ValueError(f"of {state.owner}: {event.amount}")


@generous.on(Closed)
@newer.on(Closed)
@broken.on(Closed)
@slow.on(Closed)
@account.on(Closed)
def closed(state: Account, event: Closed) -> None:
    """End."""


def _added(state: Account, event: Deposited) -> Account:
    return state.model_copy(update={"balance": state.balance + event.amount})


def day(number: int) -> datetime:
    """A day of March 2026."""
    return datetime(2026, 3, number, tzinfo=UTC)


def tell_story(log: str) -> None:
    """Three accounts: one that goes on, with an event that arrives late; one that is closed; one with a wild name."""
    with Publisher(accounts, log) as publisher:
        publisher.publish("acc-1", Opened(owner="Ærø"), occurred_at=day(1), event_id="e1")
        publisher.publish("acc-1", Deposited(amount=Decimal("12.50")), occurred_at=day(5), event_id="e2")
        publisher.publish("acc-2", Opened(owner="ben"), occurred_at=day(2), event_id="e3")
        publisher.publish("acc-2", Closed(), occurred_at=day(4), event_id="e4")
        publisher.publish("acc\t3\x1b[31m", Opened(owner="\x1b[2Jcat\x9b"), occurred_at=day(2), event_id="e5")
        publisher.flush()
        publisher.publish("acc-1", Deposited(amount=Decimal("1.00")), occurred_at=day(3), event_id="e6")


def hold(log: str) -> None:
    """One account, with a deposit in the middle that ``slow`` waits at."""
    with Publisher(accounts, log) as publisher:
        publisher.publish("acc-1", Opened(owner="ada"), occurred_at=day(1))
        for number, amount in enumerate((Decimal("1.00"), HELD, Decimal("2.00")), start=2):
            publisher.publish("acc-1", Deposited(amount=amount), occurred_at=day(number))


def correct_much(log: str) -> None:
    """One account whose deposits all arrive late: more beliefs than a batch keeps as rows."""
    with Publisher(accounts, log) as publisher:
        publisher.publish("acc-1", Opened(owner="ada"), occurred_at=datetime(2025, 1, 1, tzinfo=UTC))
        for number in range(50):
            moment = day(1) - timedelta(days=number)
            publisher.publish("acc-1", Deposited(amount=Decimal("1.00")), occurred_at=moment)


def open_many(log: str) -> None:
    """More accounts than a table looks at to choose its widths, and more than a pipe holds."""
    with Publisher(accounts, log) as publisher:
        for number in range(400):
            publisher.publish(f"acc-{number:03}", Opened(owner="ada" * 20), occurred_at=day(1))


def deposit_much(log: str) -> None:
    """Enough to keep a worker busy for some batches of the usual size."""
    with Publisher(accounts, log) as publisher:
        for number in range(200):
            publisher.publish(f"acc-{number:03}", Opened(owner="ada"), occurred_at=day(1))
        for number in range(25_000):
            moment = day(2) + timedelta(seconds=number)
            publisher.publish(f"acc-{number % 200:03}", Deposited(amount=Decimal("1.00")), occurred_at=moment)


if __name__ == "__main__":
    actions = {"story": tell_story, "hold": hold, "late": correct_much, "many": open_many, "much": deposit_much}
    actions[sys.argv[1]](sys.argv[2])
