"""The join: what as many gets would say, in the order of the rows, in one snapshot, a chunk of rows at a time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from everwhen import Answer, Basis, Reader, Status
from everwhen.errors import ArgumentError, ClosedError, InstantError, NotStored, StoreError
from everwhen.positions import Mark
from everwhen.reader import join as join_module
from everwhen.sql import SqlStore, postgres_join
from tests.ledger import Ledger, Noted, Wiped
from tests.reader.test_reader import MINUTE, T0, Place

CHUNK = 7
Row = tuple[str, datetime]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A fresh one on each database."""
    made = Place(tmp_path)
    if request.param != "sqlite":
        made.store = request.getfixturevalue("postgres_url")
    return made


@pytest.fixture
def chunk(monkeypatch: pytest.MonkeyPatch) -> int:
    """Small chunks and smaller parts, so that a few rows are many."""
    monkeypatch.setattr(join_module, "_CHUNK", CHUNK)
    monkeypatch.setattr(postgres_join, "_AT_ONCE", 3)
    return CHUNK


def answered(answer: Answer[Ledger], *, pinned: bool) -> Any:
    """All that an answer says; whether it is final depends on whether it was asked at its basis."""
    said = {name: getattr(answer, name) for name in Answer.__slots__ if name != "final" or not pinned}
    return said, answer.state


def check_equals_gets(reader: Reader[Ledger], rows: list[Row], **known: Any) -> list[Answer[Ledger]]:
    """Join and get the same."""
    with reader.join(rows, **known) as join:
        answers = list(join)
    assert {answer.basis for answer in answers} == {join.basis}
    assert [(answer.entity_id, answer.valid_at) for answer in answers] == rows
    for (entity_id, instant), answer in zip(rows, answers, strict=True):
        same = reader.get(entity_id, valid_at=instant, **known)
        assert answered(answer, pinned=False) == answered(same, pinned=False)
        if answer.status is not Status.NOT_YET_PROJECTED:
            again = reader.get(entity_id, valid_at=instant, basis=join.basis)
            assert answered(answer, pinned=True) == answered(again, pinned=True)
    return answers


def quarantine(place: Place, entity_id: str, offset: int) -> None:
    """Park an entity."""
    engine = create_engine(place.store)
    table = "everwhen_ledger__1_entities" if engine.dialect.name == "sqlite" else "everwhen.ledger__1_entities"
    with engine.begin() as connection:
        done = connection.exec_driver_sql(
            f"update {table} set quarantined_offset = {offset} where entity_id = '{entity_id}'"
        )
        assert done.rowcount == 1
    engine.dispose()


def test_it_says_what_gets_say(place: Place, chunk: int) -> None:
    """Found, deleted, before the first event, never existed, quarantined, folded; now and in the past, shuffled."""
    *_, parked = place.tell(
        ("a", Noted(text="1"), T0),
        ("a", Noted(text="3"), T0 + 2 * MINUTE),
        ("b", Noted(text="1"), T0 + MINUTE),
        ("b", Wiped(), T0 + 2 * MINUTE),
        ("c", Noted(text="1"), T0),
    )
    with Reader(place.projection, place.store) as reader:
        first = reader.get("a").basis
        place.tell(("a", Noted(text="2"), T0 + MINUTE), ("late", Noted(text="1"), T0), depth=0)
        quarantine(place, "c", parked.offset)
        instants = [T0 + n * MINUTE / 2 for n in range(-1, 6)]
        rows = [(entity_id, instant) for entity_id in ("a", "b", "c", "late", "nobody") for instant in instants]
        rows += rows[::3]
        random.Random(1).shuffle(rows)
        now = check_equals_gets(reader, rows)
        past = check_equals_gets(reader, rows, basis=first)
        check_equals_gets(reader, rows, basis=str(first))
        assert {answer.status for answer in now} == {
            Status.FOUND,
            Status.DELETED,
            Status.BEFORE_FIRST,
            Status.NEVER_EXISTED,
            Status.QUARANTINED,
        }
        assert {answer.status for answer in past if answer.entity_id == "late"} == {Status.NEVER_EXISTED}
        assert {answer.folded for answer in now} == {False}
        assert {(answer.entity_id, answer.folded) for answer in past if answer.folded} == {("a", True)}
        watermark = reader.get("a").watermark
        assert watermark is not None
        for known_at in (T0, watermark - timedelta(microseconds=1), watermark):
            check_equals_gets(reader, rows, known_at=known_at)
        ahead = check_equals_gets(reader, rows, known_at=datetime.now(UTC) + timedelta(days=1))
        assert {answer.status for answer in ahead} == {Status.NOT_YET_PROJECTED}
        check_equals_gets(reader, rows, basis=Basis.of("ledger", {0: Mark(10**6, 1), 1: Mark(10**6, 1)}))


