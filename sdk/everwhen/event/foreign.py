"""Records from elsewhere: the declared rule by which they become events of a topic.

A rule is a value. It says for each part of an event where it stands in the record::

    orders = Topic(
        "orders",
        events=[Placed, Shipped],
        schemas="schemas/orders",
        foreign=Foreign(
            type=Header("eventType", {"OrderPlaced": "shop.order.placed", "OrderShipped": "shop.order.shipped"}),
            entity_id=Key(),
            id=Header("eventId"),
            occurred_at=Field("at"),
        ),
    )

It holds for records without the headers of CloudEvents; those of our own publishers can stand beside them in the topic.
What it gives depends on the record alone, so a rebuild gives the same events.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from everwhen.errors import DeclarationError, InstantError, MalformedRecord
from everwhen.event.headers import Headers
from everwhen.instants import MAX_MICROS, MIN_MICROS, Micros, parse_instant, to_micros

Unit: TypeAlias = Literal["s", "ms", "us"]
_MICROS: Final[Mapping[str, int]] = {"s": 1_000_000, "ms": 1_000, "us": 1}
_NUMBER: Final = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?")


class Raw(NamedTuple):
    """A record as rules see it.

    :ivar document: what its value holds, read as the rule says.
    :ivar recorded_at: the log's time of it, never going back within a partition.
    :ivar position: topic, partition and offset.
    """

    key: bytes | None
    headers: Mapping[str, bytes | None]
    document: Any
    recorded_at: Micros
    position: str


@dataclass(frozen=True, slots=True)
class Key:
    """The record's key, as UTF-8; without the quotation marks that a JSON converter puts around a text."""

    def text(self, raw: Raw) -> str | None:
        """Return the text."""
        text = _decoded(raw.key, "the record's key")
        return text[1:-1] if text and len(text) > 1 and text[0] == text[-1] == '"' else text

    def __str__(self) -> str:
        return "the record's key"


@dataclass(frozen=True, slots=True)
class Header:
    """A header of the record, as UTF-8.

    :param name: its name, in which letters' case counts.
    :param names: what its values stand for; a value that is not among them stands for itself.
    :param unit: of a number that is an instant.
    """

    name: str
    names: Mapping[str, str] = field(default_factory=dict)
    unit: Unit | None = None

    def text(self, raw: Raw) -> str | None:
        """Return the text; ``None`` if there is no such header."""
        text = _decoded(raw.headers.get(self.name), str(self))
        return None if text is None else self.names.get(text, text)

    def instant(self, raw: Raw) -> Micros:
        """Return the instant."""
        return _instant(self.text(raw), self.unit, str(self))

    def __str__(self) -> str:
        return f"the header {self.name}"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the record's value.

    :param path: its name, and with dots between them those of the fields that it lies in.
    :param names: what its values stand for; a value that is not among them stands for itself.
    :param unit: of a number that is an instant.
    """

    path: str
    names: Mapping[str, str] = field(default_factory=dict)
    unit: Unit | None = None

    def value(self, raw: Raw) -> Any:
        """Return what stands there; ``None`` if nothing does."""
        found = raw.document
        for name in self.path.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        return found

    def text(self, raw: Raw) -> str | None:
        """Return the text, or a whole number as one."""
        found = self.value(raw)
        if found is None:
            return None
        if not isinstance(found, str | int) or isinstance(found, bool):
            raise MalformedRecord(f"{self} is neither a text nor a whole number")
        return self.names.get(str(found), str(found))

    def instant(self, raw: Raw) -> Micros:
        """Return the instant."""
        return _instant(self.value(raw), self.unit, str(self))

    def __str__(self) -> str:
        return f"the field {self.path}"


@dataclass(frozen=True, slots=True)
class Always:
    """The same text for every record.

    :param value: the text.
    """

    value: str

    def text(self, raw: Raw) -> str:
        """Return the text."""
        return self.value

    def __str__(self) -> str:
        return "what is always so"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the record stands, such as ``orders/3/17``: an id for records without one.

    A record that was written twice has two of them, so it counts twice.
    """

    def text(self, raw: Raw) -> str:
        """Return the text."""
        return raw.position

    def __str__(self) -> str:
        return "the record's position"


@dataclass(frozen=True, slots=True)
class Recorded:
    """When the log recorded the record: its timestamp, which is made monotonic within a partition."""

    def instant(self, raw: Raw) -> Micros:
        """Return the instant."""
        return raw.recorded_at

    def __str__(self) -> str:
        return "the record's timestamp"


