"""The replay verdict: whether a projection's handlers can still take every version that was ever published."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from everwhen.errors import ContractError, DeclarationError
from everwhen.event import Event, Topic, contracts
from everwhen.event.codec import Codec
from everwhen.event.contracts import Contract, Contracts, Version
from everwhen.event.examples import example_values
from everwhen.event.model import event_schema
from everwhen.projection import Projection
from everwhen.projection.replay import Outcome, Replayed, replay
from tests.event.generated import FIELDS, build


class Fare(enum.Enum):
    FULL = "full"
    HALF = "half"


class Opened(Event, type="shop.opened"):
    owner: str
    limit: int | None = None


class Sold(Event, type="shop.sold"):
    fare: Fare
    cents: int


class SoldOnce(Event, type="shop.sold"):
    fare: Fare
    euros: int


class Shop(BaseModel):
    owner: str
    cents: int = 0


def in_cents(old: dict[str, Any]) -> dict[str, Any]:
    old["cents"] = old.pop("euros") * 100
    return old


def opened(state: Shop | None, event: Opened) -> Shop:
    return Shop(owner=event.owner)


def sold(state: Shop, event: Sold) -> Shop:
    return state.model_copy(update={"cents": state.cents + event.cents})


def judge(directory: Path, on_opened: Any = opened, on_sold: Any = sold, upcaster: Any = in_cents) -> list[Replayed]:
    """The verdict on a shop whose sales were once in euros."""
    contracts.write(directory, [Opened, SoldOnce])
    shops = Topic("shops", events=[Opened, Sold], schemas=directory)
    shops.upcast(Sold, version=1)(upcaster)
    contracts.write(directory, [Opened, Sold], shops.evolution)
    shop = Projection("shop", version=1, topic=shops, state=Shop)
    shop.on(Opened)(on_opened)
    shop.on(Sold)(on_sold)
    return replay(shop)


def test_every_version_is_read_and_handled(tmp_path: Path) -> None:
    """A line for each contract file, with the upcasters it passes and the handler it reaches."""
    verdicts = judge(tmp_path)
    assert [(each.type, each.version, each.outcome) for each in verdicts] == [
        ("shop.opened", 1, Outcome.READABLE),
        ("shop.sold", 1, Outcome.READABLE),
        ("shop.sold", 2, Outcome.READABLE),
    ]
    assert [each.upcasters for each in verdicts] == [(), ("in_cents",), ()]
    assert [each.handler for each in verdicts] == ["opened", "sold", "sold"]


def lost_a_field(old: dict[str, Any]) -> dict[str, Any]:
    return {"fare": old["fare"]}


def forgets_a_symbol(old: dict[str, Any]) -> dict[str, Any]:
    return {"cents": old["euros"], "fare": {"FULL": "FULL"}[old["fare"]]}


def draws(old: dict[str, Any], calls: list[int] = []) -> dict[str, Any]:  # noqa: B006 - that it remembers is the fault
    calls.append(1)
    return {"cents": len(calls), "fare": old["fare"]}


def matches_one_fare(state: Shop, event: Sold) -> Shop:
    return state.model_copy(update={"cents": state.cents + {Fare.FULL: 1}[event.fare]})


def reads_the_old_field(state: Shop, event: Any) -> Shop:
    return state.model_copy(update={"cents": event.euros})


def remembers(state: Shop, event: Sold, calls: list[int] = []) -> Shop:  # noqa: B006 - as above
    calls.append(1)
    return state.model_copy(update={"cents": len(calls)})


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"upcaster": lost_a_field}, "cents: missing (shop.sold version 1)"),
        ({"upcaster": forgets_a_symbol}, "forgets_a_symbol() of shop.sold version 1 raised KeyError"),
        ({"upcaster": draws}, "an upcaster gave two different events for the same data"),
        ({"on_sold": matches_one_fare}, "matches_one_fare() of projection shop raised KeyError"),
        ({"on_sold": reads_the_old_field}, "reads_the_old_field() of projection shop raised AttributeError"),
        ({"on_sold": remembers}, "remembers() gave two different states"),
        ({"on_opened": lambda state, event: event}, "<lambda>() returned Opened"),
    ],
)
def test_what_a_replay_would_stop_at_is_found(tmp_path: Path, wrong: dict[str, Any], problem: str) -> None:
    """Before the replay is started, and though none of it is in any schema."""
    verdicts = judge(tmp_path, **wrong)
    broken = [each for each in verdicts if each.outcome is Outcome.BROKEN]
    assert broken
    assert all(problem in " ".join(each.problems) for each in broken)


def of_a_paying_shop(state: Shop, event: Sold) -> Shop:
    if event.cents <= 0:
        raise ValueError("a sale brings money in")
    return sold(state, event)


def test_what_a_handler_refuses_is_counted(tmp_path: Path) -> None:
    """The schema does not say that a sale brings money in; the events of the time did."""
    (*_, newest) = judge(tmp_path, on_sold=of_a_paying_shop)
    assert newest.outcome is Outcome.READABLE
    (reason,) = newest.refused
    assert reason.startswith("of_a_paying_shop() of projection shop raised ValueError")
    assert 0 < newest.refused[reason] < newest.examples


class Named(Event, type="shop.named"):
    name: Annotated[str, Field(pattern=r"^EW\d+$")]
    count: Annotated[int, Field(ge=5)]


class NamedWithExamples(Event, type="shop.named"):
    name: Annotated[str, Field(pattern=r"^EW\d+$", examples=["EW1", "EW22"])]
    count: Annotated[int, Field(ge=5, examples=[5, 6])]


@pytest.mark.parametrize(("event", "outcome"), [(Named, Outcome.UNPROVEN), (NamedWithExamples, Outcome.READABLE)])
def test_constraints_leave_a_version_unproven(tmp_path: Path, event: type[Event], outcome: Outcome) -> None:
    """Nothing is claimed where no example passes; the user's own examples help."""
    contracts.write(tmp_path, [event])
    shop = Projection("shop", version=1, topic=Topic("shops", events=[event], schemas=tmp_path), state=Shop)
    shop.on(event)(lambda state, event: Shop(owner="x"))
    (verdict,) = replay(shop)
    assert (verdict.outcome, verdict.problems) == (outcome, ())


