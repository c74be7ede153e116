"""The first screen of the README as a program, to be run from the top of the repository.

``python -m examples.bank.bank`` keeps the log and the store in two files, ``log.db`` and ``bank.db``;
``python -m examples.bank.bank kafka://localhost:9092 postgresql+psycopg://localhost/bank`` uses servers.
"""

import sys
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, Field

from everwhen import Event, Projection, Publisher, Reader, Topic, Worker


class Opened(Event, type="bank.account.opened"):
    owner: str


class Deposited(Event, type="bank.account.deposited"):
    amount: Annotated[Decimal, Field(max_digits=12, decimal_places=2)]  # becomes Avro decimal(12, 2)


class Closed(Event, type="bank.account.closed"):
    pass


accounts = Topic("bank.accounts", events=[Opened, Deposited, Closed], schemas="schemas/bank.accounts")


class Account(BaseModel):
    owner: str
    balance: Decimal = Decimal(0)


account = Projection("account", version=1, topic=accounts, state=Account)


@account.on(Opened)
def opened(state: Account | None, event: Opened) -> Account:
    return Account(owner=event.owner)


@account.on(Deposited)
def deposited(state: Account, event: Deposited) -> Account:  # a third parameter, if declared, gets the envelope
    return state.model_copy(update={"balance": state.balance + event.amount})


@account.on(Closed)
def closed(state: Account, event: Closed) -> None:  # None deletes the entity
    return None


def main(log: str = "sqlite:///log.db", store: str = "sqlite:///bank.db") -> None:
    """Open an account, project it, and ask for it."""
    with Publisher(accounts, log) as publisher:
        receipt = publisher.publish("acc-1", Opened(owner="acme"), occurred_at=march(1))

    Worker(account, log, store).run(until="end")  # a daemon calls .run(); `everwhen worker` does so

    with Reader(account, store) as reader:  # a reader needs no Kafka
        reader.wait_for(receipt, timeout=5)  # read your own writes
        answer = reader.get("acc-1", valid_at=march(2))
        print(f"on 2 March: {answer.status}, {answer.require()}, from {answer.valid_from} to {answer.valid_to}")
        print(f"on 28 February: {reader.get('acc-1', valid_at=march(1) - timedelta(days=1)).status}")
        again = reader.get("acc-1", valid_at=march(2), basis=answer.basis)  # the same answer for ever
        print(f"asked again at its basis: {again.status}, {again.require()}")
        print(f"versions of acc-1: {len(reader.history('acc-1'))}")
        for each in reader.snapshot(valid_at=march(2)):
            print(f"in the snapshot of 2 March: {each.entity_id}, {each.require()}")


def march(day: int) -> datetime:
    """A day of March 2026, from midnight in UTC."""
    return datetime(2026, 3, day, tzinfo=timezone.utc)  # noqa: UP017 - as the README has it, for older habits


if __name__ == "__main__":
    main(*sys.argv[1:])
