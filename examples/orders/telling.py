"""An answer of the projection, as JSON and a status of HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import BaseModel

from everwhen import Answer, Status
from examples.orders.model import Order

_CODES: Final = {Status.FOUND: 200, Status.TRUNCATED: 410, Status.NOT_YET_PROJECTED: 503, Status.QUARANTINED: 500}


class Told(BaseModel):
    """What is told of an order."""

    status: Status
    order: Order | None
    valid_at: datetime
    """The instant asked for."""
    valid_from: datetime | None
    """Since when the order has been like this."""
    valid_to: datetime | None
    """Until when; ``None`` where no end is known."""
    basis: str
    """What the answer rests on: a reader that is given it says the same for ever."""
    behind: str | None
    """How far the projection is, where it has not reached the token."""


def tell(answer: Answer[Order]) -> Told:
    """Return what is told."""
    return Told(
        status=answer.status,
        order=answer.state,
        valid_at=answer.valid_at,
        valid_from=answer.valid_from,
        valid_to=answer.valid_to,
        basis=str(answer.basis),
        behind=answer.behind,
    )


def code_of(status: Status) -> int:
    """Return the status of HTTP that says so: 404 wherever there is no such order then."""
    return _CODES.get(status, 404)
