"""Tests of a projection in a few words: given these events, when this one comes, then this is the state.

No log and no database: events go through their contracts and the projection's handlers into the same timeline that a
worker writes from. What a log may do with them is tried each time: it delivers an event twice, and late.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice, permutations
from math import factorial
from typing import Final, Generic, TypeAlias, TypeVar

from pydantic import BaseModel

from everwhen.errors import ArgumentError
from everwhen.event import Event, Retracted
from everwhen.instants import to_micros
from everwhen.projection import Projection
from everwhen.testing.arrivals import Delivered, Outcome, deliver

S = TypeVar("S", bound=BaseModel)

_BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_STEP: Final = timedelta(minutes=1)
_SEED: Final = 20260101


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """An event of a scenario, with what the publisher would say of it; made by the functions below."""

    event: Event
    occurred_at: datetime | None = None
    """``None``: a minute after the one before it."""
    id: str | None = None
    """``None``: ``event-N``, the N-th of the scenario, counted from 1."""
    withdraws: str | None = None


Told: TypeAlias = Event | Happening
"""An event, or one with an instant, an id or what it withdraws."""


def at(occurred_at: datetime, event: Event, *, id: str | None = None) -> Happening:  # noqa: A002 - as in the envelope
    """An event that occurred at an instant (aware)."""
    return Happening(event=event, occurred_at=occurred_at, id=id)


def correction(of: str, event: Event, *, occurred_at: datetime | None = None) -> Happening:
    """An event that takes the place of an earlier one of the scenario; ``of`` is its id, such as ``event-1``."""
    return Happening(event=event, occurred_at=occurred_at, withdraws=of)


def retraction(of: str) -> Happening:
    """Word that an event of the scenario should not have been published; ``of`` is its id, such as ``event-1``."""
    return Happening(event=Retracted(reason=None), withdraws=of)


def given(projection: Projection[S], *events: Told, entity_id: str = "entity", orders: int = 20) -> Scenario[S]:
    """Begin a scenario about one entity.

    ::

        given(account, Opened(owner="acme")).when(Deposited(amount=5)).then(Account(owner="acme", balance=5))

    :param projection: what is tested. The contract files of its topic must be there.
    :param events: what has happened already, in the order of publishing.
    :param entity_id: the entity's id.
    :param orders: how many other orders of arrival are tried: drawn at random, and the same ones in every run; all of
        them where there are no more. With ``late="append"`` none is, as log order decides. Give 0 where a handler uses
        an envelope's ``position`` or ``recorded_at``, which the order of arrival decides.
    """
    return Scenario(projection, (), entity_id, orders).when(*events)


class Scenario(Generic[S]):
    """Events of one entity, and what is expected of them. Immutable: every step returns what to go on with."""

    def __init__(self, projection: Projection[S], told: tuple[Happening, ...], entity_id: str, orders: int) -> None:
        self._projection = projection
        self._told = told
        self._entity_id = entity_id
        self._orders = orders if projection.late == "refold" else 0

    def when(self, *events: Told) -> Scenario[S]:
        """Let more events happen.

        :raises ArgumentError: if an id stands for two of them, or a withdrawn one is not there.
        :raises InstantError: for an instant that is naive or finer than a microsecond.
        """
        told = self._told
        for each in events:
            told += (_placed(each, told),)
        return Scenario(self._projection, told, self._entity_id, self._orders)

    def state(self, valid_at: datetime | None = None) -> S | None:
        """Return the state at an instant, or after all events; ``None`` where there is none.

        :raises AssertionError: if an event cannot be applied.
        """
        return self._read(self._played(), valid_at)

    def then(self, expected: S | None, *, valid_at: datetime | None = None) -> Scenario[S]:
        """Expect a state, however the log delivers the events.

        They are delivered as they were published; each twice; the whole of them twice; and in other orders of arrival,
        as ``given`` says. Every handler is called twice with the same event and state, and must give the same result.

        :param expected: ``None``: the entity is deleted, or was never there.
        :param valid_at: at which instant (aware); after all events if left out.
        :raises AssertionError: saying which delivery gave which state instead, or which event could not be applied.
        """
        wanted = None if expected is None else self._document(expected)
        for how, order in self._deliveries():
            found = self._read(self._play(how, order), valid_at)
            document = None if found is None else self._document(found)
            if document != wanted:
                raise AssertionError(f"{how}, the state is {document}, not {wanted}")
        return self

    def then_parked(self, because: str = "") -> Scenario[S]:
        """Expect that the last event cannot be applied: it parks the entity, as a worker would report.

        :param because: a part of the error's text.
        :raises AssertionError: if it can be, or for another reason, or if an earlier one cannot be either.
        """
        if self._told[:-1]:
            Scenario(self._projection, self._told[:-1], self._entity_id, 0).state()
        outcome = deliver(self._projection, self._entity_id, self._as_published())
        if outcome.error is None:
            raise AssertionError("every event could be applied")
        if because not in str(outcome.error):
            raise AssertionError(f"the entity was parked for another reason: {outcome.error}") from outcome.error
        return self

    def _played(self) -> Outcome:
        return self._play("delivered as published", self._as_published())

    def _play(self, how: str, order: Sequence[Delivered]) -> Outcome:
        outcome = deliver(self._projection, self._entity_id, order)
        if outcome.error is not None:
            raise AssertionError(f"{how}, an event cannot be applied: {outcome.error}") from outcome.error
        return outcome

    def _read(self, outcome: Outcome, valid_at: datetime | None) -> S | None:
        text = outcome.state(None if valid_at is None else to_micros(valid_at, "valid_at"))
        return None if text is None else self._projection.state.model_validate_json(text, by_alias=False, by_name=True)

    def _document(self, state: S) -> object:
        return state.model_dump(mode="json", by_alias=False, round_trip=True)

    def _as_published(self) -> list[Delivered]:
        return [_delivered(each) for each in self._told]

    def _deliveries(self) -> Iterable[tuple[str, Sequence[Delivered]]]:
        once = self._as_published()
        yield "delivered as published", once
        yield "delivered with each event twice", [each for each in once for _ in range(2)]
        yield "delivered twice from the beginning", [*once, *once]
        for order in _orders(once, self._orders):
            yield f"delivered in the order {', '.join(_ids(order))}", order


def _placed(told: Told, before: Sequence[Happening]) -> Happening:
    made = told if isinstance(told, Happening) else Happening(event=told)
    ids = [each.id for each in before]
    made = replace(made, id=made.id or f"event-{len(before) + 1}")
    if made.id in ids:
        raise ArgumentError(f"two events of the scenario have the id {made.id!r}; leave it out, or give each its own")
    if made.withdraws is not None and made.withdraws not in ids:
        raise ArgumentError(f"there is no event {made.withdraws!r} to withdraw; there are: {', '.join(map(str, ids))}")
    if made.occurred_at is None:
        last = before[-1].occurred_at if before else None
        made = replace(made, occurred_at=_BEGIN if last is None else last + _STEP)
    return made


def _delivered(told: Happening) -> Delivered:
    assert told.id is not None
    assert told.occurred_at is not None
    return Delivered(told.id, told.event, to_micros(told.occurred_at, "occurred_at"), told.withdraws)


def _orders(once: Sequence[Delivered], count: int) -> Iterable[Sequence[Delivered]]:
    """Yield other orders of arrival. Events of one instant keep theirs, since it decides between them."""
    seen = {_ids(once)}
    for drawn in permutations(once) if factorial(len(once)) <= count + 1 else islice(_drawn(once), count):
        order = _with_ties_kept(drawn, once)
        if _ids(order) not in seen:
            seen.add(_ids(order))
            yield order


def _drawn(once: Sequence[Delivered]) -> Iterator[Sequence[Delivered]]:
    shuffled, draw = list(once), random.Random(_SEED)  # noqa: S311 - the same orders in every run
    while True:
        draw.shuffle(shuffled)
        yield shuffled


def _ids(order: Iterable[Delivered]) -> tuple[str, ...]:
    return tuple(each.id for each in order)


def _with_ties_kept(shuffled: Sequence[Delivered], once: Sequence[Delivered]) -> list[Delivered]:
    waiting: dict[int, list[Delivered]] = {}
    for each in once:
        waiting.setdefault(each.occurred_at, []).append(each)
    return [waiting[each.occurred_at].pop(0) for each in shuffled]
