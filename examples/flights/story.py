"""What the demo tells once everything is projected. The answers come from the store alone."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import click

from everwhen import Basis, Publisher, Reader, Worker
from examples.flights.model import Aircraft, Departed, Flight, Landed, aircraft, flights

TAIL = "N725MQ"
NOON = datetime(2013, 7, 4, 12, tzinfo=UTC)

OWN = "DEMO-1"
"""An aircraft that the demo makes up, so that the real ones stay as they are."""
_OWN_FIRST_DAY = datetime(2014, 2, 1, tzinfo=UTC)


def tell(log: str, store: str) -> None:
    """Ask, and show the answers."""
    with Reader(aircraft, store) as reader:
        _one_aircraft(reader)
        _its_timeline(reader)
        _all_aircraft(reader)
        _late_event(reader, log, store)


def go_on(log: str, store: str) -> None:
    """Show what to type next."""
    click.secho("\nGo on with", bold=True)
    for command in (
        f"get aircraft {TAIL} --store {store} --valid-at {NOON:%Y-%m-%dT%H:%M:%SZ} --json",
        f"history aircraft {OWN} --store {store}",
        f"snapshot aircraft --store {store} --valid-at {NOON:%Y-%m-%dT%H:%M:%SZ}",
        f"worker examples.flights.model:aircraft --log {log} --store {store} --until-end",
    ):
        click.echo(f"  .venv/bin/everwhen {command}")


def _one_aircraft(reader: Reader[Aircraft]) -> None:
    _ask(f"Where was {TAIL} on 4 July 2013 at 12:00 UTC?", f'reader.get("{TAIL}", valid_at=noon)')
    answer = reader.get(TAIL, valid_at=NOON)
    state = answer.require()
    click.echo(f"  {_place(state)}, from {_minute(answer.valid_from)} until {_minute(answer.valid_to)}, with")
    click.echo(f"  {state.landings} landings and {state.miles:,} miles so far in that year")


def _its_timeline(reader: Reader[Aircraft]) -> None:
    _ask("And before and after that?", f'reader.history("{TAIL}")')
    versions = reader.history(TAIL).versions
    now = max(index for index, version in enumerate(versions) if version.valid_from <= NOON)
    for index in range(now - 3, now + 4):
        version = versions[index]
        assert version.state is not None
        mark = ">" if index == now else " "
        what = f"{version.event_type:<17} {_place(version.state):<11} {version.state.miles:>7,} miles"
        click.echo(f"{mark} {_minute(version.valid_from)}  {what}")
    click.echo(f"  and {len(versions) - 7:,} others")


def _all_aircraft(reader: Reader[Aircraft]) -> None:
    _ask("Where were all of them at that instant?", "reader.snapshot(valid_at=noon)")
    started = time.perf_counter()
    answers = list(reader.snapshot(valid_at=NOON))
    seconds = time.perf_counter() - started
    gone = [a.valid_from for a in answers if a.valid_from and _place(a.require()) == "in the air"]
    flying = sum(NOON - since < timedelta(hours=12) for since in gone)
    standing = Counter(airport for answer in answers if (airport := answer.require().airport) is not None)
    click.echo(f"  {len(answers):,} aircraft are known by then (read in {seconds:.2f} s); {flying} are in the air, and")
    click.echo(f"  {len(gone) - flying} more have taken off half a day ago or earlier with no landing on record")
    click.echo("  most stand at " + ", ".join(f"{airport} ({count})" for airport, count in standing.most_common(6)))


def _late_event(reader: Reader[Aircraft], log: str, store: str) -> None:
    _ask("And if an event arrives late?", f'reader.get("{OWN}", valid_at=..., basis=before)')
    # A day of its own for each time that the story is told on one log.
    day = _OWN_FIRST_DAY + timedelta(days=len(reader.history(OWN)))

    def happen(*events: tuple[float, Flight]) -> None:
        with Publisher(flights, log) as publisher:
            for hours, event in events:
                publisher.publish(OWN, event, occurred_at=day + timedelta(hours=hours))
        with Worker(aircraft, log, store) as worker:
            worker.run(until="end")

    def show(label: str, basis: Basis | None = None) -> Basis:
        answers = [reader.get(OWN, valid_at=day + timedelta(hours=hour), basis=basis) for hour in (10, 18)]
        seen = [(_place(state), state.miles) for state in (answer.require() for answer in answers)]
        click.echo(f"    {label:18}" + "".join(f"{f'{place}, {miles:,} miles':26}" for place, miles in seen).rstrip())
        return answers[0].basis

    happen(
        (8, Departed(carrier="UA", flight=1, origin="JFK", dest="BOS")),
        (12, Departed(carrier="UA", flight=2, origin="BOS", dest="ORD")),
        (14.5, Landed(carrier="UA", flight=2, origin="BOS", dest="ORD", distance=867, air_time=150)),
    )
    click.echo(f"  {OWN} left JFK on {day.day} {day:%B %Y} at 08:00 and BOS at 12:00, and landed at ORD at 14:30.")
    click.echo(f"    {'':18}{'at 10:00':26}at 18:00")
    before = show("known so far")
    happen((8.75, Landed(carrier="UA", flight=1, origin="JFK", dest="BOS", distance=187, air_time=45)))
    click.echo("  Only now we learn that it had landed at BOS at 08:45.")
    show("known now")
    show("as known before", before)


def _ask(question: str, call: str) -> None:
    click.secho(f"\n{question}", bold=True, nl=False)
    click.secho(f"  {call}", dim=True)


def _place(state: Aircraft) -> str:
    if state.airport is not None:
        return state.airport
    return "in the air" if state.departures else "not seen yet"


def _minute(instant: datetime | None) -> str:
    return "now on" if instant is None else f"{instant:%Y-%m-%d %H:%M}"
