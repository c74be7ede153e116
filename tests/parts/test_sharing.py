"""A part is started once for all who ask, and only if somebody does."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import AuthenticationError
from typing import TYPE_CHECKING

import pytest

from everwhen.testing.parts import Endpoint, PartsError, SharedParts

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Lamp:
    """A part that only counts."""

    address: str = "lamp:1"
    stops: int = 0

    def stop(self) -> None:
        """Count."""
        self.stops += 1


@dataclass
class Bench:
    """The owner of two parts, one of which cannot be had."""

    lamp: Lamp = field(default_factory=Lamp)
    starts: int = 0
    may_start: threading.Event = field(default_factory=threading.Event)

    def start_lamp(self) -> Lamp:
        """Take as long as the test wants."""
        self.may_start.wait(20)
        self.starts += 1
        return self.lamp

    def start_ghost(self) -> Lamp:
        """Fail."""
        raise PartsError("no ghost can be had")


@pytest.fixture
def bench() -> Bench:
    """The owner's side, to look into."""
    return Bench()


@pytest.fixture
def shared(bench: Bench) -> Iterator[SharedParts]:
    """The parts of the bench; a test may close them itself."""
    shared = SharedParts({"lamp": bench.start_lamp, "ghost": bench.start_ghost})
    yield shared
    bench.may_start.set()
    shared.close()


def test_all_who_ask_get_the_same_part(bench: Bench, shared: SharedParts) -> None:
    """Two workers ask at once, before it is ready; both wait for the one start."""
    with ThreadPoolExecutor(2) as askers:
        answers = [askers.submit(shared.endpoint.get, "lamp") for _ in range(2)]
        bench.may_start.set()
        assert [answer.result() for answer in answers] == ["lamp:1", "lamp:1"]
    assert bench.starts == 1


def test_preparing_does_not_wait(bench: Bench, shared: SharedParts) -> None:
    """The parts of a test run start side by side, while other tests run."""
    shared.endpoint.prepare("lamp")
    assert shared.started() == {}
    bench.may_start.set()
    assert shared.endpoint.get("lamp") == "lamp:1"
    assert list(shared.started()) == ["lamp"]


def test_the_reason_reaches_who_asked(shared: SharedParts) -> None:
    """A part that cannot be had is the same error in every process."""
    for _ in range(2):
        with pytest.raises(PartsError, match="no ghost can be had"):
            shared.endpoint.get("ghost")
    assert shared.started() == {}


def test_who_has_no_key_gets_nothing_and_disturbs_nobody(bench: Bench, shared: SharedParts) -> None:
    """Any user of the machine can reach the port."""
    bench.may_start.set()
    with pytest.raises(AuthenticationError):
        Endpoint(shared.endpoint.port, "guessed").get("lamp")
    assert shared.endpoint.get("lamp") == "lamp:1"


def test_closing_stops_what_was_started(bench: Bench, shared: SharedParts) -> None:
    """Each part once, and those that never started not at all."""
    bench.may_start.set()
    shared.endpoint.get("lamp")
    shared.close()
    assert bench.lamp.stops == 1
