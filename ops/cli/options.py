"""What every command can be told, whichever it is: --profile, --account, -o, --no-color, --debug.

They may stand before the command or after it (`fairlead --debug clusters list`, `fairlead clusters list --debug`), so
they are added to every command by its class and kept in one `Options`. What always holds: no option carries a secret.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import click

from ops.cli.faults import debugging

Keep = Callable[[click.Context, click.Parameter, Any], None]
FORMATS = ("table", "wide", "json", "yaml", "name")


@dataclass(slots=True)
class Options:
    """Empty texts: not given. `output` is one of FORMATS."""

    profile: str = os.environ.get("FAIRLEAD_CLI_PROFILE", "")
    account: str = os.environ.get("FAIRLEAD_CLI_ACCOUNT", "")
    output: str = "table"
    color: bool = not os.environ.get("NO_COLOR")
    debug: bool = field(default_factory=debugging)


def given() -> Options:
    """The options of the running command."""
    context = click.get_current_context(silent=True)
    found = context.find_object(Options) if context is not None else None
    return found if found is not None else Options()


def _into(name: str, *, negated: bool = False) -> Keep:
    def keep(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value not in (None, False):
            setattr(context.ensure_object(Options), name, not negated if value is True else value)

    return keep


def everywhere() -> list[click.Option]:
    """Of every command."""
    return [
        _option("--profile", "The appliance to use, if not the usual one.", _into("profile")),
        _flag("--no-color", "No colours; so does NO_COLOR.", _into("color", negated=True)),
        _flag("--debug", "Show requests, with secrets masked.", _into("debug")),
    ]


def account_option() -> click.Option:
    """Of the command as a whole."""
    return _option("--account", "Who to be there, if not the usual one.", _into("account"))


def _option(name: str, text: str, keep: Keep) -> click.Option:
    return click.Option([name], metavar="NAME", help=text, callback=keep, expose_value=False)


def _flag(name: str, text: str, keep: Keep) -> click.Option:
    return click.Option([name], is_flag=True, help=text, callback=keep, expose_value=False)


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: `-o` for a command that prints things."""
    option = click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        expose_value=False,
        callback=_into("output"),
        help="How to print: for people, or for scripts.",
    )
    return option(command)
