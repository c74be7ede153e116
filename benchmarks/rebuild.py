"""A year of flights rebuilt while it is updated and asked: compared, switched, killed, and built by changed code.

The real broker and database, the real commands. Ten readers ask all the time for aircraft at instants whose answers
were worked out beforehand, from the events alone; a publisher adds flights of the next year, which no question is
about. Every step prints its figure; the program fails if an answer was wrong or failed, or a comparison finds what it
must not.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final, NamedTuple

import click
from examples.flights.data import events
from examples.flights.model import (
    Aircraft,
    Cancelled,
    Departed,
    Flight,
    Landed,
    aircraft,
    cancelled,
    departed,
    flights,
    landed,
)

from everwhen import Publisher, Reader
from everwhen.connect import open_log, open_store
from everwhen.errors import EverwhenError
from everwhen.testing.parts import start_kafka, start_postgres
from everwhen.worker import WorkerSettings, blueprint

READERS: Final = 10
QUESTIONS: Final = 2_000
TRICKLE_SECONDS: Final = 0.02
"""Between two events of the publisher that goes on."""
SAME, CHANGED = "examples.flights.model:aircraft", "benchmarks.changed:aircraft"


class Question(NamedTuple):
    """An aircraft, an instant, and its state then."""

    entity_id: str
    valid_at: datetime
    state: dict[str, Any] | None


class Verdict(NamedTuple):
    """What the readers of one process met."""

    answers: int
    wrong: int
    failed: int
    switches: int
    """How often the generation that answered was another one than before."""
    error: str | None


class Place(NamedTuple):
    """Where it all happens."""

    log: str
    store: str

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the commands."""
        return os.environ | {"EVERWHEN_LOG": self.log, "EVERWHEN_STORE": self.store}

    def command(self, *arguments: str) -> list[str]:
        """A command line."""
        return [sys.executable, "-m", "everwhen.cli", *arguments]

    def run(self, *arguments: str, codes: Sequence[int] = (0,)) -> tuple[float, str, str]:
        """Run a command to its end; return seconds, output and errors."""
        began = time.monotonic()
        done = subprocess.run(self.command(*arguments), env=self.variables, capture_output=True, text=True, check=False)
        if done.returncode not in codes:
            raise click.ClickException(f"everwhen {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return time.monotonic() - began, done.stdout, done.stderr

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command that goes on."""
        quiet = subprocess.DEVNULL
        return subprocess.Popen(self.command(*arguments), env=self.variables, stdout=quiet, stderr=quiet)

    def stands(self, generation: int) -> int:
        """How many offsets a generation has projected."""
        with closing(open_store(self.store)) as store:
            return sum(mark.next_offset for mark in store.reader("aircraft", generation).marks().values())

    def end(self) -> int:
        """How many offsets the log has."""
        with closing(open_log(self.log)) as log:
            bounds = log.bounds(flights.name, range(flights.partitions))
        return sum(each.end for each in bounds.values())


def questions(told: Sequence[tuple[str, Flight, datetime]], number: int) -> list[Question]:
    """Choose aircraft and instants at random, and fold their events by hand."""
    chooser = random.Random(1)
    by_aircraft: dict[str, list[tuple[datetime, int, Flight]]] = {}
    for place, (entity_id, event, occurred_at) in enumerate(told):
        by_aircraft.setdefault(entity_id, []).append((occurred_at, place, event))
    asked = []
    for entity_id in chooser.choices(sorted(by_aircraft), k=number):
        own = sorted(by_aircraft[entity_id], key=lambda each: each[:2])
        valid_at = chooser.choice(own)[0] + timedelta(seconds=chooser.choice((-1, 0, 1)))
        state: Aircraft | None = None
        for occurred_at, _, event in own:
            if occurred_at <= valid_at:
                state = fold(state, event)
        asked.append(Question(entity_id, valid_at, None if state is None else state.model_dump(mode="json")))
    return asked


def fold(state: Aircraft | None, event: Flight) -> Aircraft:
    """Apply one event as the projection does."""
    handlers: dict[type[Flight], Callable[[Any, Any], Any]] = {
        Departed: departed,
        Landed: landed,
        Cancelled: cancelled,
    }
    folded: Aircraft = handlers[type(event)](state, event)
    return folded


def ask(store: str, asked: Sequence[Question], done: Any, verdicts: Any) -> None:
    """Be half of the readers: threads that ask until it is over."""
    tally: Counter[str] = Counter()
    errors: list[str] = []

    def loop(seed: int) -> None:
        chooser = random.Random(seed)
        seen = None
        with Reader("aircraft", store) as reader:
            while not done.is_set():
                question = chooser.choice(asked)
                try:
                    answer = reader.get(question.entity_id, valid_at=question.valid_at)
                except EverwhenError as error:
                    tally["failed"] += 1
                    errors.append(f"{type(error).__name__}: {error}")
                    continue
                tally["answers"] += 1
                tally["wrong"] += answer.state != question.state
                tally["switches"] += seen not in (None, answer.basis.generation)
                seen = answer.basis.generation
                time.sleep(0.005)

    threads = [threading.Thread(target=loop, args=(seed,)) for seed in range(READERS // 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = errors[0] if errors else None
    verdicts.put(Verdict(tally["answers"], tally["wrong"], tally["failed"], tally["switches"], first))


class Readers:
    """Ten readers in two processes."""

    def __init__(self, store: str, asked: Sequence[Question]) -> None:
        context = multiprocessing.get_context("spawn")
        self._done, self._verdicts = context.Event(), context.Queue()
        arguments = (store, asked, self._done, self._verdicts)
        self._processes = [context.Process(target=ask, args=arguments) for _ in range(2)]

    def __enter__(self) -> Readers:
        for process in self._processes:
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for process in self._processes:
            process.join()

    def verdict(self) -> Verdict:
        """End them, and add up what they met."""
        self._done.set()
        one, other = self._verdicts.get(), self._verdicts.get()
        return Verdict(
            one.answers + other.answers,
            one.wrong + other.wrong,
            one.failed + other.failed,
            one.switches + other.switches,
            one.error or other.error,
        )


@contextmanager
def going_on(place: Place, told: Sequence[tuple[str, Flight, datetime]]) -> Iterator[list[int]]:
    """Publish the flights of the next year, now and then one; yield how many so far."""
    done, count = threading.Event(), [0]

    def publish() -> None:
        with Publisher(flights, place.log) as publisher:
            for entity_id, event, occurred_at in told:
                if done.wait(TRICKLE_SECONDS):
                    break
                publisher.publish(entity_id, event, occurred_at=occurred_at + timedelta(days=365))
                count[0] += 1

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield count
    finally:
        done.set()
        thread.join()


def reached(place: Place, generation: int, goal: int) -> float:
    """Wait until a generation has projected so many offsets; return the seconds."""
    began = time.monotonic()
    while place.stands(generation) < goal:
        time.sleep(0.1)
    return time.monotonic() - began


def differing(place: Place, old: int, new: int) -> tuple[float, set[str]]:
    """Compare two generations; return the seconds and the entities that differ."""
    seconds, out, _ = place.run("compare", "aircraft", str(old), str(new), "--json", codes=(0, 18))
    return seconds, {json.loads(line)["entity_id"] for line in out.splitlines()}


def say(what: str, figure: str) -> None:
    """Print one figure."""
    click.echo(f"{what:<58} {figure}")


@click.command()
@click.option("--events", "number", type=int, default=661_610, show_default=True, help="How many events of the year.")
@click.option("--processes", type=int, default=2, show_default=True, help="Of a rebuild.")
def main(number: int, processes: int) -> None:
    """Rebuild a year of flights under load, and print what it took."""
    told = list(islice(events(), number))
    asked = questions(told, QUESTIONS)
    with ExitStack() as stack:
        broker, database = stack.enter_context(start_kafka()), stack.enter_context(start_postgres())
        click.echo(f"# {broker.describe()}\n# {database.describe()}")
        place = Place(broker.address.url, database.database())
        play(place, told, asked, str(processes))


def play(place: Place, told: Sequence[tuple[str, Flight, datetime]], asked: Sequence[Question], processes: str) -> None:
    """Go through all steps."""
    with closing(open_log(place.log)) as log:
        log.create_topic(flights.name, flights.partitions)
    with Publisher(flights, place.log) as publisher:
        for entity_id, event, occurred_at in told:
            publisher.publish(entity_id, event, occurred_at=occurred_at)
    seconds, _, _ = place.run("worker", SAME, "--until-end", "--log-format", "json")
    say("projected by one worker, nothing beside it", f"{len(told) / seconds:,.0f} events/s")
    with ExitStack() as stack:
        worker = place.start("worker", SAME)
        stack.callback(worker.kill)
        readers = stack.enter_context(Readers(place.store, asked))
        published = stack.enter_context(going_on(place, told))
        whole = rebuild_beside(place, processes)
        switch_under_load(place)
        kill_in_the_middle(place, processes, whole)
        changed_code(place, told, processes)
        verdict = readers.verdict()
        say("published meanwhile", f"{published[0]:,} events")
        worker.terminate()
        stop_while_busy(place)
    say("answers to ten readers meanwhile", f"{verdict.answers:,}")
    say("  wrong, failed", f"{verdict.wrong}, {verdict.failed}")
    say("  another generation than before", f"{verdict.switches} times")
    if verdict.wrong or verdict.failed or not verdict.switches:
        raise click.ClickException(verdict.error or "answers were wrong, or no reader noticed a switch")


def rebuild_beside(place: Place, processes: str) -> float:
    """Build generation 2 by the same code, and compare; return the seconds that building took."""
    end = place.end()
    seconds, _, _ = place.run("rebuild", SAME, "--processes", processes)
    say(f"rebuilt beside it by {processes} processes, under load", f"{end / seconds:,.0f} events/s, {seconds:.0f} s")
    comparing, found = differing(place, 1, 2)
    say("compared with the running one", f"{len(found)} differences, {comparing:.0f} s")
    if found:
        raise click.ClickException(f"generations 1 and 2 differ in {sorted(found)[:5]}")
    return seconds


def switch_under_load(place: Place) -> None:
    """There, back, and there again; the worker of generation 2 keeps it up to date meanwhile."""
    worker = place.start("worker", f"{SAME}@2")
    try:
        for arguments in (("2",), ("--back",), ("2",), ("--back",)):
            seconds, _, _ = place.run("switch", "aircraft", *arguments)
            say(f"everwhen switch aircraft {arguments[0]}", f"{seconds:.1f} s, with the start of the command")
            time.sleep(2.5)  # so that every reader notices it
    finally:
        worker.terminate()
        worker.wait()


def kill_in_the_middle(place: Place, processes: str, whole: float) -> None:
    """Kill a rebuild at half of its work, with all its processes, and type it again.

    :param whole: the seconds that one took without that.
    """
    end, began = place.end(), time.monotonic()
    rebuild = subprocess.Popen(
        place.command("rebuild", SAME, "--processes", processes),
        env=place.variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    # The second one is built up to the end, so this is the third.
    while not _is_there(place, 3):
        time.sleep(0.1)
    reached(place, 3, end // 2)
    os.killpg(rebuild.pid, signal.SIGKILL)
    rebuild.wait()
    first = time.monotonic() - began
    kept = place.stands(3)
    second, _, _ = place.run("rebuild", SAME, "--processes", processes)
    say("killed in the middle, with all its processes", f"after {first:.0f} s; {kept:,} of {end:,} offsets were kept")
    most = WorkerSettings().batch_records * int(processes)
    say("  in hand and not committed, so done again", f"at most {most:,} offsets, {most / end:.1%} of all")
    cost = first + second - whole
    say(
        "  typed again",
        f"{second:.0f} s more; {cost:+.0f} s against {whole:.0f} s, with another start of all processes",
    )
    _, found = differing(place, 1, 3)
    say("  compared", f"{len(found)} differences")
    if found:
        raise click.ClickException(f"generations 1 and 3 differ in {sorted(found)[:5]}")


def changed_code(place: Place, told: Sequence[tuple[str, Flight, datetime]], processes: str) -> None:
    """Build by code with one changed handler: exactly the aircraft that it touches differ."""
    place.run("rebuild", CHANGED, "--processes", processes)
    _, found = differing(place, 1, 4)
    expected = {entity_id for entity_id, event, _ in told if isinstance(event, Cancelled)}
    say("one handler changed", f"{len(found):,} aircraft differ, {len(expected):,} have such an event")
    if found != expected:
        raise click.ClickException(f"these should not, or should: {sorted(found ^ expected)[:5]}")


def stop_while_busy(place: Place) -> None:
    """Ask a worker to stop that is in the middle of the year, in a generation of its own."""
    place.run("drop", "aircraft", "3")
    with closing(open_store(place.store)) as store:
        number = store.generations("aircraft").begin(blueprint(aircraft)).generation.number
    worker = place.start("worker", f"{SAME}@{number}")
    reached(place, number, 1)
    began = time.monotonic()
    worker.terminate()
    code, seconds = worker.wait(), time.monotonic() - began
    say("SIGTERM to a busy worker", f"exit code {code} after {seconds:.1f} s, at {place.stands(number):,} offsets")
    if code or place.stands(number) >= place.end():
        raise click.ClickException("it failed, or was not busy")


def _is_there(place: Place, generation: int) -> bool:
    with closing(open_store(place.store)) as store:
        return any(build.generation.number == generation for build in store.generations("aircraft").all())


if __name__ == "__main__":
    main()
