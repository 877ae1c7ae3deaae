"""Groups of commands that are imported when they are called, and not before.

`fairlead version` must not pay for what `fairlead login` needs. A group knows for each name where the command is
(`module:attribute`) and its short help, so that listing them imports nothing either. What always holds: `ls` is `list`
everywhere; every command takes the options that are common to all.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from ops.cli import options
from ops.cli.faults import Exit, Fault, barrier

ALIASES: Mapping[str, str] = {"ls": "list", "rm": "delete"}


class Command(click.Command):
    """A command with the common options after its own."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        taken = {name for parameter in self.params for name in parameter.opts}
        self.params += [it for it in options.everywhere() if not taken & set(it.opts)]


class Group(click.Group):
    """A group; `lazy` maps names to (module:attribute, short help)."""

    command_class = Command
    group_class = type

    def __init__(self, *arguments: Any, lazy: Mapping[str, tuple[str, str]] | None = None, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return sorted({*self.commands, *self.lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands and cmd_name in self.lazy:
            module, _, attribute = self.lazy[cmd_name][0].partition(":")
            self.add_command(_unescaped(getattr(import_module(module), attribute)), cmd_name)
        found = super().get_command(ctx, cmd_name)
        if found is None and cmd_name in ALIASES:
            return super().get_command(ctx, ALIASES[cmd_name])
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click does it, from the short helps of what is not imported yet."""
        rows = []
        for name in self.list_commands(ctx):
            if name in self.lazy:
                rows.append((name, self.lazy[name][1]))
            elif not self.commands[name].hidden:
                rows.append((name, self.commands[name].get_short_help_str(limit=80)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _unescaped(command: click.Command) -> click.Command:
    r"""Its help with click's mark for a paragraph that is not wrapped, which a raw docstring can only spell (\\b)."""
    command.help = (command.help or "").replace("\\b\n", "\b\n")
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _unescaped(below)
    return command


class Root(Group):
    """The command itself: whatever goes wrong below ends at the barrier."""

    def main(self, *arguments: Any, **settings: Any) -> Any:
        with barrier():
            return super().main(*arguments, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """Ctrl-C is told here: click would make an exit code of its own of it."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, EOFError):
            raise Fault("Stopped.", Exit.CANCELLED) from None
