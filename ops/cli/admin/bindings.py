"""`fairlead bindings`: give a role to someone, somewhere, for good or for a while; list, take away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from ops.cli.admin import naming, written
from ops.cli.admin.desk import Desk, at
from ops.cli.admin.names import Names
from ops.cli.admin.naming import BINDING, CLUSTER, PERSON, ROLE
from ops.cli.admin.options import Moment, desk_command, labels, yes_option
from ops.cli.lazy import Group
from ops.cli.output.kinds import Kind
from ops.cli.output.tables import Column, age, ahead

BINDINGS = Kind(
    "binding",
    "bindings",
    (
        Column("ID", "id"),
        Column("ROLE", "role"),
        Column("WHO", "who", yields=True),
        Column("WHERE", "where", yields=True),
        Column("ENDS", "until", ahead),
        Column("AGE", "created_at", age),
        Column("ISSUER", lambda it: it["subject"].get("issuer"), wide=True, yields=True),
        Column("REQUEST", "request_id", wide=True),
    ),
    named="id",
)


def scope_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where something holds."""
    for option in (
        click.option("--everywhere", is_flag=True, help="On every cluster, and for the appliance itself."),
        click.option(
            "-l",
            "--cluster-label",
            "chosen",
            multiple=True,
            metavar="NAME=VALUE",
            help="On clusters that carry it; several.",
        ),
        click.option(
            "-n", "--namespace", "namespaces", multiple=True, help="In this namespace of --cluster only; several."
        ),
        click.option("-c", "--cluster", help="On this cluster."),
    ):
        command = option(command)
    return command


@click.group(cls=Group)
def bindings() -> None:
    """Bindings: who has which role, where, until when.

    Example: fairlead bindings list
    """


@bindings.command("list")
@click.option("--role", help="Only of this role.")
@click.option("--user", help="Only of this user, by name; not those of their groups.")
@click.option("--group", help="Only of this group.")
@click.option("-c", "--cluster", help="Only those that reach this cluster.")
@desk_command
def listed(desk: Desk, role: str | None, user: str | None, group: str | None, cluster: str | None) -> None:
    r"""List the bindings that you may see.

    \b
    Example: fairlead bindings list --cluster prod
             fairlead bindings list --user ann@example.com -o wide
    """
    if user is not None and group is not None:
        raise click.UsageError("Give one of --user and --group.")
    found = desk.every(
        "bindings",
        role=naming.identify(desk, ROLE, role) if role is not None else None,
        subject=naming.identify(desk, PERSON, user) if user is not None else group,
        cluster=naming.identify(desk, CLUSTER, cluster) if cluster is not None else None,
    )
    if group is not None:
        found = [it for it in found if it["subject"]["kind"] == "group"]
    desk.show(BINDINGS, found, Names(desk).bound)


@bindings.command()
@click.argument("binding")
@desk_command
def show(desk: Desk, binding: str) -> None:
    """Show one binding.

    Example: fairlead bindings show binding_0123456789abcdef
    """
    desk.whole(BINDINGS, naming.find(desk, BINDING, binding), Names(desk).bound)


@bindings.command()
@click.option("--role", required=True, help="The role that is given.")
@click.option("--user", help="To this user.")
@click.option("--group", help="To whoever is in this group at the identity provider.")
@click.option("--machine", help="To this machine.")
@click.option("--email", help="To whoever first proves this e-mail at the identity provider.")
@click.option("--issuer", help="Whose group or e-mail it is; not needed while there is one provider.")
@scope_options
@click.option("--until", type=Moment(ahead=True), help="Until then: a time, or how long from now, such as 8h.")
@desk_command
def create(
    desk: Desk,
    role: str,
    issuer: str | None,
    everywhere: bool,
    cluster: str | None,
    namespaces: Sequence[str],
    chosen: Sequence[str],
    until: str | None,
    **who: str | None,
) -> None:
    r"""Give someone a role. You can only give what you hold yourself.

    \b
    Example: fairlead bindings create --role developer --user ann@example.com --cluster prod -n web -n api
             fairlead bindings create --role reader --group staff --cluster-label env=test --until 30d
             fairlead bindings create --role auditor --group security --everywhere
    """
    named = [f"{kind}:{name}" for kind, name in who.items() if name is not None]
    if len(named) != 1:
        raise click.UsageError("Give one of --user, --group, --machine and --email.")
    body = {
        "subject": written.subject(desk, named[0], issuer),
        "role_id": naming.identify(desk, ROLE, role),
        "scope": written.scope(
            desk,
            everywhere=everywhere,
            cluster=cluster,
            namespaces=namespaces,
            labels=labels(chosen, "--cluster-label"),
        ),
    }
    made = desk.api.post("bindings", body | ({"until": until} if until else {}))
    desk.done(BINDINGS, made, f"Bound role {role} to {named[0]}: {made['id']}.")


@bindings.command()
@click.argument("binding")
@yes_option
@desk_command
def delete(desk: Desk, binding: str, yes: bool) -> None:
    """Take a binding away; what runs on it ends within two seconds.

    Example: fairlead bindings delete binding_0123456789abcdef --yes
    """
    found = naming.find(desk, BINDING, binding)
    told = Names(desk).bound(found)
    desk.consent(f"Take role {told['role']} ({told['where']}) from {told['who']}?", yes)
    desk.api.delete(at("bindings", found["id"]))
    desk.done(BINDINGS, found, f"Deleted binding {found['id']}.")
