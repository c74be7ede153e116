"""``everwhen outbox``: the tables of an outbox, and how it stands."""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final

import click

from everwhen.cli.group import Group
from everwhen.cli.options import json_option, option
from everwhen.cli.output import to_json, write_line, write_rows
from everwhen.connect import open_outbox
from everwhen.instants import Micros
from everwhen.ports.clock import SystemClock
from everwhen.ports.outbox import SHARDS, Standing

_SECOND: Final = 1_000_000
_TITLES: Final = ("TOPIC", "WAITING", "LAG", "RELAYS", "SHARDS", "SILENT")

outbox_option = option(
    "--outbox",
    metavar="URL",
    help="The service's database, where the outbox is: postgresql+psycopg://USER@HOST/DATABASE or sqlite:///FILE.",
)


@click.group(cls=Group)
def outbox() -> None:
    """Make the tables of an outbox, and see how it stands.

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


@outbox.command("status")
@outbox_option
@json_option
def outbox_status(*, outbox: str | None, as_json: bool) -> None:
    """Print what waits in an outbox, topic by topic, and who relays it.

    Lag is the seconds since the first event that waits was published, 0 without one. Of the key space's 32 shards,
    those are counted that some relay has; silent is the seconds since any relay of the topic was last heard of.
    Columns: topic, waiting, lag, relays, shards, silent. A topic that was never relayed, and of which nothing waits, is
    not there.

    With --json: one object, with a list of topics.

    \b
    Example:
      everwhen outbox status --outbox sqlite:///service.db
    """
    with closing(open_outbox(outbox)) as opened:
        found, now = opened.standings(), SystemClock().now()
        if as_json:
            topics = [_document(each, now) for each in found]
            write_line(to_json({"outbox": opened.address, "topics": topics}))
            return
        write_rows(_TITLES, (_row(each, now) for each in found))


def _document(each: Standing, now: Micros) -> dict[str, Any]:
    return {
        "topic": each.topic,
        "waiting_events": each.events,
        "lag_seconds": _lag(each, now),
        "relays": each.relays,
        "shards_held": each.shards,
        "shards": SHARDS,
        "silent_seconds": None if each.silent is None else each.silent / _SECOND,
    }


def _row(each: Standing, now: Micros) -> tuple[str, ...]:
    silent = "-" if each.silent is None else f"{each.silent / _SECOND:.1f}"
    shards = f"{each.shards}/{SHARDS}"
    return each.topic, str(each.events), f"{_lag(each, now):.1f}", str(each.relays), shards, silent


def _lag(each: Standing, now: Micros) -> float:
    return 0.0 if each.oldest is None else max(0, now - each.oldest) / _SECOND
