"""Options that several commands have, each read in one way."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from ops.cli.admin.desk import Desk
from ops.cli.client import connected
from ops.cli.options import given, output_option
from ops.cli.output import times
from ops.cli.output.kinds import Form
from ops.cli.output.tables import Sheet


class Span(click.ParamType[int]):
    """A length of time, in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return value if isinstance(value, int) else times.read_span(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Moment(click.ParamType[str]):
    """A time, as RFC 3339: given so, as a day, or as how long from now (`ahead`) or before it."""

    name = "when"

    def __init__(self, *, ahead: bool) -> None:
        self.ahead = ahead

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return times.moment_or_span(str(value), time.time(), ahead=self.ahead)
        except ValueError as error:
            self.fail(str(error), param, ctx)


SPAN = Span()

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


def labels(given: Sequence[str], what: str = "--label") -> dict[str, str]:
    """NAME=VALUE, several."""
    found: dict[str, str] = {}
    for text in given:
        name, mark, value = text.partition("=")
        if not mark or not name:
            raise click.UsageError(f"{what} takes NAME=VALUE, and {text!r} is none.")
        found[name] = value
    return found


def desk_command(function: Callable[..., None]) -> Callable[..., None]:
    """A command that is given a `Desk`, signed in as the profile in use says, and answers as -o says."""

    @output_option
    @functools.wraps(function)
    def run(*arguments: Any, **settings: Any) -> None:
        with desk() as opened:
            function(opened, *arguments, **settings)

    return run


@contextmanager
def desk() -> Iterator[Desk]:
    """A desk for the command that runs."""
    told = given()
    with connected() as api:
        yield Desk(api, api.profile.server, Form(told.output), sheet(colours=told.color))


def sheet(*, colours: bool) -> Sheet:
    """What the terminal is like, if there is one."""
    if not sys.stdout.isatty():
        return Sheet(time.time())
    return Sheet(time.time(), shutil.get_terminal_size().columns, colours and os.environ.get("TERM") != "dumb")
