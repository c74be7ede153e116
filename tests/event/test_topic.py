"""Topics: what can be declared, and when the contract files are read."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from everwhen.errors import ContractError, DeclarationError
from everwhen.event import Event, Topic, contracts


class Opened(Event, type="bank.opened"):
    owner: str


class Closed(Event, type="bank.closed"):
    pass


class Twin(Event, type="bank.opened"):
    pass


class Abstract(Event):
    pass


def topic(name: Any = "bank.accounts", events: Any = (Opened, Closed), **options: Any) -> Topic:
    return Topic(name, events=events, **{"schemas": "schemas", **options})


def test_a_topic_says_what_it_was_declared_with() -> None:
    """With four partitions and a source of its name, unless told otherwise."""
    declared = topic()
    assert (declared.name, declared.events, declared.schemas) == ("bank.accounts", (Opened, Closed), Path("schemas"))
    assert (declared.partitions, declared.source) == (4, "/bank.accounts")
    assert (topic(partitions=1).partitions, topic(source="urn:x").source) == (1, "urn:x")
    assert repr(declared) == "<Topic bank.accounts>"


def test_a_topic_is_a_value() -> None:
    """Equal by name and events, hashable, and not to be changed."""
    assert topic() == topic(schemas=Path("elsewhere"), partitions=9)
    assert hash(topic()) == hash(topic(events=[Opened, Closed]))
    assert topic() != topic(events=[Opened])
    assert topic() != topic("other")
    assert topic() != "bank.accounts"
    with pytest.raises(dataclasses.FrozenInstanceError):
        topic().name = "other"  # type: ignore[misc]


def test_an_event_class_is_found_by_its_type() -> None:
    """Or None, if the topic does not hold it."""
    assert topic().event_class("bank.closed") is Closed
    assert topic().event_class("bank.other") is None


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "ä", "a/b", "a" * 250, 5, None, "a\n"])
def test_a_name_that_kafka_refuses_is_refused(name: Any) -> None:
    """Here, and not by the broker."""
    with pytest.raises(DeclarationError, match="is not a topic's name; use 1 to 249 of the characters"):
        topic(name)


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ((), "has no events; name the event classes that it may hold"),
        ((Opened, Twin), "bank.opened stands for two classes; give each its own type"),
        ((Opened, Opened), "bank.opened stands for two classes; give each its own type"),
        (("bank.opened",), "'bank.opened' is not an event class; derive it from everwhen.Event"),
        ((int,), "<class 'int'> is not an event class"),
        ((Opened(owner="x"),), "is not an event class"),
        ((Abstract,), "Abstract has no event type"),
        ((Event,), "Event has no event type"),
    ],
)
def test_events_are_classes_with_types_of_their_own(events: Any, reason: str) -> None:
    """Each wrong one is named."""
    with pytest.raises(DeclarationError, match=reason):
        topic(events=events)


@pytest.mark.parametrize("partitions", [0, -1, 1.5, "4", True, None])
def test_partitions_are_counted(partitions: Any) -> None:
    """From one."""
    with pytest.raises(
        DeclarationError, match=r"topic bank\.accounts: partitions must be a whole number of at least 1"
    ):
        topic(partitions=partitions)


def test_files_are_read_at_the_first_use_and_once(tmp_path: Path) -> None:
    """Declaring needs none; an error is not kept, what was read is."""
    declared = topic(schemas=tmp_path)
    with pytest.raises(ContractError):
        _ = declared.codec
    contracts.write(declared.schemas, declared.events)
    codec = declared.codec
    (tmp_path / "bank.opened/1.avsc").unlink()
    assert declared.codec is codec
    assert declared.codec.decode(codec.encode(Opened(owner="x"))) == Opened(owner="x")


def test_a_relative_directory_starts_where_the_program_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the moment of first use; the error shows the absolute path and advises to give one."""
    declared = topic(schemas="schemas")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ContractError, match=f"there is no directory {tmp_path}/schemas of .* an absolute one is safer"):
        _ = declared.contracts
    contracts.write(tmp_path / "schemas", declared.events)
    assert {contract.type for contract in declared.contracts} == {"bank.opened", "bank.closed"}


def test_threads_can_share_a_topic(tmp_path: Path) -> None:
    """Whoever is first, all of them encode alike."""
    contracts.write(tmp_path, [Opened, Closed])
    declared = topic(schemas=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        values = set(pool.map(lambda _: declared.codec.encode(Opened(owner="x")), range(64)))
    assert len(values) == 1


def test_declaring_a_topic_loads_no_fastavro(tmp_path: Path) -> None:
    """A program that only declares its events starts without it."""
    script = (
        "import sys\n"
        "from everwhen.event import Event, Topic\n"
        "class Opened(Event, type='bank.opened'):\n    owner: str\n"
        "Topic('bank', events=[Opened], schemas='x')\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'fastavro', 'sqlalchemy', 'confluent_kafka'}))\n"
    )
    sdk = Path(sys.modules[Event.__module__].__file__ or "").parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(sdk)},
        capture_output=True,
        check=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.stdout.strip() == "[]"
