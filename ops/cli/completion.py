"""`fairlead completion`: what a shell needs to complete our commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ops.cli.faults import Fault
from ops.cli.lazy import Command

VARIABLE = "_FAIRLEAD_COMPLETE"  # click's own, from the name of the program
SHELLS = ("bash", "zsh", "fish")


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    r"""Print the script that lets a shell complete our commands.

    \b
    Example: fairlead completion bash > ~/.local/share/bash-completion/completions/fairlead
             fairlead completion zsh > "${fpath[1]}/_fairlead"
             fairlead completion fish > ~/.config/fish/completions/fairlead.fish
    """
    from ops.cli.tree import fairlead

    made = get_completion_class(shell)
    if made is None:
        raise Fault(f"There is no completion for {shell}.")
    complete = made(fairlead, {}, "fairlead", VARIABLE)
    click.echo(complete.source_template % complete.source_vars())
