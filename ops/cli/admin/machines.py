"""`fairlead machines`: programs with rights of their own, and the tokens they show."""

from __future__ import annotations

from pathlib import Path

import click

from ops.cli.admin import naming
from ops.cli.admin.desk import Desk, at
from ops.cli.admin.naming import MACHINE
from ops.cli.admin.options import SPAN, desk_command, yes_option
from ops.cli.admin.secrets import shown_once, taken, token_out_option
from ops.cli.lazy import Group
from ops.cli.output.kinds import Kind
from ops.cli.output.tables import Column, age, ahead

MACHINES = Kind(
    "machine",
    "machines",
    (
        Column("NAME", "name"),
        Column("USER", "user", yields=True),
        Column("AGE", "created_at", age),
        Column("CREATED BY", "created_by", wide=True),
        Column("ID", "id", wide=True),
    ),
)
TOKENS = Kind(
    "token",
    "tokens",
    (
        Column("ID", "id"),
        Column("LABEL", "label", yields=True),
        Column("EXPIRES", "expires_at", ahead),
        Column("USED", "used_at", age),
        Column("AGE", "created_at", age),
        Column("BY RULE", "rule_id", wide=True),
        Column("SUBJECT", "subject", wide=True, yields=True),
    ),
    named="id",
)

_ttl = click.option("--for", "seconds", type=SPAN, help="How long the token is good, such as 30d.")


@click.group(cls=Group)
def machines() -> None:
    """Machines: list, create, delete; their tokens.

    Example: fairlead machines list
    """


@machines.command("list")
@desk_command
def listed(desk: Desk) -> None:
    """List the machines.

    Example: fairlead machines list -o wide
    """
    desk.show(MACHINES, desk.every("machines"))


@machines.command()
@click.argument("machine")
@desk_command
def show(desk: Desk, machine: str) -> None:
    """Show one machine, and the user name that its requests carry in clusters.

    Example: fairlead machines show ci
    """
    desk.whole(MACHINES, naming.find(desk, MACHINE, machine))


@machines.command()
@click.argument("name")
@click.option("--no-token", is_flag=True, help="Without a token, for one that comes by a trust rule.")
@_ttl
@token_out_option
@desk_command
def create(desk: Desk, name: str, no_token: bool, seconds: int | None, token_out: Path | None) -> None:
    r"""Make a machine. By itself it may do nothing: bind a role to it. Its token is shown this once.

    \b
    Example: fairlead machines create ci --for 90d --token-out ci.token
             fairlead machines create builds --no-token
    """
    file = taken(token_out)
    body = {"name": name, "with_token": not no_token} | ({"ttl_seconds": seconds} if seconds is not None else {})
    made = desk.api.post("machines", body)
    if no_token:
        desk.done(MACHINES, made, f"Created machine {made['name']}.")
    else:
        shown_once(desk, MACHINES, made, "token", file, f"Created machine {made['name']}.")


@machines.command()
@click.argument("machine")
@yes_option
@desk_command
def delete(desk: Desk, machine: str, yes: bool) -> None:
    """Delete a machine with its tokens and bindings; what it runs ends.

    Example: fairlead machines delete ci --yes
    """
    found = naming.find(desk, MACHINE, machine)
    desk.consent(f"Delete machine {found['name']} ({found['id']}), with its tokens and bindings?", yes)
    desk.api.delete(at("machines", found["id"]))
    desk.done(MACHINES, found, f"Deleted machine {found['name']}.")


@machines.group(cls=Group)
def tokens() -> None:
    """Tokens of a machine: list, create, delete.

    Example: fairlead machines tokens list ci
    """


@tokens.command("list")
@click.argument("machine")
@desk_command
def tokens_listed(desk: Desk, machine: str) -> None:
    """List the tokens of a machine, the newest first; never what they say.

    Example: fairlead machines tokens list ci
    """
    desk.show(TOKENS, desk.every(at("machines", naming.identify(desk, MACHINE, machine), "tokens")))


@tokens.command("create")
@click.argument("machine")
@click.option("--label", default="", help="What it is for.")
@_ttl
@token_out_option
@desk_command
def token_created(desk: Desk, machine: str, label: str, seconds: int | None, token_out: Path | None) -> None:
    """Make another token of a machine. It is shown this once.

    Example: fairlead machines tokens create ci --label runner-2 --for 30d --token-out runner-2.token
    """
    file = taken(token_out)
    body = ({"label": label} if label else {}) | ({"ttl_seconds": seconds} if seconds is not None else {})
    made = desk.api.post(at("machines", naming.identify(desk, MACHINE, machine), "tokens"), body)
    shown_once(desk, TOKENS, made, "token", file, f"Created token {made['id']}.")


@tokens.command("delete")
@click.argument("machine")
@click.argument("token_id")
@yes_option
@desk_command
def token_deleted(desk: Desk, machine: str, token_id: str, yes: bool) -> None:
    """Delete a token by its id: it opens nothing from the next call on.

    Example: fairlead machines tokens delete ci token_0123456789abcdef --yes
    """
    path = at("machines", naming.identify(desk, MACHINE, machine), "tokens", token_id)
    desk.consent(f"Delete token {token_id} of machine {machine}?", yes)
    desk.api.delete(path)
    desk.done(TOKENS, {"id": token_id}, f"Deleted token {token_id}.")
