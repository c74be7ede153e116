"""``everwhen store init``, ``upgrade`` and ``check``: the tables themselves."""

from __future__ import annotations

from contextlib import closing

import click

from everwhen.cli.group import Group
from everwhen.cli.options import json_option, option, store_option
from everwhen.cli.output import to_json, write_line, write_rows
from everwhen.cli.targets import load_projection
from everwhen.connect import open_store
from everwhen.errors import StoreMismatch
from everwhen.ports.schema import Condition
from everwhen.worker import blueprint


@click.group(cls=Group)
def store() -> None:
    """Make the tables of a store, upgrade them, and check them.

    \b
    Example:
      everwhen store check --store sqlite:///bank.db
    """


@store.command()
@click.argument("targets", metavar="[MODULE:PROJECTION]...", nargs=-1)
@store_option
@option(
    "--grant", metavar="ROLE", multiple=True, help="Let a role of PostgreSQL run workers: read and write all tables."
)
@option(
    "--grant-reading", metavar="ROLE", multiple=True, help="Let a role of PostgreSQL ask: read all tables and views."
)
def init(
    targets: tuple[str, ...], *, store: str | None, grant: tuple[str, ...], grant_reading: tuple[str, ...]
) -> None:
    """Create the tables that are missing, for a worker whose role may not.

    Those that all projections share, and for each projection that is named its own and its views. A worker whose role
    may create tables does the same when it starts, so this is not needed then. What is there is left as it is. Rights
    are granted to tables that are made later by the same role too.

    \b
    Example:
      everwhen store init bank:account --store sqlite:///bank.db
    """
    projections = [load_projection(target) for target in targets]
    with closing(open_store(store)) as opened:
        schema = opened.schema()
        write_line("the tables are created" if schema.create() else "the tables are there already")
        for projection in projections:
            generation = opened.prepare(blueprint(projection))
            write_line(f"projection {projection.name}: generation {generation.number} can be written")
        for roles, writing in ((grant, True), (grant_reading, False)):
            for role in roles:
                schema.grant(role, writing=writing)
                write_line(f"role {role} may {'read and write' if writing else 'read'} them")


@store.command()
@store_option
@option("--sql", is_flag=True, help="Print the statements and execute none.")
def upgrade(*, store: str | None, sql: bool) -> None:
    """Bring the tables to the schema version of this everwhen.

    All in one transaction: where it is interrupted or fails, nothing was done. It waits for batches and questions that
    are under way, and fences every worker; one of the older everwhen is refused when it claims its partitions again, so
    start the newer ones after this. Make a backup first.

    \b
    Example:
      everwhen store upgrade --store sqlite:///bank.db
    """
    with closing(open_store(store)) as opened:
        schema = opened.schema()
        if sql:
            for statement in schema.script():
                write_line(f"{statement};")
            return
        done = schema.upgrade()
    if done.statements:
        write_line(f"upgraded from schema version {done.found} to {done.reached}: {len(done.statements)} statements")
    else:
        write_line(f"schema version {done.found}: there is nothing to upgrade")


@store.command()
@store_option
@option("--reading", is_flag=True, help="Check only what a reader needs, and not the rights to write.")
@json_option
def check(*, store: str | None, reading: bool, as_json: bool) -> None:
    """Check that the tables are of the version of this everwhen, complete, and within the rights of this role.

    Prints the generations: projection, number, version of its code, state, topic. Every problem is named on a line of
    its own, with what to do about it.

    With --json: one object with version, works_with, generations and problems.

    \b
    Example:
      everwhen store check --store sqlite:///bank.db
    """
    with closing(open_store(store)) as opened:
        found = opened.schema().check(writing=not reading)
    if as_json:
        write_line(to_json(found._asdict() | {"generations": [each._asdict() for each in found.generations]}))
    else:
        _show(found)
    if found.problems:
        raise StoreMismatch("\n".join(found.problems))


def _show(found: Condition) -> None:
    if found.version is not None:
        click.echo(f"schema version {found.version}; this everwhen works with {found.works_with}", err=True)
    rows = (
        (each.projection, str(each.number), str(each.version), each.state, each.topic) for each in found.generations
    )
    write_rows(("PROJECTION", "GENERATION", "VERSION", "STATE", "TOPIC"), rows)
