"""`fairlead explain` and `fairlead who-can`: why may someone do something or not, and who may.

Verbs and resources are written as for `kubectl auth can-i`; the appliance reads them as it would read the request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ops.cli.admin import naming
from ops.cli.admin.desk import Desk
from ops.cli.admin.names import Names
from ops.cli.admin.naming import CLUSTER, PERSON
from ops.cli.admin.options import desk_command
from ops.cli.faults import Exit
from ops.cli.lazy import Command
from ops.cli.output import clean
from ops.cli.output.kinds import Kind
from ops.cli.output.tables import Column, Item, table

CONSIDERED = (
    Column("BINDING", "id"),
    Column("ROLE", "role"),
    Column("WHO", "who", yields=True),
    Column("WHERE", "where", yields=True),
    Column("SAYS", "verdict", yields=True),
)
ABLE = Kind(
    "binding that allows it",
    "bindings that allow it",
    (
        Column("WHO", "who", yields=True),
        Column(
            "USERS", lambda it: [one["name"] for one in it["people"]] + ["…"] * it.get("truncated", False), yields=True
        ),
        Column("ROLE", "role"),
        Column("WHERE", "where", yields=True),
        Column("BINDING", "id"),
    ),
    named="id",
)


def _target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--subresource", help="Such as log, exec or scale; or write it as pods/log."),
        click.option("-n", "--namespace", help="In this namespace; without it, in all of them."),
        click.option("-c", "--cluster", required=True, help="On which cluster."),
        click.argument("name", required=False),
        click.argument("resource"),
        click.argument("verb"),
    ):
        command = option(command)
    return command


@click.command(cls=Command)
@click.argument("user")
@_target_options
@desk_command
def explain(desk: Desk, user: str, cluster: str, **wanted: str | None) -> None:
    r"""Say why a user may do something on a cluster, or not: every binding that was looked at. 1 is a no.

    \b
    Example: fairlead explain ann@example.com get pods -c prod -n web
             fairlead explain ann@example.com create pods/exec web-0 -c prod -n web
             fairlead explain ann@example.com get /metrics -c prod
    """
    person, there = naming.identify(desk, PERSON, user), naming.identify(desk, CLUSTER, cluster)
    told = desk.api.get("explain", **_query(person=person, cluster=there, **wanted))
    reason = clean.plain(told["reason"])
    lines = [reason if told["allowed"] else f"Refused: {reason}"]
    if told["groups"]:
        lines.append(f"Groups sent: {', '.join(map(clean.plain, told['groups']))}")
    if told["bindings"] and desk.form.for_people:
        lines += ["", *table(CONSIDERED, [_told(desk, it) for it in told["bindings"]], desk.sheet)]
    desk.document(told, lines)
    if not told["allowed"]:
        raise SystemExit(int(Exit.FAILED))


@click.command("who-can", cls=Command)
@_target_options
@desk_command
def who_can(desk: Desk, cluster: str, **wanted: str | None) -> None:
    r"""List who may do something on a cluster, and through which binding.

    \b
    Example: fairlead who-can delete deployments.apps -c prod -n web
             fairlead who-can get secrets database -c prod -n web
    """
    there = naming.identify(desk, CLUSTER, cluster)
    found = desk.every("who-can", **_query(cluster=there, **wanted))
    desk.show(ABLE, found, lambda it: _told(desk, it))
    if any(it.get("truncated") for it in found):
        desk.remark("Of large groups only some of the people are named.")


def _told(desk: Desk, it: Item) -> dict[str, Any]:
    names = Names(desk)
    return {**it, "who": names.subject(it["subject"]), "where": names.scope(it["scope"])}


def _query(*, resource: str | None, **given: str | None) -> dict[str, str | None]:
    """What the API is asked. `RESOURCE[.GROUP][/SUBRESOURCE]`, as kubectl writes it, or a path."""
    text = resource or ""
    if text.startswith("/"):
        given["path"] = text
    else:
        head, _, sub = text.partition("/")
        given["resource"], _, group = head.partition(".")
        given["group"] = group or None
        given["subresource"] = given.get("subresource") or sub or None
    return given
