"""`fairlead version`."""

from __future__ import annotations

import click

from ops.cli.lazy import Command


@click.command(cls=Command)
def version() -> None:
    """Print the version.

    Example: fairlead version
    """
    from importlib.metadata import version as installed

    click.echo(f"fairlead {installed('fairlead')}")
