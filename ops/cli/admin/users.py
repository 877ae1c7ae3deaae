"""`fairlead users`: people as the appliance knows them: list, show with what they hold, disable, enable, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from ops.cli.admin import naming
from ops.cli.admin.bindings import BINDINGS
from ops.cli.admin.desk import Desk, at
from ops.cli.admin.names import Names
from ops.cli.admin.naming import PERSON
from ops.cli.admin.options import desk_command, yes_option
from ops.cli.lazy import Group
from ops.cli.output.kinds import Kind
from ops.cli.output.tables import Column, age, table

USERS = Kind(
    "user",
    "users",
    (
        Column("NAME", "name", yields=True),
        Column("EMAIL", "email", yields=True),
        Column("STATE", lambda it: "enabled" if it["enabled"] else "disabled", tone=True),
        Column("GROUPS", "groups", yields=True),
        Column("AGE", "created_at", age),
        Column("ISSUER", "issuer", wide=True, yields=True),
        Column("SUBJECT", "subject", wide=True, yields=True),
        Column("ID", "id", wide=True),
    ),
)


@click.group(cls=Group)
def users() -> None:
    """Users: list, show, make known, change, disable, enable, delete.

    Example: fairlead users list
    """


@users.command("list")
@click.option("--disabled", is_flag=True, help="Only those who are disabled.")
@click.option("--group", help="Only those in this group.")
@desk_command
def listed(desk: Desk, disabled: bool, group: str | None) -> None:
    r"""List the users.

    \b
    Example: fairlead users list --group staff
             fairlead users list --disabled -o name
    """
    desk.show(USERS, desk.every("people", group=group, enabled="false" if disabled else None))


@users.command()
@click.argument("user")
@desk_command
def show(desk: Desk, user: str) -> None:
    """Show one user, and what is bound to them or their groups.

    Example: fairlead users show ann@example.com
    """
    person = naming.find(desk, PERSON, user)
    desk.whole(USERS, person)
    if not desk.form.for_people:
        return
    held = [it for it in desk.every("bindings") if _holds(person, it["subject"])]
    names = Names(desk)
    lines = table(BINDINGS.columns[:6], [{**it, **names.bound(it)} for it in held], desk.sheet)
    desk.said("".join(f"{line}\n" for line in ["", *(lines if held else ["No bindings."])]))


@users.command()
@click.argument("name")
@click.option("--issuer", required=True, help="The identity provider's issuer URL.")
@click.option("--subject", required=True, help="The user's `sub` there.")
@click.option("--email", help="An e-mail; a label, and no proof of anything.")
@click.option("--email-verified", is_flag=True, help="What was bound to that e-mail beforehand is theirs.")
@click.option("--group", "groups", multiple=True, help="A group; several.")
@desk_command
def create(desk: Desk, name: str, email: str | None, groups: Sequence[str], **given: Any) -> None:
    r"""Make a user known before they sign in. Who signs in becomes known by that: this is seldom needed.

    \b
    Example: fairlead users create ann@example.com --issuer https://id.example.com --subject 4711
    """
    body = {"name": name, "groups": list(groups), **given} | ({"email": email} if email else {})
    made = desk.api.post("people", body)
    desk.done(USERS, made, f"Created user {made['name']}.")


@users.command()
@click.argument("user")
@click.option("--email", help="Another e-mail.")
@click.option("--group", "groups", multiple=True, help="In these groups from now on; several.")
@click.option("--no-groups", is_flag=True, help="In no group.")
@desk_command
def update(desk: Desk, user: str, email: str | None, groups: Sequence[str], no_groups: bool) -> None:
    """Change a user's e-mail and groups. A provider that names groups has the last word at the next sign-in.

    Example: fairlead users update ann@example.com --group staff --group web
    """
    if bool(groups) == no_groups and (groups or email is None):
        raise click.UsageError("Give what is to change: --email, and --group or --no-groups.")
    body: dict[str, Any] = {"groups": list(groups)} if groups or no_groups else {}
    path, etag = naming.to_edit(desk, PERSON, user)
    edited = desk.api.patch(path, body | ({"email": email} if email is not None else {}), etag)
    desk.done(USERS, edited, f"Updated user {edited['name']}.")


@users.command()
@click.argument("user")
@yes_option
@desk_command
def disable(desk: Desk, user: str, yes: bool) -> None:
    """Disable a user: sessions, credentials and streams end, and nobody gets new ones for them.

    Example: fairlead users disable ann@example.com --yes
    """
    found = naming.find(desk, PERSON, user)
    desk.consent(f"Disable user {found['name']} ({found['id']}), and end all they run?", yes)
    edited = desk.api.post(at("people", found["id"], "disable"))
    desk.done(USERS, edited, f"Disabled user {edited['name']}.")


@users.command()
@click.argument("user")
@desk_command
def enable(desk: Desk, user: str) -> None:
    """Enable a user again, with everything that is bound to them. What was issued before stays refused.

    Example: fairlead users enable ann@example.com
    """
    edited = desk.api.post(_path(desk, user) + "/enable")
    desk.done(USERS, edited, f"Enabled user {edited['name']}.")


@users.command()
@click.argument("user")
@yes_option
@desk_command
def delete(desk: Desk, user: str, yes: bool) -> None:
    """Delete a user with all that is bound to them. Signing in again makes somebody new of them.

    Example: fairlead users delete ann@example.com --yes
    """
    found = naming.find(desk, PERSON, user)
    desk.consent(f"Delete user {found['name']} ({found['id']}), with all that is bound to them?", yes)
    desk.api.delete(at("people", found["id"]))
    desk.done(USERS, found, f"Deleted user {found['name']}.")


def _path(desk: Desk, user: str) -> str:
    return at("people", naming.identify(desk, PERSON, user))


def _holds(person: Any, subject: dict[str, Any]) -> bool:
    if subject["kind"] == "group":
        return subject["id"] in person["groups"] and subject["issuer"] == person["issuer"]
    return bool(subject["id"] == person["id"])
