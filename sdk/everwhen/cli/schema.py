"""``everwhen schema write`` and ``check``: the contract files of a topic."""

from __future__ import annotations

from pathlib import Path

import click

from everwhen.cli.group import Group
from everwhen.cli.output import printable, write_line
from everwhen.cli.targets import load_topic


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
@click.argument("target", metavar="MODULE:TOPIC")
def check(target: str) -> None:
    """Check that event classes and contract files agree, and that every version reads all earlier ones.

    Every problem is named on a line of its own: class, file, field, rule, and what to do about it.

    \b
    Example:
      everwhen schema check bank:accounts
    """
    from everwhen.event import contracts  # as above

    topic = load_topic(target)
    contracts.check(topic.schemas, topic.events, topic.evolution)
    write_line(f"topic {topic.name}: its {len(topic.events)} events agree with their contracts")


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