def test_instants_of_any_time_zone(place: Place) -> None:
    """The answer gives them in UTC, as a get does."""
    place.tell(("a", Noted(text="1"), T0))
    elsewhere = T0.astimezone(timezone(timedelta(hours=2)))
    with Reader(place.projection, place.store) as reader:
        (answer,) = reader.join([("a", elsewhere)])
        assert (answer.status, answer.valid_at, answer.valid_at.tzinfo) == (Status.FOUND, T0, UTC)


def test_rows_are_read_a_chunk_at_a_time(place: Place, chunk: int) -> None:
    """A generator of any length goes through, two chunks ahead at most; none gives nothing."""
    place.tell(("a", Noted(text="1"), T0))
    read = 0

    def rows() -> Iterator[Row]:
        nonlocal read
        for read in range(1, 1000):
            yield "a", T0 + read * MINUTE

    with Reader(place.projection, place.store) as reader:
        with reader.join(rows()) as join:
            assert read == 0
            for number, answer in enumerate(join, start=1):
                assert answer.valid_at == T0 + number * MINUTE
                assert number <= read < number + 2 * chunk
        assert number == 999
        assert list(reader.join([])) == []
        assert list(reader.join(iter(()))) == []


def test_what_is_projected_meanwhile_is_not_seen(place: Place, chunk: int) -> None:
    """All chunks answer from one snapshot, also what is folded."""
    place.tell(("a", Noted(text="1"), T0), ("b", Noted(text="1"), T0))
    with Reader(place.projection, place.store) as reader:
        join, answers = reader.join([("a", T0 + MINUTE), ("b", T0)] * 10), []
        for number, answer in enumerate(join):
            answers.append(answer)
            if number % 6 == 0:
                place.tell(("a", Noted(text="more"), T0 + MINUTE), (f"new-{number}", Noted(text="1"), T0))
        assert [answer.require().notes for answer in answers] == [["1"], ["1"]] * 10
        assert {answer.basis for answer in answers} == {join.basis}
        assert reader.get("a").basis != join.basis
        plain = list(reader.join([("a", T0 + MINUTE), ("new-0", T0)], basis=join.basis))
        assert [answer.state and answer.state.notes for answer in plain] == [["1"], None]


def test_it_is_used_once_and_frees_its_connection(place: Place, chunk: int) -> None:
    """Used up, left early, closed, failed: an engine with one connection can go on."""
    place.tell(("a", Noted(text="1"), T0))
    engine = create_engine(place.store, pool_size=1, max_overflow=0, pool_timeout=0.5)
    rows = [("a", T0)] * 20

    def failing() -> Iterator[Row]:
        yield from rows
        raise ZeroDivisionError

    with Reader(place.projection, engine) as reader:
        used_up = reader.join(rows)
        assert len(list(used_up)) == 20
        for _ in range(3):
            with reader.join(rows) as left:
                next(iter(left))
            reader.get("a")
        closed = reader.join(rows)
        closed.close()
        closed.close()
        for join in (used_up, left, closed):
            with pytest.raises(ClosedError, match="ask for a new one"):
                list(join)
        with pytest.raises(ZeroDivisionError):
            list(reader.join(failing()))
        with pytest.raises(ArgumentError):
            list(reader.join([*rows, None]))  # type: ignore[list-item]
        assert reader.get("a").status is Status.FOUND
    engine.dispose()


