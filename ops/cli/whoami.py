"""`fairlead whoami` and `fairlead status`: who one is at the appliance in use, and what one can reach there."""

from __future__ import annotations

import click

from ops.cli import keeping, profiles
from ops.cli.admin.desk import Desk
from ops.cli.admin.options import desk_command
from ops.cli.lazy import Command
from ops.cli.options import given
from ops.cli.output.kinds import Kind
from ops.cli.output.tables import Column, ahead

ME = Kind(
    "account",
    "accounts",
    (
        Column("NAME", "name"),
        Column("SERVER", "server"),
        Column("EMAIL", "email"),
        Column("GROUPS", "groups"),
        Column("CLUSTERS", "clusters"),
        Column("PERMISSIONS", "permissions"),
        Column("SIGNED IN UNTIL", lambda it: it["session"]["ends_at"], ahead),
        Column("ISSUER", "issuer"),
        Column("ID", "id"),
    ),
)
STATUS = Kind(
    "status",
    "statuses",
    (
        Column("SERVER", "server"),
        Column("PROFILE", "profile"),
        Column("ACCOUNT", "account"),
        Column("SIGNED IN UNTIL", "signed_in_until", ahead),
        Column("SECRETS IN", "secrets_in"),
        Column("CONNECTED", lambda it: [one["name"] for one in it["clusters"] if one["connected"]]),
        Column("NOT CONNECTED", lambda it: [one["name"] for one in it["clusters"] if not one["connected"]]),
        Column("GRANTS", lambda it: [f"{one['id']} until {one['until']}" for one in it["grants"]]),
    ),
    named="server",
)


@click.command(cls=Command)
@desk_command
def whoami(desk: Desk) -> None:
    """Say who you are to the appliance, and what you may do there.

    Example: fairlead whoami -o json
    """
    desk.whole(ME, {**desk.api.get("me"), "server": desk.server})


@click.command(cls=Command)
@desk_command
def status(desk: Desk) -> None:
    """Say where you are signed in and until when, which clusters you can reach, and what is granted to you for a while.

    Example: fairlead status
    """
    profile, me = profiles.read().chosen(given().profile), desk.api.get("me")
    granted = desk.every("me/access-requests", state="approved")
    shown = {
        "server": desk.server,
        "profile": profile.name,
        "account": me["name"],
        "signed_in_until": me["session"]["ends_at"],
        "secrets_in": keeping.where(profile.name, given().account or profile.account),
        "clusters": desk.every("me/clusters"),
        "grants": [{"id": it["id"], "role_id": it["role_id"], "until": it["until"]} for it in granted],
    }
    desk.whole(STATUS, shown)
