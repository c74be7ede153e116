"""``everwhen topic create`` and ``check``: a topic in the log."""

from __future__ import annotations

from contextlib import closing

import click

from everwhen.cli.exits import Exit
from everwhen.cli.group import Group
from everwhen.cli.options import json_option, kafka_option, log_option, log_target, option
from everwhen.cli.output import to_json, write_line
from everwhen.cli.targets import load_topic
from everwhen.connect import open_log
from everwhen.errors import TopicSettingsError
from everwhen.ports.log import Log


@click.group(cls=Group)
def topic() -> None:
    """Create a topic in the log, and check its settings.

    \b
    Example:
      everwhen topic check bank:accounts --log sqlite:///log.db
    """


@topic.command()
@click.argument("target", metavar="MODULE:TOPIC")
@log_option
@kafka_option
@option(
    "--partitions",
    metavar="N",
    type=click.IntRange(min=1),
    help="How many partitions; as the topic declares if left out. It cannot be changed later: entities would move from "
    "one partition to another.",
)
@option(
    "--replication",
    metavar="N",
    type=click.IntRange(min=1),
    help="How many brokers keep each partition; the log's own default if left out.",
)
def create(
    target: str, *, log: str | None, kafka: tuple[str, ...], partitions: int | None, replication: int | None
) -> None:
    """Create a topic with the settings that the guarantee needs.

    One that is there already is left as it is and checked, so the command can be repeated.

    \b
    Example:
      everwhen topic create bank:accounts --log sqlite:///log.db --partitions 8
    """
    declared = load_topic(target)
    with closing(open_log(log_target(log, kafka))) as opened:
        if opened.create_topic(declared.name, partitions or declared.partitions, replication=replication):
            write_line(f"topic {declared.name} is created with {partitions or declared.partitions} partitions")
            return
        there = opened.describe(declared.name).partitions
        if partitions not in (None, there):
            raise TopicSettingsError(
                f"topic {declared.name} is there already with {there} partitions; leave --partitions out: with another "
                "number entities would move from one partition to another and lose their order"
            )
        _check(opened, declared.name)
        write_line(f"topic {declared.name} is there already with {there} partitions")


@topic.command()
@click.argument("target", metavar="MODULE:TOPIC")
@log_option
@kafka_option
@json_option
@click.pass_context
def check(context: click.Context, target: str, *, log: str | None, kafka: tuple[str, ...], as_json: bool) -> None:
    """Check that a topic exists and that its settings lose and reorder nothing.

    Every setting that does is named on a line of its own, with its value, what it does, and the command of Kafka's own
    that sets it right. Where the brokers want a password, that command needs --command-config FILE too.

    With --json: one object with the partitions and the problems, each with setting, value, why, remedy and command. The
    exit code is the same.

    \b
    Example:
      everwhen topic check bank:accounts --log sqlite:///log.db
    """
    declared = load_topic(target)
    with closing(open_log(log_target(log, kafka))) as opened:
        there = opened.describe(declared.name).partitions
        if as_json:
            problems = [each._asdict() for each in opened.topic_problems(declared.name)]
            write_line(to_json({"topic": declared.name, "partitions": there, "problems": problems}))
            context.exit(Exit.PROBLEMS if problems else Exit.DONE)
        _check(opened, declared.name)
        write_line(f"topic {declared.name} is as it must be, with {there} partitions")


def _check(log: Log, name: str) -> None:
    if problems := log.topic_problems(name):
        raise TopicSettingsError("\n".join(f"{each}: {each.command}" for each in problems))
