"""Event classes: their type names, and what pydantic does with them."""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from everwhen.errors import DeclarationError
from everwhen.event import Event, Float32, Int32, event_type
from everwhen.event.model import event_schema, event_shape

T = TypeVar("T")


class Opened(Event, type="bank.account.opened"):
    owner: str
    type: str = "current"


class Timed(Event):
    at: int


class Closed(Timed, type="bank.account.closed"):
    reason: str | None = None


def test_the_type_name_leaves_a_field_of_that_name_alone() -> None:
    """type= names the event; a field called type is the user's own."""
    assert event_type(Opened) == "bank.account.opened"
    assert Opened(owner="x").type == "current"


def test_an_event_is_immutable_and_closed() -> None:
    """It cannot be changed, takes no other fields, and is equal and hashable by value."""
    event = Opened(owner="x")
    with pytest.raises(ValidationError, match="frozen"):
        event.owner = "y"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Opened(owner="x", amount=1)  # type: ignore[call-arg]
    assert event == Opened(owner="x")
    assert hash(event) == hash(Opened(owner="x"))


def test_a_subclass_without_a_type_is_an_abstract_base() -> None:
    """It can be built and shared, and has no type, schema or shape."""
    assert [field["name"] for field in event_schema(Closed)["fields"]] == ["at", "reason"]
    for ask in (event_type, event_schema, event_shape):
        with pytest.raises(DeclarationError, match="Timed has no event type; declare it as class Timed"):
            ask(Timed)
        with pytest.raises(DeclarationError, match="Event has no event type"):
            ask(Event)


def test_a_type_is_not_inherited() -> None:
    """A subclass of an event is another event, which needs a type of its own."""

    class Reopened(Opened):
        pass

    with pytest.raises(DeclarationError, match="Reopened has no event type"):
        event_type(Reopened)


@pytest.mark.parametrize("name", ["", "a..b", "bank-account", "1a", "a b", "ä", ".a", "bank.string", 5])
def test_a_type_that_is_no_avro_name_is_refused(name: Any) -> None:
    """Letters, digits and underscores with dots between the parts."""
    with pytest.raises(DeclarationError, match=re.escape(f"Odd: type={name!r} is not a dotted Avro name")):

        class Odd(Event, type=name):
            pass


def test_the_packages_own_prefix_is_reserved() -> None:
    """A class of a user's could otherwise be taken for an event that the package brings along."""
    for name in ("everwhen.retracted", "everwhen.sub.mine"):
        with pytest.raises(DeclarationError, match=f"^Odd: type='{name}' begins with everwhen., which is reserved"):

            class Odd(Event, type=name):
                pass

    class Fine(Event, type="everwhens.noted"):
        pass

    class AlsoFine(Event, type="shop.everwhen.noted"):
        pass


@pytest.mark.parametrize("config", [ConfigDict(frozen=False), ConfigDict(extra="allow"), ConfigDict(extra="ignore")])
def test_an_event_stays_frozen_and_closed(config: ConfigDict) -> None:
    """A configuration that would open it is refused."""
    with pytest.raises(DeclarationError, match=r"^Odd: an event is frozen and forbids extra fields"):

        class Odd(Event, type="a.b"):
            model_config = config


def test_other_configuration_is_the_users() -> None:
    """What does not touch the contract can be set as for any model."""

    class Trimmed(Event, type="a.b"):
        model_config = ConfigDict(str_strip_whitespace=True)
        name: str

    assert Trimmed(name=" x ").name == "x"


def test_a_generic_event_needs_a_type_per_parameter() -> None:
    """The generic class is an abstract base; a class with its parameter filled in is an event."""

    class Changed(Event, Generic[T]):
        value: T

    class Renamed(Changed[str], type="renamed"):
        pass

    assert event_schema(Renamed)["fields"] == [{"name": "value", "type": "string"}]


def test_numbers_of_32_bits_are_what_the_wire_holds() -> None:
    """Int32 is checked, Float32 is rounded, when an event is built and for its defaults too."""

    class Measured(Event, type="measured"):
        count: Int32 = 0
        value: Float32 = 0.1

    assert Measured().value == 0.10000000149011612
    assert Measured(value=0.1) == Measured()
    for wrong in ({"count": 2**31}, {"value": 1e39}):
        with pytest.raises(ValidationError):
            Measured(**wrong)


def test_events_nest_as_models_do() -> None:
    """An event can hold models that are no events, defined beside it."""

    class Address(BaseModel):
        street: str

    class Moved(Event, type="moved"):
        to: Address

    assert event_schema(Moved)["fields"][0]["type"]["name"] == "Address"
