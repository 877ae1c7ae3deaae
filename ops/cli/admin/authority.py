"""`fairlead authority`: the certificate authority that vouches for agents, and its change for a new one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ops.cli.admin.desk import Desk
from ops.cli.admin.options import desk_command, yes_option
from ops.cli.lazy import Group
from ops.cli.output import clean


@click.group(cls=Group)
def authority() -> None:
    """The agents' certificate authority: show it, change it for a new one.

    Example: fairlead authority show
    """


@authority.command()
@desk_command
def show(desk: Desk) -> None:
    """Show what is in force, and which clusters a change waits for.

    Example: fairlead authority show
    """
    found = desk.api.get("authority")
    desk.document(found, _lines(found))


@authority.command()
@yes_option
@desk_command
def change(desk: Desk, yes: bool) -> None:
    """Make a new authority beside the one in force. Agents renew by themselves within minutes; then finish it.

    Example: fairlead authority change --yes
    """
    desk.consent("Begin the change to a new certificate authority?", yes)
    begun = desk.api.post("authority/change")
    desk.document(begun, _lines(begun))


@authority.command()
@click.option("--force", is_flag=True, help="Even if agents are cut off by it, which then need a new bundle.")
@yes_option
@desk_command
def finish(desk: Desk, force: bool, yes: bool) -> None:
    """Trust the older authority no more. Refused while an agent would be cut off.

    Example: fairlead authority finish --yes
    """
    desk.consent("Trust the older certificate authority no more?", yes)
    done = desk.api.post("authority/change/finish", {"force": True} if force else {})
    desk.document(done, _lines(done))


def _lines(found: Mapping[str, Any]) -> list[str]:
    if not found["changing"]:
        return [f"One authority is in force, since {found['since'] or 'the first start'}."]
    behind = ", ".join(map(clean.plain, found["behind"]))
    return [
        f"Two authorities are in force, the new one since {found['since']}.",
        f"Not renewed yet: {behind}." if behind else "All agents have renewed: finish the change.",
    ]
