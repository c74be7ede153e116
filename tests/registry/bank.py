"""A topic with events of many kinds of fields, a projection of it, and a name for it that no other test uses."""

from __future__ import annotations

import enum
import secrets
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from everwhen import Event, Projection, Topic
from everwhen.event import contracts

T0 = datetime(2026, 3, 1, tzinfo=UTC)


class Kind(enum.Enum):
    """What an account is for."""

    PRIVATE = "private"
    BUSINESS = "business"


class Opened(Event, type="bank.account.opened"):
    """Begins an account."""

    owner: str
    kind: Kind = Kind.PRIVATE
    limit: Annotated[Decimal, Field(max_digits=20, decimal_places=2)] = Decimal(0)
    since: date | None = None
    contract: UUID | None = None
    signed: AwareDatetime | None = None
    tags: tuple[str, ...] = ()


class Closed(Event, type="bank.account.closed"):
    """Ends it."""


class Account(BaseModel):
    """The state."""

    owner: str
    limit: Decimal


FULL = Opened(
    owner="acme",
    kind=Kind.BUSINESS,
    limit=Decimal("123456789012345678.91"),
    since=date(2026, 2, 3),
    contract=UUID(int=77),
    signed=datetime(2026, 2, 3, 4, 5, 6, 789_012, tzinfo=UTC),
    tags=("a", "b"),
)


def topic(directory: Path, **more: object) -> Topic:
    """Make the topic, with its contract files in ``directory``."""
    contracts.write(directory, [Opened, Closed])
    name = f"bank-{secrets.token_hex(6)}"
    return Topic(name, events=[Opened, Closed], schemas=directory, partitions=2, **more)  # type: ignore[arg-type]


def projection(source: Topic, name: str = "account") -> Projection[Account]:
    """Make the projection."""
    made = Projection(name, version=1, topic=source, state=Account)

    @made.on(Opened)
    def opened(state: Account | None, event: Opened) -> Account:
        return Account(owner=event.owner, limit=event.limit)

    @made.on(Closed)
    def closed(state: Account | None, event: Closed) -> None:
        return None

    return made
