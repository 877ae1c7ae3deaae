"""Answers of commands that are about this machine and its user: in the five forms, like all others."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ops.cli.admin.options import sheet
from ops.cli.options import given
from ops.cli.output.kinds import Form, Kind
from ops.cli.output.tables import Item


def form() -> Form:
    """How the running command was asked to answer."""
    return Form(given().output)


def show(kind: Kind, items: Sequence[Item], none: str) -> None:
    """Several. `none`: what people are told if there are none."""
    _say(kind.shown(items, form(), sheet(colours=given().color)))
    if not items and form().for_people:
        click.echo(none, err=True)


def whole(kind: Kind, item: Item) -> None:
    """One, with all that is known of it."""
    _say(kind.whole(item, form(), sheet(colours=given().color)))


def _say(text: str) -> None:
    click.echo(text, nl=False, color=True)
