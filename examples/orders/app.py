"""The service: commands and questions over HTTP. ``uvicorn --factory examples.orders.app:create`` serves it.

``EVERWHEN_OUTBOX`` is the service's own database, ``EVERWHEN_STORE`` where the projection is.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Final, TypeAlias, cast

from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime

from everwhen import EverwhenError, Reader
from everwhen.aio import AsyncReader
from everwhen.errors import ArgumentError, InstantError, VersionConflict
from examples.orders.decide import Add, Cancel, Command, NotPlaced, Place, Refused, Ship
from examples.orders.desk import Desk
from examples.orders.model import Order, order
from examples.orders.tables import connect
from examples.orders.telling import Told, code_of, tell

TOKEN: Final = "Everwhen-Token"  # noqa: S105 - the name of a header
"""Comes with the answer to a command, and goes with the next question."""
PATIENCE_SECONDS: Final = 2.0
"""For how long a question waits for what its token names."""
_REFUSALS: Final = {
    NotPlaced: 404,
    Refused: 409,
    VersionConflict: 412,
    ArgumentError: 400,
    InstantError: 400,
    EverwhenError: 503,  # most of all a database that is away, or a projection that has not begun
}

_commands = APIRouter()
_questions = APIRouter()


def _desk(request: Request) -> Desk:
    return cast("Desk", request.state.desk)


def _reader(request: Request) -> AsyncReader[Order]:
    return cast("AsyncReader[Order]", request.state.reader)


AnyDesk: TypeAlias = Annotated[Desk, Depends(_desk)]
AnyReader: TypeAlias = Annotated[AsyncReader[Order], Depends(_reader)]
Seen: TypeAlias = Annotated[str | None, Header(alias="If-Match", pattern=r'^"\d{1,9}"$')]
Token: TypeAlias = Annotated[str | None, Header(alias=TOKEN)]


# These block, for the database; FastAPI calls what is not async in a thread.


@_commands.put("/orders/{order_id}", status_code=201)
def place(desk: AnyDesk, order_id: str, command: Place) -> Response:
    """Place an order. The id is the client's own, so that repeating it places no second one: 409 then."""
    return _handle(desk, order_id, command, None, 201)


@_commands.post("/orders/{order_id}/articles", status_code=204)
def add(desk: AnyDesk, order_id: str, command: Add, if_match: Seen = None) -> Response:
    """Add to an order."""
    return _handle(desk, order_id, command, if_match)


@_commands.post("/orders/{order_id}/shipment", status_code=204)
def ship(desk: AnyDesk, order_id: str, command: Ship, if_match: Seen = None) -> Response:
    """Ship an order."""
    return _handle(desk, order_id, command, if_match)


@_commands.post("/orders/{order_id}/cancellation", status_code=204)
def cancel(desk: AnyDesk, order_id: str, command: Cancel, if_match: Seen = None) -> Response:
    """Cancel an order."""
    return _handle(desk, order_id, command, if_match)


@_questions.get("/orders/{order_id}")
async def ask(
    reader: AnyReader,
    order_id: str,
    response: Response,
    valid_at: AwareDatetime | None = None,
    known_at: AwareDatetime | None = None,
    token: Token = None,
) -> Told:
    """Say what was so at an instant, as known at another one; now, if they are left out."""
    answer = await reader.get(order_id, valid_at=valid_at, known_at=known_at, at_least=token, timeout=PATIENCE_SECONDS)
    response.status_code = code_of(answer.status)
    return tell(answer)


def create() -> FastAPI:
    """Return the service; what it holds is opened when it starts, and closed when it ends."""
    app = FastAPI(title="Orders", lifespan=_opened)
    app.include_router(_commands)
    app.include_router(_questions)
    for error in _REFUSALS:
        app.add_exception_handler(error, _refuse)
    return app


@asynccontextmanager
async def _opened(_: FastAPI) -> AsyncIterator[dict[str, object]]:
    engine = connect(os.environ["EVERWHEN_OUTBOX"])
    desk = Desk(engine)
    async with AsyncReader(Reader(order)) as reader:
        yield {"desk": desk, "reader": reader}
    desk.close()
    engine.dispose()


def _handle(desk: Desk, order_id: str, command: Command, if_match: str | None, code: int = 204) -> Response:
    accepted = desk.handle(order_id, command, None if if_match is None else int(if_match.strip('"')))
    return Response(status_code=code, headers={"ETag": f'"{accepted.version}"', TOKEN: accepted.token})


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    """Say why not. A service of yours would keep to itself what its own users need not know of its database."""
    code = next(_REFUSALS[each] for each in type(error).__mro__ if each in _REFUSALS)
    return JSONResponse({"detail": str(error)}, code)