Text: TypeAlias = Key | Header | Field | Always
Instant: TypeAlias = Header | Field | Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """How records from elsewhere become events of a topic. Immutable.

    :param type: where the event's type stands, one of those of the topic's classes.
    :param entity_id: where the entity's id stands.
    :param id: where the event's id stands. The same id twice for one entity is one event.
    :param occurred_at: where the instant stands at which the fact was true: RFC 3339 with an offset, or a number of the
        unit that the source names.
    :param data: the field whose object has the event's fields; the whole value if left out.
    :param value: what the value is: JSON, or Avro of a schema of the registry, with its id in the value or the header.
    :param correlation_id: where it stands, if anywhere.
    :param causation_id: where it stands, if anywhere.
    """

    type: Header | Field | Always
    entity_id: Text = Key()
    id: Text | Place = Place()
    occurred_at: Instant = Recorded()
    data: Field | None = None
    value: Literal["json", "avro"] = "json"
    correlation_id: Text | None = None
    causation_id: Text | None = None

    def __post_init__(self) -> None:
        for name, kinds in _KINDS.items():
            if not isinstance(getattr(self, name), kinds):
                allowed = ", ".join(kind.__name__ for kind in kinds if kind is not _NONE)
                raise DeclarationError(f"Foreign({name}=...) must be one of {allowed} of everwhen.event.foreign")
        if self.value not in ("json", "avro"):
            raise DeclarationError("Foreign(value=...) must be 'json' or 'avro'")


def debezium_outbox(
    type: Header | Field | Always = Header("eventType"),  # noqa: A002 - as Foreign has it
    occurred_at: Instant = Recorded(),
) -> Foreign:
    """Return the rule for what Debezium's outbox event router writes with its defaults.

    The key is the aggregate's id, the header ``id`` the event's, the value the payload. The type is in a header only if
    the router is told to put it there: ``table.fields.additional.placement=type:header:eventType``.

    Source: Debezium's documentation, "Outbox Event Router".

    :param type: where the type stands, if elsewhere.
    :param occurred_at: where the instant stands. The record's timestamp is the event's time only if the router is told
        so (``table.field.event.timestamp``), and it is made monotonic within a partition.
    """
    return Foreign(type=type, id=Header("id"), occurred_at=occurred_at)


_NONE: Final = type(None)
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "type": (Header, Field, Always),
    "entity_id": (Key, Header, Field, Always),
    "id": (Key, Header, Field, Always, Place),
    "occurred_at": (Header, Field, Recorded),
    "data": (Field, _NONE),
    "correlation_id": (Key, Header, Field, Always, _NONE),
    "causation_id": (Key, Header, Field, Always, _NONE),
}


def raw_of(key: bytes | None, headers: Headers, document: Any, recorded_at: Micros, position: str) -> Raw:
    """Return a record as rules see it; of headers of one name the last counts."""
    return Raw(key, dict(headers), document, recorded_at, position)


def needed(source: Text | Place, raw: Raw, what: str) -> str:
    """Return a text that an event cannot do without.

    :raises MalformedRecord: if it is not there.
    """
    text = source.text(raw)
    if not text:
        raise MalformedRecord(f"{what} is missing: the topic's rule takes it from {source}")
    return text


def _decoded(value: bytes | None, what: str) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        raise MalformedRecord(f"{what} is not UTF-8") from None


def _instant(value: Any, unit: Unit | None, what: str) -> Micros:
    try:
        if isinstance(value, datetime):
            return to_micros(value, what)
        if unit is None and isinstance(value, str):
            return parse_instant(value, what)
    except InstantError as error:
        raise MalformedRecord(str(error)) from None
    if unit is None or isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        expected = "an RFC 3339 text; for a number, name its unit in the rule" if unit is None else "a number"
        raise MalformedRecord(f"{what} is missing or not {expected}")
    return _scaled(str(value), unit, what)


def _scaled(number: str, unit: Unit, what: str) -> Micros:
    if not _NUMBER.fullmatch(number):
        raise MalformedRecord(f"{what} is not a number")
    micros = Decimal(number) * _MICROS[unit]
    if micros != int(micros):
        raise MalformedRecord(f"{what} is finer than a microsecond, and nothing is rounded here")
    if not MIN_MICROS <= micros <= MAX_MICROS:
        raise MalformedRecord(f"{what} lies outside the years 1 to 9999")
    return int(micros)
