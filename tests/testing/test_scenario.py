"""Given, when, then: what it takes for right, and what it finds."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from everwhen import Envelope, Projection
from everwhen.errors import ArgumentError, InstantError
from everwhen.testing import at, correction, given, retraction
from tests import ledger
from tests.ledger import Ledger, Noted, Poison, Reset, Skipped, Wiped

T0 = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def projection(tmp_path_factory: pytest.TempPathFactory) -> Projection[Ledger]:
    """That of the tests, which bears late events."""
    return ledger.projection(ledger.topic(tmp_path_factory.mktemp("schemas")))


class Places(BaseModel):
    """What no state should hold: how events arrived."""

    last: int = 0
    late: bool = False


def notes(*texts: str) -> Ledger:
    """A state."""
    return Ledger(notes=list(texts))


def a_note(text: str) -> Noted:
    """An event."""
    return Noted(text=text)


def test_a_state_follows_from_events(projection: Projection[Ledger]) -> None:
    """Step after step; each step leaves the scenario that it began from as it was."""
    begun = given(projection, a_note("1"))
    begun.then(notes("1")).when(a_note("2"), Skipped()).then(notes("1", "2")).when(Wiped()).then(None)
    begun.when(Reset(), a_note("x")).then(notes("reset", "x"))
    given(projection).then(None)
    assert begun.state() == notes("1")


def test_events_count_from_their_own_instants(projection: Projection[Ledger]) -> None:
    """In whatever order they are told, and at one instant in the order that they are told in."""
    late = given(projection, at(T0, a_note("2")), at(T0 - MINUTE, a_note("1"))).then(notes("1", "2"))
    late.then(None, valid_at=T0 - 2 * MINUTE).then(notes("1"), valid_at=T0 - timedelta(microseconds=1))
    given(projection, at(T0, a_note("1")), at(T0, a_note("2")), at(T0, a_note("3"))).then(notes("1", "2", "3"))


def test_corrections_and_retractions(projection: Projection[Ledger]) -> None:
    """They may come before what they withdraw, and twice."""
    told = given(projection, a_note("1"), at(T0, a_note("2"), id="two"))
    told.when(correction("two", a_note("3"))).then(notes("1", "3")).when(retraction("event-1")).then(notes("3"))


def test_what_cannot_be_applied(projection: Projection[Ledger]) -> None:
    """It is expected by name, or ends the test."""
    told = given(projection, a_note("1")).when(Poison())
    told.then_parked("raised ValueError")
    with pytest.raises(AssertionError, match="for another reason"):
        told.then_parked("something else")
    with pytest.raises(AssertionError, match="delivered as published, an event cannot be applied"):
        told.then(notes("1"))
    with pytest.raises(AssertionError, match="every event could be applied"):
        given(projection, a_note("1")).then_parked()
    with pytest.raises(AssertionError, match="cannot be applied"):
        told.when(a_note("2")).then_parked()


def test_another_state_is_shown_beside_the_one_that_was_expected(projection: Projection[Ledger]) -> None:
    """With the way of delivery that gave it."""
    with pytest.raises(AssertionError, match=r"as published, the state is \{'notes': \['1'\]\}, not None"):
        given(projection, a_note("1")).then(None)


def test_handlers_that_are_not_pure_are_found(projection: Projection[Ledger]) -> None:
    """One that counts its calls, and one that looks at the order of arrival."""
    calls = itertools.count()
    source = projection.topic
    impure = Projection("impure", version=1, topic=source, state=Ledger, ignore=ledger.EVENTS[1:])

    @impure.on(Noted)
    def counted(state: Ledger | None, event: Noted) -> Ledger:
        return notes(str(next(calls)))

    with pytest.raises(AssertionError, match="two different states"):
        given(impure, a_note("1")).then(notes("0"))
    places = Projection("places", version=1, topic=source, state=Places, ignore=ledger.EVENTS[1:])

    @places.on(Noted)
    def placed(state: Places | None, event: Noted, envelope: Envelope[Noted]) -> Places:
        before, here = state or Places(), envelope.position.offset
        return Places(last=here if event.text == "1" else 0, late=before.late or here < before.last)

    with pytest.raises(AssertionError, match="delivered in the order event-2, event-1"):
        given(places, a_note("1"), a_note("2")).then(Places(last=0, late=False))
    given(places, a_note("1"), a_note("2"), orders=0).then(Places(last=0, late=False))


def test_log_order_decides_under_append(projection: Projection[Ledger]) -> None:
    """So no other order is tried, and a late event counts from the latest instant."""
    appends = ledger.projection(projection.topic, late="append")
    told = given(appends, at(T0, a_note("1")), at(T0 - MINUTE, a_note("2")))
    told.then(notes("1", "2")).then(None, valid_at=T0 - MINUTE)


def test_what_cannot_be_meant(projection: Projection[Ledger]) -> None:
    """It is refused at once."""
    told = given(projection, at(T0, a_note("1"), id="one"))
    for wrong in (at(T0, a_note("2"), id="one"), correction("two", a_note("2")), retraction("two")):
        with pytest.raises(ArgumentError, match=r"'one'|'two'"):
            told.when(wrong)
    with pytest.raises(InstantError):
        told.when(at(T0.replace(tzinfo=None), a_note("2"))).state()


def test_it_needs_no_pytest_and_the_plugin_nothing_else() -> None:
    """pytest imports the plugin in every run of everyone who has this package installed."""
    for statement, absent in (
        ("import everwhen.testing; everwhen.testing.given", ["pytest", "sqlalchemy", "confluent_kafka"]),
        (
            "import everwhen.testing.plugin",
            ["pydantic", "sqlalchemy", "confluent_kafka", "everwhen.errors"],
        ),
    ):
        code = f"import sys; {statement}; print(sorted(set({absent!r}) & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.stdout.strip() == "[]", done.stderr


def test_the_fixtures_of_the_plugin(
    tmp_path: Path, everwhen_log: str, everwhen_store: str, everwhen_postgres: str
) -> None:
    """They are there without a conftest, and give places that are empty."""
    assert everwhen_log.startswith("sqlite:///")
    assert everwhen_postgres.startswith("postgresql+psycopg://")
    (tmp_path / "test_users.py").write_text(
        "from everwhen import Reader\n"
        "from everwhen.errors import ProjectionNotFound\n"
        "import pytest\n"
        "def test_it(everwhen_log, everwhen_store):\n"
        "    with pytest.raises(ProjectionNotFound):\n"
        "        Reader('x', everwhen_store).get('e')\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "everwhen.testing.plugin", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(
        [*command, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
