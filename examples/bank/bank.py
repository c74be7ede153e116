"""The first screen of the README as a program. Run it from the top of the repository::

    python -m examples.bank.bank                        # a log and a store in two files: log.db, bank.db
    python -m examples.bank.bank kafka://localhost:9092 postgresql+psycopg://localhost/bank
"""

import sys
from datetime import datetime, timezone
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
def deposited(state: Account, event: Deposited) -> Account:
    return state.model_copy(update={"balance": state.balance + event.amount})


@account.on(Closed)
def closed(state: Account, event: Closed) -> None:
    return None


def main(log: str = "sqlite:///log.db", store: str = "sqlite:///bank.db") -> None:
    """Open an account, put money on it, and ask for it at two instants."""
    with Publisher(accounts, log) as publisher:
        publisher.publish("acc-1", Opened(owner="acme"), occurred_at=march(1), event_id="opening")
        receipt = publisher.publish("acc-1", Deposited(amount=Decimal("12.50")), occurred_at=march(3), event_id="first")

    Worker(account, log, store).run(until="end")

    with Reader(account, store) as reader:
        reader.wait_for(receipt, timeout=5)
        for day in (march(2), march(4)):
            answer = reader.get("acc-1", valid_at=day)
            print(f"{day:%d %B}: {answer.status}, {answer.require()}, since {answer.valid_from}")
        for version in reader.history("acc-1"):
            print(f"{version.event_type} made it {version.state}")


def march(day: int) -> datetime:
    return datetime(2026, 3, day, tzinfo=timezone.utc)


if __name__ == "__main__":
    main(*sys.argv[1:])
