"""Event classes: frozen pydantic models with a stable type name."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from everwhen.errors import ContractError, DeclarationError
from everwhen.event.annotations import read_record
from everwhen.event.avro import Schema, schema_of
from everwhen.event.schema import is_fullname, resolve
from everwhen.event.shapes import Record

_RESERVED = "everwhen."
"""How the type names of the events begin that this package brings along."""


class Event(BaseModel):
    """A fact about one entity: a frozen pydantic model with a stable type name.

    ::

        class Deposited(Event, type="bank.account.deposited"):
            amount: Annotated[Decimal, Field(max_digits=12, decimal_places=2)]

    The class is the contract: its fields' names and types give the Avro schema (:mod:`everwhen.event.avro` has the
    table), which the files of the topic are checked against. A field's alias, a serializer or a computed field play
    no part in it. Without ``type=`` a subclass is an abstract base: its fields can be shared, it cannot be published.

    Instances are immutable and can be shared by threads, as far as the lists and dicts inside are left alone.

    :raises DeclarationError: while the class is being defined, if its type name is not a dotted Avro name or begins
        with ``everwhen.``, or a field is of a type that an event cannot hold; the message names the class, the field,
        and what to use instead.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        # Not to allow them: pydantic would refuse them first, and without saying what to use.
        arbitrary_types_allowed=True,
    )

    __event_type__: ClassVar[str | None] = None
    __event_shape__: ClassVar[Record | None] = None
    __event_schema__: ClassVar[Schema | None] = None

    def __init_subclass__(cls, *, type: str | None = None, **kwargs: Any) -> None:  # noqa: A002 - what the user writes
        super().__init_subclass__(**kwargs)

    @classmethod
    def __pydantic_init_subclass__(cls, *, type: str | None = None, **kwargs: Any) -> None:  # noqa: A002 - as above
        super().__pydantic_init_subclass__(**kwargs)
        cls.__event_type__ = cls.__event_shape__ = cls.__event_schema__ = None
        if type is None:
            return
        _check_declaration(cls, type)
        cls.__event_shape__ = read_record(cls, type)
        cls.__event_schema__ = _safe(schema_of(cls.__event_shape__), cls)
        cls.__event_type__ = type


def event_type(cls: type[Event]) -> str:
    """Return the stable type name of an event class, such as ``bank.account.opened``.

    :raises DeclarationError: for an abstract base, which has none.
    """
    if cls.__event_type__ is None:
        raise _abstract(cls)
    return cls.__event_type__


def event_shape(cls: type[Event]) -> Record:
    """Return the shape of an event class.

    :raises DeclarationError: for an abstract base.
    """
    if cls.__event_shape__ is None:
        raise _abstract(cls)
    return cls.__event_shape__


def event_schema(cls: type[Event]) -> Schema:
    """Return the Avro schema of an event class. It is shared: do not change it.

    :raises DeclarationError: for an abstract base.
    """
    if cls.__event_schema__ is None:
        raise _abstract(cls)
    return cls.__event_schema__


def _check_declaration(cls: type[Event], name: object) -> None:
    if not isinstance(name, str) or not is_fullname(name):
        raise DeclarationError(
            f"{cls.__name__}: type={name!r} is not a dotted Avro name; "
            'use ASCII letters, digits and underscores, for example type="bank.account.opened"'
        )
    if name.startswith(_RESERVED) and not cls.__module__.startswith(_RESERVED):
        raise DeclarationError(
            f"{cls.__name__}: type={name!r} begins with {_RESERVED}, which is reserved for the events that the package "
            "brings along; begin it with a name of your own"
        )
    if not cls.model_config.get("frozen") or cls.model_config.get("extra") != "forbid":
        raise DeclarationError(
            f"{cls.__name__}: an event is frozen and forbids extra fields; "
            "remove frozen and extra from its model_config"
        )


def _safe(schema: Schema, cls: type[Event]) -> Schema:
    try:
        resolve(schema)
    except ContractError as error:
        raise DeclarationError(f"{cls.__name__}: its Avro schema could not be read back: {error}") from None
    return schema


def _abstract(cls: type[Event]) -> DeclarationError:
    return DeclarationError(
        f'{cls.__name__} has no event type; declare it as class {cls.__name__}(Event, type="...") to publish it'
    )
