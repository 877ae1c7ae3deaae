"""`fairlead roles`: what may be bound: Kubernetes groups, rules that the appliance holds to, permissions over it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ops.cli.admin import naming, written
from ops.cli.admin.desk import Desk, at
from ops.cli.admin.naming import ROLE
from ops.cli.admin.options import desk_command, yes_option
from ops.cli.lazy import Group
from ops.cli.output.kinds import Kind
from ops.cli.output.tables import Column, age

ROLES = Kind(
    "role",
    "roles",
    (
        Column("NAME", "name"),
        Column("GROUPS", "groups", yields=True),
        Column("RULES", lambda it: "; ".join(map(written.rule_words, it["rules"])) or "everything", yields=True),
        Column("PERMISSIONS", "permissions", yields=True),
        Column("AGE", "created_at", age),
        Column("DESCRIPTION", "description", wide=True, yields=True),
        Column("ID", "id", wide=True),
    ),
)

_description = click.option("--description", help="For people.")
_group = click.option("--group", "groups", multiple=True, help="A Kubernetes group that is sent; several.")
_rule = click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="'VERBS RESOURCES [NAMES]'",
    help="What may be done, as in 'get,list pods,deployments.apps' or 'get /healthz'; several. Without: everything.",
)
_permission = click.option("--permission", "permissions", multiple=True, help="Over the appliance; several.")
_file = click.option(
    "-f",
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A role as YAML or JSON with the fields that -o yaml shows; options come on top."
    " Its etag, if any, must still be true.",
)


@click.group(cls=Group)
def roles() -> None:
    """Roles: list, show, create, update, delete.

    Example: fairlead roles list
    """


@roles.command("list")
@desk_command
def listed(desk: Desk) -> None:
    """List the roles.

    Example: fairlead roles list -o wide
    """
    desk.show(ROLES, desk.every("roles"))


@roles.command()
@click.argument("role")
@desk_command
def show(desk: Desk, role: str) -> None:
    """Show one role.

    Example: fairlead roles show developer -o yaml
    """
    desk.whole(ROLES, naming.find(desk, ROLE, role))


@roles.command()
@click.argument("name", required=False)
@_description
@_group
@_rule
@_permission
@_file
@desk_command
def create(desk: Desk, name: str | None, file: Path | None, **given: Any) -> None:
    r"""Make a role. You can only put into it what you hold yourself.

    \b
    Example: fairlead roles create developer --group dev --rule 'get,list,watch pods,pods/log'
             fairlead roles create auditor --permission audit:read
             fairlead roles create -f developer.yaml
    """
    body = _body(file, given) | ({"name": name} if name else {})
    body.pop("etag", None)
    if not body.get("name"):
        raise click.UsageError("A role has a name: give it, or a file that does.")
    made = desk.api.post("roles", body)
    desk.done(ROLES, made, f"Created role {made['name']}.")


@roles.command()
@click.argument("role")
@click.option("--name", help="A new name.")
@_description
@_group
@_rule
@_permission
@_file
@desk_command
def update(desk: Desk, role: str, name: str | None, file: Path | None, **given: Any) -> None:
    r"""Change a role: what is given replaces what was there; running streams that rest on what goes end.

    \b
    Example: fairlead roles update developer --rule 'get,list pods' --rule 'get pods/log'
    """
    body = _body(file, given) | ({"name": name} if name else {})
    read = body.pop("etag", None)
    if not body:
        raise click.UsageError("Nothing to change was given.")
    path, etag = naming.to_edit(desk, ROLE, role)
    edited = desk.api.patch(path, body, str(read or etag))
    desk.done(ROLES, edited, f"Updated role {edited['name']}.")


@roles.command()
@click.argument("role")
@yes_option
@desk_command
def delete(desk: Desk, role: str, yes: bool) -> None:
    """Delete a role that nothing binds any more.

    Example: fairlead roles delete developer --yes
    """
    found = naming.find(desk, ROLE, role)
    desk.consent(f"Delete role {found['name']} ({found['id']})?", yes)
    desk.api.delete(at("roles", found["id"]))
    desk.done(ROLES, found, f"Deleted role {found['name']}.")


def _body(file: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    """What was given: a file's fields (its etag among them), and the options on top of them."""
    body = written.document(file, without=("id", "created_at")) if file is not None else {}
    rules: Sequence[str] = given.pop("rules")
    if rules:
        body["rules"] = [written.read_rule(it) for it in rules]
    body |= {name: list(value) for name, value in given.items() if isinstance(value, tuple) and value}
    return body | ({"description": given["description"]} if given["description"] is not None else {})
