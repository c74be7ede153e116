"""Declaring projections, folding with them, and knowing when their code changed."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel, Field, PrivateAttr

from everwhen import Envelope, Event, Projection, Topic
from everwhen.errors import DeclarationError, HandlerError
from everwhen.instants import from_micros
from everwhen.projection import Folder, columns
from everwhen.projection.fingerprint import fingerprint
from everwhen.projection.rows import Version
from tests import ledger
from tests.ledger import Ledger, Noted, Wiped


@pytest.fixture
def topic(tmp_path: Path) -> Topic:
    """The ledger's topic."""
    return ledger.topic(tmp_path)


def row(topic: Topic, event: Event, name: str = "ledger.noted") -> Version:
    """A version row with an event in it."""
    value = topic.codec.encode(event)
    return Version("e", 60_000_000, 7, 1, 61_000_000, None, None, "id-7", name, "corr", "cause", None, value, None)


@pytest.mark.parametrize("name", ["", "Account", "1st", "a__b", "a_", "_a", "a-b", "a b", 'a"b', "x" * 41, "é"])
def test_a_name_that_cannot_name_a_table_is_refused(topic: Topic, name: str) -> None:
    """Names reach SQL, so only words joined by single underscores pass."""
    with pytest.raises(DeclarationError, match="lower-case words"):
        Projection(name, version=1, topic=topic, state=Ledger)


@pytest.mark.parametrize("version", [0, -1, True, "1"])
def test_a_version_is_a_whole_number_from_one_on(topic: Topic, version: Any) -> None:
    """So that two can be told apart and ordered."""
    with pytest.raises(DeclarationError, match="version"):
        Projection("p", version=version, topic=topic, state=Ledger)


@pytest.mark.parametrize("state", [BaseModel, dict, Ledger()])
def test_a_state_is_a_model_class_of_ones_own(topic: Topic, state: Any) -> None:
    """Anything else could not be read back from JSON."""
    with pytest.raises(DeclarationError, match="pydantic model class"):
        Projection("p", version=1, topic=topic, state=state)


def test_a_class_of_another_topic_has_no_handler_here(topic: Topic) -> None:
    """A misplaced decorator is found at once."""

    class Elsewhere(Event, type="elsewhere"):
        pass

    projection = Projection("p", version=1, topic=topic, state=Ledger)
    with pytest.raises(DeclarationError, match="Elsewhere is not an event class of topic ledger"):
        projection.on(Elsewhere)


def test_one_event_class_has_one_handler_or_is_ignored(topic: Topic) -> None:
    """Never both, never two."""
    projection = ledger.projection(topic)
    with pytest.raises(DeclarationError, match="has a handler for"):
        projection.on(Noted)
    with pytest.raises(DeclarationError, match="ignores"):
        projection.on(ledger.Skipped)


def test_a_handler_takes_two_or_three_parameters_and_does_not_wait(topic: Topic) -> None:
    """Signatures that could not be called are refused where they are written."""
    projection = Projection("p", version=1, topic=topic, state=Ledger)
    bad: list[Any] = [lambda: None, lambda a: None, lambda a, b, c, d: None, lambda *, a, b: None, lambda *a: None]
    for function in bad:
        with pytest.raises(DeclarationError, match="must take"):
            projection.on(Noted)(function)

    async def waits(state: Ledger, event: Noted) -> Ledger:
        return state

    with pytest.raises(DeclarationError, match="plain function"):
        projection.on(Noted)(waits)  # type: ignore[arg-type]


def test_a_third_parameter_gets_the_envelope(topic: Topic) -> None:
    """With everything that is known about the event."""
    seen: list[Envelope[Any]] = []
    projection = Projection("p", version=1, topic=topic, state=Ledger)

    @projection.on(Noted)
    def noted(state: Ledger | None, event: Noted, envelope: Envelope[Noted]) -> Ledger:
        seen.append(envelope)
        return Ledger()

    Folder(projection).fold(None, row(topic, Noted(text="x")))
    (envelope,) = seen
    assert envelope.event == Noted(text="x")
    assert (envelope.id, envelope.type, envelope.entity_id) == ("id-7", "ledger.noted", "e")
    assert (envelope.occurred_at, envelope.recorded_at) == (from_micros(60_000_000), from_micros(61_000_000))
    assert str(envelope.position) == "ledger[1]@7"
    assert (envelope.correlation_id, envelope.causation_id) == ("corr", "cause")


class Sticky(BaseModel):
    """A state with something that JSON does not hold."""

    notes: list[str] = []
    _count: int = PrivateAttr(default=0)


def test_a_handler_gets_a_state_that_was_read_from_json_and_may_change_it(topic: Topic) -> None:
    """So results do not depend on whether the state came from memory or from the store."""
    counts: list[int] = []
    projection = Projection("p", version=1, topic=topic, state=Sticky)

    @projection.on(Noted)
    def noted(state: Sticky | None, event: Noted) -> Sticky:
        state = state or Sticky()
        counts.append(state._count)
        state._count += 1
        state.notes.append(event.text)
        return state

    folder, state = Folder(projection), None
    for text in "abc":
        state = folder.fold(state, row(topic, Noted(text=text)))
    assert state == '{"notes":["a","b","c"]}'
    assert counts == [0, 0, 0]


