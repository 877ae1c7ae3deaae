"""`fairlead policies`: which roles can be asked for: where, by whom, agreed by whom, for how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from ops.cli.admin import naming, written
from ops.cli.admin.bindings import scope_options
from ops.cli.admin.desk import Desk, at
from ops.cli.admin.names import Names
from ops.cli.admin.naming import POLICY, ROLE
from ops.cli.admin.options import SPAN, desk_command, labels, yes_option
from ops.cli.lazy import Group
from ops.cli.output.kinds import Kind, Told
from ops.cli.output.tables import Column, Item, age, length

POLICIES = Kind(
    "policy",
    "policies",
    (
        Column("ID", "id"),
        Column("ROLE", "role"),
        Column("WHERE", "where", yields=True),
        Column("ASKERS", "who_asks", yields=True),
        Column("APPROVERS", "who_approves", yields=True),
        Column("YES NEEDED", "approvals"),
        Column("AT MOST", "max_seconds", length),
        Column("REASON", lambda it: "needed" if it["reason_required"] else "", wide=True),
        Column("AGE", "created_at", age, wide=True),
    ),
    named="id",
)

_asker = click.option(
    "--asker", "askers", multiple=True, metavar="WHO", help="user:NAME, group:NAME or machine:NAME; several."
)
_approver = click.option(
    "--approver",
    "approvers",
    multiple=True,
    metavar="WHO",
    help="Only they; without any: whoever holds access:approve there.",
)
_issuer = click.option("--issuer", help="Whose groups they are; not needed while there is one provider.")
_approvals = click.option("--approvals", type=int, help="How many must say yes.")
_most = click.option("--max", "max_seconds", type=SPAN, help="The longest grant, such as 8h.")
_reason = click.option("--reason-required/--no-reason-required", default=None, help="Whether they must say why.")


@click.group(cls=Group)
def policies() -> None:
    """Request policies: list, show, create, update, delete.

    Example: fairlead policies list
    """


@policies.command("list")
@click.option("--role", help="Only for this role.")
@desk_command
def listed(desk: Desk, role: str | None) -> None:
    """List the policies that you may see.

    Example: fairlead policies list --role operator
    """
    wanted = naming.identify(desk, ROLE, role) if role is not None else None
    desk.show(POLICIES, desk.every("request-policies", role=wanted), _told(desk))


@policies.command()
@click.argument("policy")
@desk_command
def show(desk: Desk, policy: str) -> None:
    """Show one policy.

    Example: fairlead policies show policy_0123456789abcdef
    """
    desk.whole(POLICIES, naming.find(desk, POLICY, policy), _told(desk))


@policies.command()
@click.option("--role", required=True, help="The role that can be asked for.")
@scope_options
@_asker
@_approver
@_issuer
@_approvals
@_most
@_reason
@desk_command
def create(
    desk: Desk,
    role: str,
    everywhere: bool,
    cluster: str | None,
    namespaces: Sequence[str],
    chosen: Sequence[str],
    **given: Any,
) -> None:
    r"""Let people ask for a role. You can only let them ask for what you hold yourself.

    \b
    Example: fairlead policies create --role operator --cluster prod --asker group:staff --approver user:ann@example.com
             fairlead policies create --role operator --cluster prod --asker group:staff --approvals 2 --max 1h
    """
    if not given["askers"]:
        raise click.UsageError("Give --asker: a policy that nobody may use is none.")
    body = {
        "role_id": naming.identify(desk, ROLE, role),
        "scope": written.scope(
            desk,
            everywhere=everywhere,
            cluster=cluster,
            namespaces=namespaces,
            labels=labels(chosen, "--cluster-label"),
        ),
    }
    made = desk.api.post("request-policies", body | _body(desk, given))
    desk.done(POLICIES, made, f"Created policy {made['id']}.")


@policies.command()
@click.argument("policy")
@_asker
@_approver
@_issuer
@_approvals
@_most
@_reason
@desk_command
def update(desk: Desk, policy: str, **given: Any) -> None:
    """Change a policy: what is given replaces what was there. Role and scope are for its life.

    Example: fairlead policies update policy_0123456789abcdef --max 2h --approvals 2
    """
    body = _body(desk, given)
    if not body:
        raise click.UsageError("Nothing to change was given.")
    path, etag = naming.to_edit(desk, POLICY, policy)
    edited = desk.api.patch(path, body, etag)
    desk.done(POLICIES, edited, f"Updated policy {edited['id']}.")


@policies.command()
@click.argument("policy")
@yes_option
@desk_command
def delete(desk: Desk, policy: str, yes: bool) -> None:
    """Delete a policy. What waits under it is denied; what was granted stays until its end.

    Example: fairlead policies delete policy_0123456789abcdef --yes
    """
    found = naming.find(desk, POLICY, policy)
    desk.consent(f"Delete policy {found['id']}, so that nobody can ask by it?", yes)
    desk.api.delete(at("request-policies", found["id"]))
    desk.done(POLICIES, found, f"Deleted policy {found['id']}.")


def _told(desk: Desk) -> Told:
    names = Names(desk)

    def told(it: Item) -> Mapping[str, Any]:
        return {
            **names.bound(it),
            "who_asks": [names.subject(one) for one in it["askers"]],
            "who_approves": [names.subject(one) for one in it["approvers"]],
        }

    return told


def _body(desk: Desk, given: Mapping[str, Any]) -> dict[str, Any]:
    body = {
        name: [written.subject(desk, it, given["issuer"]) for it in given[name]]
        for name in ("askers", "approvers")
        if given[name]
    }
    plain = ("approvals", "max_seconds", "reason_required")
    return body | {name: given[name] for name in plain if given[name] is not None}