def test_contracts_and_handlers_come_first(tmp_path: Path) -> None:
    """A verdict on files that do not agree with the classes would mean nothing."""
    topic = Topic("shops", events=[Opened], schemas=tmp_path)
    shop = Projection("shop", version=1, topic=topic, state=Shop)
    with pytest.raises(DeclarationError, match="no handler for Opened"):
        replay(shop)
    shop.on(Opened)(opened)
    with pytest.raises(ContractError):
        replay(shop)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_examples_are_events_of_their_schema(data: st.DataObject) -> None:
    """Whatever an event class holds, its examples are read by the codec: each could have been published."""
    built = build(data.draw(FIELDS))
    version = Version.of(1, event_schema(built.event))
    codec = Codec(Contracts([Contract(built.event, (version,))]))
    values = example_values(version, {})
    assert values == example_values(version, {})
    for value in values:
        codec.decode(value)


def test_examples_make_every_choice(tmp_path: Path) -> None:
    """Each branch, each symbol, empty and filled lists, and both ends of numbers."""

    class Wide(Event, type="shop.wide"):
        fare: Fare | None
        counts: list[int]
        prices: dict[str, float]

    version = Version.of(1, event_schema(Wide))
    codec = Codec(Contracts([Contract(Wide, (version,))]))
    events: list[Any] = [codec.decode(value) for value in example_values(version, {})]
    assert {event.fare for event in events} == {None, Fare.FULL, Fare.HALF}
    assert {len(event.counts) for event in events} >= {0, 1, 5}
    assert {-(2**63), 2**63 - 1, 0} <= {count for event in events for count in event.counts}
    assert {} in [event.prices for event in events]