@pytest.mark.parametrize(
    ("row", "error", "said"),
    [
        (None, ArgumentError, "row 9 is not a pair"),
        (("secret",), ArgumentError, "row 9 is not a pair"),
        (("secret", T0, "secret"), ArgumentError, "row 9 is not a pair"),
        (("", T0), ArgumentError, "row 9: entity_id must be"),
        ((7, T0), ArgumentError, "row 9: entity_id must be"),
        (("id-1", "secret"), InstantError, "row 9, entity 'id-1': the instant must be an aware datetime, not str"),
        (("id-1", None), InstantError, "row 9, entity 'id-1': the instant must be an aware datetime, not NoneType"),
        (("id-1", datetime(2026, 3, 1)), InstantError, "row 9, entity 'id-1': the instant is a naive"),  # noqa: DTZ001
    ],
)
def test_a_row_that_cannot_be_meant_is_named(
    place: Place, chunk: int, row: Any, error: type[Exception], said: str
) -> None:
    """By its number; the rows before it are answered, in its chunk too."""
    place.tell(("a", Noted(text="1"), T0))
    with Reader(place.projection, place.store) as reader:
        join = iter(reader.join([*[("a", T0)] * 9, row, ("a", T0)]))
        assert [answer.status for answer in islice(join, 9)] == [Status.FOUND] * 9
        with pytest.raises(error, match=said) as raised:
            next(join)
        assert "secret" not in str(raised.value)


def test_arguments_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    """At once, and without a connection that stays open."""
    place = Place(tmp_path)
    place.tell(("a", Noted(text="1"), T0))
    with Reader(place.projection, place.store) as reader:
        with pytest.raises(ArgumentError, match=r"an iterable of pairs.*not int"):
            reader.join(7)  # type: ignore[arg-type]
        with pytest.raises(ArgumentError, match="not both"):
            reader.join([], known_at=T0, basis=reader.get("a").basis)
        with pytest.raises(ArgumentError, match="topic other"):
            reader.join([], basis=Basis.of("other", {}))


def test_without_the_code_what_is_not_kept_cannot_be_folded(tmp_path: Path) -> None:
    """States are plain dicts, and the error is the one of a get."""
    place = Place(tmp_path)
    place.tell(("a", Noted(text="1"), T0), ("a", Noted(text="3"), T0 + 2 * MINUTE))
    with Reader("ledger", place.store) as plain:
        before = plain.get("a").basis
        place.tell(("a", Noted(text="2"), T0 + MINUTE), depth=0)
        assert [answer.state for answer in plain.join([("a", T0), ("a", T0 + MINUTE)])] == [
            {"notes": ["1"]},
            {"notes": ["1", "2"]},
        ]
        with pytest.raises(NotStored, match="Reader\\(projection"):
            list(plain.join([("a", T0 + MINUTE)], basis=before))


def test_an_error_of_the_database_is_ours(place: Place, chunk: int) -> None:
    """Also between two chunks, where no call of ours is waiting for the connection."""
    place.tell(("a", Noted(text="1"), T0))
    engine = create_engine(place.store)
    table = "everwhen_ledger__1_entities" if engine.dialect.name == "sqlite" else "everwhen.ledger__1_entities"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"alter table {table} rename to gone_now")
    engine.dispose()
    store = SqlStore(place.store)
    with Reader("ledger", place.store) as reader, pytest.raises(StoreError, match="while reading projection ledger"):
        list(reader.join([("a", T0)]))
    store.close()
