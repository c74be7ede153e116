"""``everwhen schema write`` and ``check``: the contract files of a topic."""

from __future__ import annotations

from pathlib import Path

import click

from everwhen.cli.group import Group
from everwhen.cli.output import printable, write_line
from everwhen.cli.targets import load_either, load_topic
from everwhen.errors import ContractError
from everwhen.event import Topic
from everwhen.event.modes import Mode
from everwhen.projection import Projection


@click.group(cls=Group)
def schema() -> None:
    """Write the contract files of a topic's events, and check them.

    \b
    Example:
      everwhen schema check bank:accounts
    """


@schema.command()
@click.argument("target", metavar="MODULE:TOPIC")
def write(target: str) -> None:
    """Write the next contract file of every event class that has changed, and print its path.

    A change that cannot read the events of every earlier version is refused, and then nothing is written.

    \b
    Example:
      everwhen schema write bank:accounts
    """
    from everwhen.event import contracts  # it loads fastavro, which no other command of this group's siblings needs

    topic = load_topic(target)
    written = contracts.write(topic.schemas, topic.events, topic.evolution)
    for path in written:
        write_line(printable(_short(path)))
    if not written:
        write_line(f"topic {topic.name}: the contracts of its {len(topic.events)} events are up to date")


@schema.command()
@click.argument("target", metavar="MODULE:TOPIC_OR_PROJECTION")
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in Mode]),
    help="Also compare the newest version of each event with earlier ones, as schema registries do, and print the "
    "verdicts. What has to hold anyway is backward_transitive, except where an upcaster bridges two versions.",
)
def check(target: str, mode: str | None) -> None:
    """Check that event classes and contract files agree, and that every version reads all earlier ones.

    Given a projection, it also tries whether its handlers can still take every version that was ever published: with
    examples of each contract file, edge values included, that are read, upcast, validated and applied. A line says for
    each version what came of it: readable, broken, or unproven where constraints refused all examples; in that case,
    name some by Field(examples=[...]).

    Every problem is named on a line of its own: class, file, field, rule, and what to do about it.

    \b
    Example:
      everwhen schema check bank:account
    """
    from everwhen.cli.verdicts import replay_verdicts, write_verdicts  # as above
    from everwhen.event import contracts

    found = load_either(target)
    topic = found if isinstance(found, Topic) else found.topic
    contracts.check(topic.schemas, topic.events, topic.evolution)
    write_line(f"topic {topic.name}: its {len(topic.events)} events agree with their contracts")
    problems = [] if mode is None else write_verdicts(topic, Mode(mode))
    if isinstance(found, Projection):
        problems += replay_verdicts(found)
    if problems:
        raise ContractError("\n".join(problems))


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
