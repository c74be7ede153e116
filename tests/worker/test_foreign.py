"""Records from elsewhere: read by the topic's declared rule, stored in our form, the same again in a rebuild."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import AwareDatetime, BaseModel, Field

from everwhen import Event, Projection, Publisher, Reader, Status, Topic, Worker
from everwhen.connect import open_log
from everwhen.errors import DeclarationError, MalformedRecord
from everwhen.event import contracts, foreign
from everwhen.event.foreign import Always, Foreign, Header, Key, Recorded, debezium_outbox
from everwhen.ports.log import Record
from everwhen.worker.intake import Intake

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
MICROS = int(AT.timestamp()) * 1_000_000


class Placed(Event, type="shop.order.placed"):
    """An order was placed."""

    total: Annotated[Decimal, Field(max_digits=20, decimal_places=2)]
    due: AwareDatetime | None = None


class Shipped(Event, type="shop.order.shipped"):
    """It was shipped."""


class Order(BaseModel):
    """The state."""

    total: Decimal
    shipped: bool = False


RULE = Foreign(
    type=Header("eventType", {"OrderPlaced": "shop.order.placed", "OrderShipped": "shop.order.shipped"}),
    entity_id=foreign.Field("order.id"),
    id=Header("eventId"),
    occurred_at=foreign.Field("at"),
    data=foreign.Field("order"),
)


def orders(directory: Path, rule: Foreign | None = RULE) -> Topic:
    """Make the topic."""
    contracts.write(directory, [Placed, Shipped])
    return Topic("orders", events=[Placed, Shipped], schemas=directory, partitions=1, foreign=rule)


def projection(topic: Topic) -> Projection[Order]:
    """Make the projection."""
    made = Projection("order", version=1, topic=topic, state=Order)

    @made.on(Placed)
    def placed(state: Order | None, event: Placed) -> Order:
        return Order(total=event.total)

    @made.on(Shipped)
    def shipped(state: Order, event: Shipped) -> Order:
        return state.model_copy(update={"shipped": True})

    return made


def record(value: Any, named: dict[str, str] | None = None, key: bytes | None = b"k", offset: int = 7) -> Record:
    """Make a record of somebody else's."""
    headers = [(name, text.encode()) for name, text in (named or {}).items()]
    return Record(0, offset, MICROS, key, value if isinstance(value, bytes) else json.dumps(value).encode(), headers)


def placed(**changes: Any) -> Any:
    """What stands in the value of an order that was placed."""
    return {"at": "2026-03-01T13:00:00+01:00", "order": {"id": "o-1", "total": 12.5, "by": "x"}} | changes


NAMED = {"eventType": "OrderPlaced", "eventId": "e-1"}


def test_each_part_of_an_event_is_taken_from_where_the_rule_says(tmp_path: Path) -> None:
    """Type, entity, id, instant and fields; fields that the class does not have are left out."""
    topic = orders(tmp_path)
    row, contributes, event = Intake(projection(topic)).read(record(placed(), NAMED), MICROS)
    assert contributes
    assert event == Placed(total=Decimal("12.5"))
    assert (row.event_type, row.entity_id, row.event_id, row.valid_from) == ("shop.order.placed", "o-1", "e-1", MICROS)
    assert row.event == topic.codec.encode(event)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Foreign(type=Always("shop.order.placed")), ("k", "orders/0/7", MICROS)),
        (Foreign(type=Always("shop.order.placed"), occurred_at=Recorded()), ("k", "orders/0/7", MICROS)),
        (
            Foreign(type=foreign.Field("type"), id=foreign.Field("number"), occurred_at=foreign.Field("ms", unit="ms")),
            ("k", "17", 1_500_000),
        ),
        (
            Foreign(type=foreign.Field("type"), entity_id=Header("h"), occurred_at=Header("s", unit="s")),
            ("from-a-header", "orders/0/7", 2_500_000),
        ),
        (
            Foreign(type=foreign.Field("type"), id=Key(), correlation_id=Header("h"), causation_id=foreign.Field("no")),
            ("k", "k", MICROS),
        ),
    ],
)
def test_sources_can_be_combined(tmp_path: Path, rule: Foreign, expected: tuple[str, str, int]) -> None:
    """Keys, headers, fields, constants, the position and the log's own time."""
    value = {"type": "shop.order.placed", "total": "1.00", "number": 17, "ms": 1_500}
    given = record(value, {"h": "from-a-header", "s": "2.5"})
    row, _, event = Intake(projection(orders(tmp_path, rule))).read(given, MICROS)
    assert event == Placed(total=Decimal(1))
    assert (row.entity_id, row.event_id, row.valid_from) == expected
    assert row.correlation_id == ("from-a-header" if rule.correlation_id else None)
    assert row.causation_id is None


