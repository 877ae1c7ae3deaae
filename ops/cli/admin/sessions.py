"""`fairlead sessions`: who is signed in, with what; end a session."""

from __future__ import annotations

import click

from ops.cli.admin import naming
from ops.cli.admin.desk import Desk, at
from ops.cli.admin.naming import PERSON
from ops.cli.admin.options import desk_command, yes_option
from ops.cli.lazy import Group
from ops.cli.output.kinds import Kind
from ops.cli.output.tables import Column, age, ahead

SESSIONS = Kind(
    "session",
    "sessions",
    (
        Column("ID", "id"),
        Column("USER", lambda it: it["person"] or it["person_id"], yields=True),
        Column("CLIENT", "client"),
        Column("LABEL", "label", yields=True),
        Column("ADDRESS", "address"),
        Column("USED", "used_at", age),
        Column("AGE", "created_at", age),
        Column("ENDS", "ends_at", ahead),
        Column("PROVIDER", "provider_id", wide=True),
        Column("PROVIDER ASKED", "provider_asked_at", age, wide=True),
    ),
    named="id",
)


@click.group(cls=Group)
def sessions() -> None:
    """Sessions: list your own or everybody's, end one.

    Example: fairlead sessions list
    """


@sessions.command("list")
@click.option("--all", "everybody", is_flag=True, help="Everybody's, not only your own.")
@click.option("--user", help="Only of this user.")
@desk_command
def listed(desk: Desk, everybody: bool, user: str | None) -> None:
    r"""List the sessions that are good now, the latest first: your own, unless others are asked for.

    \b
    Example: fairlead sessions list
             fairlead sessions list --user ann@example.com
    """
    if user is not None:
        found = desk.every("sessions", person=naming.identify(desk, PERSON, user))
    else:
        found = desk.every("sessions" if everybody else "me/sessions")
    desk.show(SESSIONS, found)


@sessions.command()
@click.argument("session")
@click.option("--own", is_flag=True, help="One of your own: this takes no permission.")
@yes_option
@desk_command
def end(desk: Desk, session: str, own: bool, yes: bool) -> None:
    """End a session, with the credentials got in it; what runs on those ends within two seconds.

    Example: fairlead sessions end session_0123456789abcdef --yes
    """
    desk.consent(f"End session {session}, with the credentials got in it?", yes)
    desk.api.delete(at("me", "sessions", session) if own else at("sessions", session))
    desk.done(SESSIONS, {"id": session}, f"Ended session {session}.")
