"""Where commands are decided: the service's tables and its events change in one transaction, or neither does."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from everwhen import NEW, Outbox
from everwhen.errors import StoreConflict, VersionConflict
from examples.orders.decide import Command, decide
from examples.orders.model import evolve, orders
from examples.orders.tables import load, save


@dataclass(frozen=True)
class Accepted:
    """A command that is committed."""

    version: int
    """Of its order: what the next one may expect."""
    token: str
    """What a read waits for, to know of it."""


class Desk:
    """Decides commands, one after the other for each order, whoever else does. Thread-safe; its methods block.

    :param engine: the service's database; it stays the caller's.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._outbox = Outbox(orders, engine)

    def handle(self, order_id: str, command: Command, expected: int | None = None) -> Accepted:
        """Decide a command on what is so, and keep what comes of it.

        :param expected: the version that whoever asks has seen; any if left out.
        :raises VersionConflict: if the order has another version than the one expected.
        :raises Refused: if it cannot be.
        :raises StoreError: if the database failed; then nothing is kept.
        """
        while True:
            try:
                return self._decide_once(order_id, command, expected)
            except StoreConflict:
                pass  # the database undid one of two
            except VersionConflict:
                if expected is not None:
                    raise
            # Somebody else was first, so somebody gets on: decide again, on what is so now.

    def close(self) -> None:
        """Free everything. Idempotent."""
        self._outbox.close()

    def _decide_once(self, order_id: str, command: Command, expected: int | None) -> Accepted:
        with Session(self._engine) as session, session.begin():
            state = load(session, order_id)
            version = NEW if state is None else state.version
            if expected not in (None, version):
                raise VersionConflict(f"order {order_id!r} has version {version}, not {expected}; read it again")
            for event in decide(state, command):
                receipt = self._outbox.publish(session, order_id, event, occurred_at=command.at, expected=version)
                version, state = receipt.version, evolve(state, event, command.at)
            assert state is not None
            save(session, order_id, state)
        return Accepted(version, receipt.token)