def test_a_number_keeps_all_its_digits(tmp_path: Path) -> None:
    """An amount of money that went through a float would be another amount."""
    value = b'{"at": "2026-03-01T12:00:00Z", "order": {"id": "o", "total": 123456789012345678.91}}'
    *_, event = Intake(projection(orders(tmp_path))).read(record(value, NAMED), MICROS)
    assert event == Placed(total=Decimal("123456789012345678.91"))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (record(b"{secret", NAMED), "is not JSON"),
        (record(b"[" * 100_000, NAMED), "is not JSON"),
        (record(b'{"at": NaN}', NAMED), "is not JSON"),
        (record(b"\xff", NAMED), "is not JSON"),
        (record(placed(), {"eventId": "e"}), "the event's type is missing: the topic's rule takes it from the header"),
        (record(placed(), {"eventType": "OrderPlaced"}), "the event's id is missing"),
        (record(placed(), NAMED | {"eventType": "secret-less"}), "secret-less is not one of topic orders"),
        (
            record(placed(order=None), NAMED),
            "the entity's id is missing: the topic's rule takes it from the field",
        ),
        (record(placed(order={"id": ["secret"]}), NAMED), "neither a text nor a whole number"),
        (record(placed(order={"id": "\ud800"}), NAMED), "no text that has UTF-8"),
        (record(placed(order={"id": "o", "total": "secret"}), NAMED), "total: decimal_parsing"),
        (record(placed(order={"id": "o", "total": "1.999"}), NAMED), "total: decimal_max_places"),
        (record(placed(at="2026-03-01T12:00:00"), NAMED), "the field at is not an instant: it has no offset"),
        (record(placed(at="2026-03-01T12:00:00.1234567Z"), NAMED), "finer than a microsecond"),
        (record(placed(at=12), NAMED), "name its unit in the rule"),
        (record(placed(at=None), NAMED), "the field at is missing"),
        (record(b"7", NAMED), "the entity's id is missing"),
    ],
)
def test_what_the_rule_cannot_read_is_refused_with_its_place(tmp_path: Path, given: Record, reason: str) -> None:
    """Position and reason, and never what the record says."""
    with pytest.raises(MalformedRecord) as raised:
        Intake(projection(orders(tmp_path))).read(given, MICROS)
    assert "orders[0]@7" in str(raised.value)
    assert reason in str(raised.value)
    assert "secret" not in str(raised.value).replace("secret-less", "")


def test_debeziums_outbox_is_read_with_its_defaults(tmp_path: Path) -> None:
    """Key and header id as the router writes them, and a payload that a converter has put into a text."""
    intake = Intake(projection(orders(tmp_path, debezium_outbox())))
    named = {"id": "7c1c", "eventType": "shop.order.placed"}
    for value, key in ((b'{"total": 5}', b"o-9"), (json.dumps('{"total": 5}').encode(), b'"o-9"')):
        row, _, event = intake.read(record(value, named, key), MICROS)
        assert (event, row.entity_id, row.event_id) == (Placed(total=Decimal(5)), "o-9", "7c1c")


def test_a_rule_that_cannot_be_meant_is_refused_where_it_stands() -> None:
    """Not when the first record comes."""
    with pytest.raises(DeclarationError, match=r"Foreign\(type=...\) must be one of Header, Field, Always"):
        Foreign(type="eventType")  # type: ignore[arg-type]
    with pytest.raises(DeclarationError, match="'json' or 'avro'"):
        Foreign(type=Header("x"), value="xml")  # type: ignore[arg-type]


def test_another_rule_is_another_projection(tmp_path: Path) -> None:
    """A store that was built with one rule must not go on with another."""
    prints = {projection(orders(tmp_path, rule)).fingerprint for rule in (None, RULE, debezium_outbox())}
    assert len(prints) == 3


class Shop:
    """A log that others write to as well."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.topic = orders(directory / "schemas")
        self.projection = projection(self.topic)
        self.log = f"sqlite:///{directory}/log.db"

    def send(self, *records: Record) -> None:
        """Write records of somebody else's."""
        with closing(open_log(self.log)) as log:
            log.create_topic("orders", 1)
            writer = log.writer("orders")
            for each in records:
                writer.send(each.key, each.value, each.headers, lambda position, error: None)  # type: ignore[arg-type]
            writer.flush()
            writer.close()

    def project(self, store: str = "one") -> None:
        """Project to the end."""
        with Worker(self.projection, self.log, f"sqlite:///{self.directory}/{store}.db") as worker:
            worker.run(until="end")

    def rows(self, store: str) -> list[Any]:
        """Every version, as it is stored."""
        with closing(sqlite3.connect(self.directory / f"{store}.db")) as connection:
            (table,) = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '%order__1\\_versions' ESCAPE '\\'"
            ).fetchone()
            return sorted(connection.execute(f'SELECT * FROM "{table}"').fetchall())


def test_foreign_records_and_ours_make_one_history(tmp_path: Path) -> None:
    """Late ones fold again from what is stored, duplicates change nothing, and a rebuild gives the same rows."""
    shop = Shop(tmp_path)
    with Publisher(shop.topic, shop.log) as publisher:
        publisher.publish("o-1", Shipped(), occurred_at=AT.replace(hour=14))
    late = record(placed(), NAMED)
    shop.project()
    shop.send(late, late, record(placed(order={"id": "o-2", "total": 3}), NAMED | {"eventId": "e-2"}))
    shop.project()
    shop.project("two")
    with Reader(shop.projection, f"sqlite:///{tmp_path}/one.db") as reader:
        assert reader.get("o-2").require().total == 3
        # Shipped alone has no state to begin with: it was parked, and the late event healed it.
        assert reader.get("o-1").require() == Order(total=Decimal("12.5"), shipped=True)
    assert shop.rows("one") == shop.rows("two")


def test_a_record_that_cannot_be_read_parks_the_entity_that_it_names(tmp_path: Path) -> None:
    """The one of its field, and not that of its key; where even that cannot be read, nothing is parked."""
    shop = Shop(tmp_path)
    wrong = placed(order={"id": "o-1", "total": "x"})
    shop.send(
        record(placed(), NAMED),
        record(wrong, NAMED | {"eventId": "e-2"}),
        record(placed(), NAMED | {"eventId": "e-3"}),
        record(b"{", NAMED),
        record(placed(order={"id": "k", "total": 3}), NAMED | {"eventId": "e-4"}),
    )
    shop.project()
    with Reader(shop.projection, f"sqlite:///{tmp_path}/one.db") as reader:
        assert reader.get("o-1").status is Status.QUARANTINED
        assert reader.get("k").status is Status.FOUND
