"""``everwhen schema``: the contract files of a topic, and what a registry has of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from everwhen.cli.exits import Exit
from everwhen.cli.group import Group
from everwhen.cli.options import json_option, option, registry_option
from everwhen.cli.output import printable, to_json, write_line, write_rows
from everwhen.cli.targets import load_either, load_topic
from everwhen.errors import ContractError, SettingsError
from everwhen.event import Topic, event_type
from everwhen.event.modes import Mode
from everwhen.projection import Projection
from everwhen.registry import Registry, Subjects
from everwhen.registry.subjects import STRATEGIES

if TYPE_CHECKING:
    from everwhen.cli.verdicts import Pair
    from everwhen.projection.replay import Replayed
    from everwhen.registry.deploy import Difference

F = TypeVar("F", bound=Callable[..., Any])


@click.group(cls=Group)
def schema() -> None:
    """Write the contract files of a topic's events, check them, and register them.

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
@json_option
@click.pass_context
def check(context: click.Context, target: str, mode: str | None, *, as_json: bool) -> None:
    """Check that event classes and contract files agree, and that every version reads all earlier ones.

    Given a projection, it also tries whether its handlers can still take every version that was ever published: with
    examples of each contract file, edge values included, that are read, upcast, validated and applied. A line says for
    each version what came of it: readable, broken, or unproven where constraints refused all examples; in that case,
    name some by Field(examples=[...]).

    Every problem is named on a line of its own: class, file, field, rule, and what to do about it.

    With --json: one object with the topic, its events, the problems as text, the verdicts of --mode on pairs of
    versions (each with path, rule, writer and reader of what was found), and those on the projection's versions; null
    for what was not asked, or not reached because of the problems. The exit code is the same.

    \b
    Example:
      everwhen schema check bank:account
    """
    from everwhen.cli import verdicts  # as above
    from everwhen.event import contracts
    from everwhen.projection.replay import replay

    found = load_either(target)
    topic = found if isinstance(found, Topic) else found.topic
    try:
        contracts.check(topic.schemas, topic.events, topic.evolution)
    except ContractError as error:
        if not as_json:
            raise
        _write_check(topic, str(error).splitlines())
        context.exit(Exit.PROBLEMS)
    judged = None if mode is None else verdicts.pairs(topic, Mode(mode))
    replayed = replay(found) if isinstance(found, Projection) else None
    problems = list(verdicts.problems_of(judged or (), replayed or ()))
    if as_json:
        _write_check(topic, problems, judged, replayed)
        context.exit(Exit.PROBLEMS if problems else Exit.DONE)
    write_line(f"topic {topic.name}: its {len(topic.events)} events agree with their contracts")
    verdicts.write_pairs(judged or ())
    if replayed is not None:
        verdicts.write_replays(replayed)
    if problems:
        raise ContractError("\n".join(problems))


def _write_check(
    topic: Topic,
    problems: list[str],
    judged: Sequence[Pair] | None = None,
    replayed: Sequence[Replayed] | None = None,
) -> None:
    from everwhen.cli.verdicts import pair_document, replay_document  # as above

    document = {
        "topic": topic.name,
        "events": [event_type(event) for event in topic.events],
        "problems": problems,
        "versions": None if judged is None else [pair_document(each) for each in judged],
        "replay": None if replayed is None else [replay_document(each) for each in replayed],
    }
    write_line(to_json(document))


def _registry_options(command: F) -> F:
    """Declare the options that say which registry, and how its subjects are named."""
    named = option(
        "--subjects",
        type=click.Choice(STRATEGIES),
        default=STRATEGIES[0],
        show_default=True,
        help="How a subject is named: TOPIC-TYPE, TOPIC-value or TYPE.",
    )
    return registry_option(named(command))


@schema.command()
@click.argument("target", metavar="MODULE:TOPIC")
@_registry_options
def register(target: str, *, registry: str | None, subjects: Subjects) -> None:
    """Register every version of a topic's contracts that the schema registry does not have.

    For the pipeline that deploys publishers: they do not register anything themselves. Versions that are there stay as
    they are. The schema of retractions is registered too, unless all types share one subject.

    Columns: subject, version and id in the registry.

    \b
    Example:
      everwhen schema register bank:accounts --registry http://localhost:8081
    """
    from everwhen.registry import deploy

    done = deploy.register(_named(registry, subjects), load_topic(target))
    write_rows(("SUBJECT", "VERSION", "ID"), ((each.subject, str(each.version), str(each.id)) for each in done))


@schema.command()
@click.argument("target", metavar="MODULE:TOPIC")
@_registry_options
@click.pass_context
def diff(context: click.Context, target: str, *, registry: str | None, subjects: Subjects) -> None:
    """Compare a topic's contract files with what the schema registry has of them.

    Columns: subject, the contract file's number, version and id in the registry, and the verdict: same, not registered,
    or only in the registry. The exit code is 18 if anything but the same was found.

    \b
    Example:
      everwhen schema diff bank:accounts --registry http://localhost:8081
    """
    from everwhen.registry import deploy

    found = deploy.diff(_named(registry, subjects), load_topic(target))
    write_rows(("SUBJECT", "FILE", "VERSION", "ID", "VERDICT"), map(_row, found))
    context.exit(Exit.DONE if all(each.is_same for each in found) else Exit.DIFFERENT)


def _row(each: Difference) -> tuple[str, ...]:
    verdict = "same" if each.is_same else "not registered" if each.registered is None else "only in the registry"
    there = ("-", "-") if each.registered is None else (str(each.registered.version), str(each.registered.id))
    return each.subject, "-" if each.number is None else f"{each.number}.avsc", *there, verdict


def _named(target: str | None, subjects: Subjects) -> Registry:
    """Return the registry that was named.

    :raises SettingsError: if none was.
    """
    if not target:
        raise SettingsError("no registry was given; pass --registry or set EVERWHEN_REGISTRY, such as http://HOST:8081")
    return Registry(target, subjects=subjects)


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