class Aliased(BaseModel):
    """A state whose names outside differ from those inside."""

    inner: int = Field(default=0, validation_alias="in", serialization_alias="out")


def test_states_are_kept_by_field_name_whatever_their_aliases(topic: Topic) -> None:
    """Different aliases for reading and writing do not break the round trip."""
    projection = Projection("p", version=1, topic=topic, state=Aliased)

    @projection.on(Noted)
    def noted(state: Aliased | None, event: Noted) -> Aliased:
        return (state or Aliased()).model_copy(update={"inner": (state.inner if state else 0) + 1})

    folder = Folder(projection)
    first = folder.fold(None, row(topic, Noted(text="x")))
    assert first == '{"inner":1}'
    assert folder.fold(first, row(topic, Noted(text="x"))) == '{"inner":2}'


@pytest.mark.parametrize("returned", [{"notes": []}, "text", 1, Sticky()])
def test_a_handler_that_returns_something_else_is_an_error_that_names_it(topic: Topic, returned: object) -> None:
    """Position, entity, event type and what came back; never the value."""
    projection = Projection("p", version=1, topic=topic, state=Ledger)

    @projection.on(Noted)
    def noted(state: Ledger | None, event: Noted) -> Any:
        return returned

    with pytest.raises(HandlerError) as raised:
        Folder(projection).fold(None, row(topic, Noted(text="a secret")))
    for part in ("ledger[1]@7", "'e'", "ledger.noted", type(returned).__name__, "Ledger or None"):
        assert part in str(raised.value)
    assert "secret" not in str(raised.value)


def test_an_invalid_state_is_an_error_without_its_values(topic: Topic) -> None:
    """pydantic's own message would show them."""
    projection = Projection("p", version=1, topic=topic, state=Ledger)

    @projection.on(Noted)
    def noted(state: Ledger | None, event: Noted) -> Any:
        return Ledger.model_validate({"notes": "a secret"})

    with pytest.raises(HandlerError, match="notes \\(list_type\\)") as raised:
        Folder(projection).fold(None, row(topic, Noted(text="x")))
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_deleting_gives_none(topic: Topic) -> None:
    """And the next life starts from nothing."""
    folder = Folder(ledger.projection(topic))
    assert folder.fold('{"notes":["a"]}', row(topic, Wiped(), "ledger.wiped")) is None
    assert folder.fold(None, row(topic, Noted(text="b"))) == '{"notes":["b"]}'


# -- the fingerprint ---------------------------------------------------------------------------------------------------

CODE = '''
from pydantic import BaseModel

class Inner(BaseModel):
    number: int = 0

class State(BaseModel):
    """What it is."""
    inner: list[Inner] = []

def handle(state, event):
    """Handle it."""
    # a comment
    return f"{state!r:>{10}} and {event}"
'''


def load(code: str, directory: Path, name: str) -> ModuleType:
    """Import code from a file of its own."""
    path = directory / f"{name}.py"
    path.write_text(textwrap.dedent(code))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def digest(code: str, directory: Path, name: str) -> str:
    """The fingerprint of the code."""
    module = load(code, directory, name)
    return fingerprint(module.State, {"t": module.handle})


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("    # a comment\n", "", True),
        ('"""Handle it."""', '"""Handle it differently."""', True),
        ('    """What it is."""\n', "", True),
        ("def handle(state, event):", "def handle(\n    state,\n    event,\n):", False),
        ("number: int = 0", "number: int = 1", False),
        ("inner: list[Inner] = []", "inner: list[Inner] = []\n    more: int = 0", False),
        ("and {event}", "or {event}", False),
        ("return f", "return '' + f", False),
    ],
)
def test_the_fingerprint_changes_with_the_code_and_not_with_how_it_is_explained(
    tmp_path: Path, old: str, new: str, same: bool
) -> None:
    """Comments and docstrings do not count; a nested model, a default and an f-string do."""
    assert old in CODE
    before = digest(CODE, tmp_path, f"before_{abs(hash(old))}")
    after = digest(CODE.replace(old, new), tmp_path, f"after_{abs(hash(old))}")
    assert (before == after) is same


def test_the_fingerprint_is_the_same_on_every_version_of_python(tmp_path: Path) -> None:
    """An upgrade of Python must not ask for a rebuild: this digest was made once and must never change."""
    assert digest(CODE, tmp_path, "pinned") == PINNED


PINNED = "61553c4927006af8"


def test_columns_follow_the_fields_of_the_state() -> None:
    """Typed where SQL has a type, JSON otherwise."""

    class State(BaseModel):
        name: str
        count: int | None = None
        rate: float = 0.0
        on: bool = True
        inner: list[int] = []

    assert columns(State) == (
        ("name", "text"),
        ("count", "integer"),
        ("rate", "number"),
        ("on", "boolean"),
        ("inner", "json"),
    )
