"""``everwhen outbox init``: the tables of an outbox."""

from __future__ import annotations

from contextlib import closing

import click

from everwhen.cli.group import Group
from everwhen.cli.options import option
from everwhen.cli.output import write_line
from everwhen.connect import open_outbox

outbox_option = option(
    "--outbox",
    metavar="URL",
    help="The service's database, where the outbox is: postgresql+psycopg://USER@HOST/DATABASE or sqlite:///FILE.",
)


@click.group(cls=Group)
def outbox() -> None:
    """Make the tables of an outbox.

    \b
    Example:
      everwhen outbox init --outbox sqlite:///service.db
    """


@outbox.command("init")
@outbox_option
@option("--grant-publishing", metavar="ROLE", multiple=True, help="Let a role of PostgreSQL publish: read and insert.")
@option("--grant-relaying", metavar="ROLE", multiple=True, help="Let a role of PostgreSQL run relays.")
def outbox_init(*, outbox: str | None, grant_publishing: tuple[str, ...], grant_relaying: tuple[str, ...]) -> None:
    """Create the tables that are missing. What is there is left as it is, so the command can be repeated.

    In a migration of your own, Outbox.create_tables(connection) does the same.

    \b
    Example:
      everwhen outbox init --outbox sqlite:///service.db
    """
    with closing(open_outbox(outbox)) as opened:
        write_line("the tables are created" if opened.create_tables() else "the tables are there already")
        for roles, relaying in ((grant_publishing, False), (grant_relaying, True)):
            for role in roles:
                opened.grant(role, relaying=relaying)
                write_line(f"role {role} may {'run relays' if relaying else 'publish'}")
