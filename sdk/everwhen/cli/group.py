"""A group of commands that shows its help when none of them is named."""

from __future__ import annotations

import click

from everwhen.cli.exits import Exit


class Group(click.Group):
    """Like click's, with one behaviour for all its versions: 8.1 takes a missing command for a success."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; without any, print the help to standard error."""
        if not args and not ctx.resilient_parsing:  # a shell that completes the empty line wants no help
            click.echo(ctx.get_help(), err=True)
            ctx.exit(Exit.USAGE)
        return super().parse_args(ctx, args)
