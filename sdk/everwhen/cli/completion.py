"""``everwhen completion``: what a shell needs to complete commands and options."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from everwhen.cli.output import write_line

SHELLS: Final = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", metavar="SHELL", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script with which a shell completes commands and options.

    SHELL is bash, zsh or fish. The script asks the program itself, so it need not be made again after an upgrade.

    \b
    Load it where your shell starts:
      ~/.bashrc: eval "$(everwhen completion bash)"
      ~/.zshrc: eval "$(everwhen completion zsh)"
      ~/.config/fish/config.fish: everwhen completion fish | source

    \b
    Example:
      everwhen completion bash
    """
    root = context.find_root()
    name = str(root.info_name)
    found = get_completion_class(shell)
    assert found is not None, f"click does not know {shell}"
    made = found(root.command, {}, name, f"_{name}_COMPLETE".replace("-", "_").upper())
    # Not made.source(): for bash that starts the bash of this machine to look at its version.
    write_line((made.source_template % made.source_vars()).strip())
