"""The service's own database: its table, and the outbox beside it.

``python -m examples.orders.tables`` makes both where they are missing; ``EVERWHEN_OUTBOX`` says where.
"""

from __future__ import annotations

import os

from sqlalchemy import Engine, Text, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from everwhen import Outbox
from examples.orders.model import Order, orders

_PATIENCE_SECONDS = 30
"""For how long a writer of SQLite waits for its turn."""


class Tables(DeclarativeBase):
    """All that is the service's."""


class OrderRow(Tables):
    """An order as it is now. What was before is the projection's to say."""

    __tablename__ = "orders"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    state: Mapped[str] = mapped_column(Text)
    """An :class:`Order` as JSON."""


def connect(url: str) -> Engine:
    """Return an engine on the service's database."""
    waiting = {"timeout": _PATIENCE_SECONDS} if url.startswith("sqlite") else {}
    return create_engine(url, connect_args=waiting)


def create(engine: Engine) -> None:
    """Make the tables that are missing. In a project of yours this is a migration."""
    Tables.metadata.create_all(engine)
    with Outbox(orders, engine) as outbox:
        outbox.create_tables()


def load(session: Session, order_id: str) -> Order | None:
    """Return the order as it is; ``None`` if it was never placed."""
    row = session.get(OrderRow, order_id)
    return None if row is None else Order.model_validate_json(row.state)


def save(session: Session, order_id: str, state: Order) -> None:
    """Keep the order as it is."""
    session.merge(OrderRow(id=order_id, state=state.model_dump_json()))


if __name__ == "__main__":
    create(connect(os.environ["EVERWHEN_OUTBOX"]))
