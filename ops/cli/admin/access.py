"""`fairlead access`: ask for a role for a while, and wait for the answer; say yes or no; end a grant early."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import click

from ops.cli.admin import naming
from ops.cli.admin.desk import Desk, at
from ops.cli.admin.names import Names
from ops.cli.admin.naming import REQUEST
from ops.cli.admin.options import SPAN, desk_command, yes_option
from ops.cli.faults import Exit, Fault
from ops.cli.lazy import Group
from ops.cli.output import clean, times
from ops.cli.output.kinds import Kind, Told
from ops.cli.output.tables import Column, Item, age, ahead, length

OWN: Final = replace(REQUEST, path="me/access-requests")
POLL_SECONDS: Final = 2.0  # a person answers; nobody notices two seconds
STATES: Final = ("pending", "approved", "denied", "revoked", "expired")

REQUESTS = Kind(
    "access request",
    "access requests",
    (
        Column("ID", "id"),
        Column("STATE", "state", tone=True),
        Column("WHO", "who", yields=True),
        Column("ROLE", "role"),
        Column("WHERE", "where", yields=True),
        Column("FOR", "ttl_seconds", length),
        Column("ENDS", lambda it: it["until"] or (it["expires_at"] if it["state"] == "pending" else None), ahead),
        Column("AGE", "created_at", age),
        Column("REASON", "reason", wide=True, yields=True),
        Column("REVIEWERS", "reviewers", wide=True, yields=True),
        Column("APPROVED BY", lambda it: [yes["name"] for yes in it["approvals"]], wide=True, yields=True),
        Column("NOTE", "note", wide=True, yields=True),
        Column("CLOSED BY", "closed_by", wide=True, yields=True),
    ),
    named="id",
)
OFFERS = Kind(
    "role to ask for",
    "roles to ask for",
    (
        Column("ROLE", "role"),
        Column("CLUSTERS", lambda it: [one["name"] for one in it["clusters"]], yields=True),
        Column("NAMESPACES", lambda it: it["scope"].get("namespaces") or "all", yields=True),
        Column("YES NEEDED", "approvals"),
        Column("AT MOST", "max_seconds", length),
        Column("REASON", lambda it: "needed" if it["reason_required"] else ""),
        Column("DESCRIPTION", "description", wide=True, yields=True),
        Column("POLICY", "policy_id", wide=True),
    ),
    named="role",
)


@click.group(cls=Group)
def access() -> None:
    """Access for a while: ask, list, approve, deny, revoke.

    Example: fairlead access request --role operator --cluster prod --reason "the alert" --wait
    """


@access.command()
@desk_command
def offers(desk: Desk) -> None:
    """List what you may ask for, and where.

    Example: fairlead access offers
    """
    desk.show(OFFERS, desk.every("me/askable"))


@access.command()
@click.option("--role", required=True, help="The role you need.")
@click.option("-c", "--cluster", required=True, help="Where you need it.")
@click.option("-n", "--namespace", "namespaces", multiple=True, help="In this namespace only; several.")
@click.option("--reason", default="", help="Why.")
@click.option(
    "--for", "--duration", "seconds", type=SPAN, help="How long, such as 2h; without it, the longest there is."
)
@click.option("--reviewer", "reviewers", multiple=True, help="Whom you would like to look at it, by name; several.")
@click.option("--wait", is_flag=True, help="Wait for the answer: exit code 0 if it is yes, 1 if it is no.")
@desk_command
def request(
    desk: Desk,
    role: str,
    cluster: str,
    namespaces: Sequence[str],
    reason: str,
    seconds: int | None,
    reviewers: Sequence[str],
    wait: bool,
) -> None:
    r"""Ask for a role.

    \b
    Example: fairlead access request --role operator --cluster prod --reason "the alert" --for 2h --wait
    """
    offer, there = _offer(desk, role, cluster, namespaces)
    body: dict[str, Any] = {
        "policy_id": offer["policy_id"],
        "reason": reason,
        "scope": _scope(offer, there, namespaces),
        "reviewers": list(reviewers),
        "ttl_seconds": seconds,
    }
    asked = desk.api.post("me/access-requests", {name: it for name, it in body.items() if it not in (None, "", [])})
    if not wait:
        desk.done(REQUESTS, asked, f"Asked for role {offer['role']} on {there['name']}: {asked['id']}.")
        return
    desk.remark(f"Asked for role {offer['role']} on {there['name']}: {asked['id']}. Waiting for the answer.")
    answered = _awaited(desk, asked)
    until = f" until {answered['until']}" if answered.get("until") else ""
    why = f": {answered['note']}" if answered.get("note") else ""
    desk.done(REQUESTS, answered, f"Request {answered['id']} is {answered['state']}{until}{why}.")
    if answered["state"] != "approved":
        raise SystemExit(int(Exit.FAILED))


@access.command("list")
@click.option("--all", "everybody", is_flag=True, help="Everybody's that you may see, not only your own.")
@click.option("--state", type=click.Choice(STATES), help="Only those.")
@click.option("--active", is_flag=True, help="Only those that are granted now.")
@desk_command
def listed(desk: Desk, everybody: bool, state: str | None, active: bool) -> None:
    r"""List your access requests, the newest first, or those that wait for your answer.

    \b
    Example: fairlead access list --active
             fairlead access list --all --state pending
    """
    if active and state not in {None, "approved"}:
        raise click.UsageError("What is active is approved: give one of --active and --state.")
    wanted = "approved" if active else state
    path = "access-requests" if everybody else "me/access-requests"
    desk.show(REQUESTS, desk.every(path, state=wanted), _told(desk))


@access.command()
@click.argument("request_id")
@desk_command
def show(desk: Desk, request_id: str) -> None:
    """Show one access request, and who said what.

    Example: fairlead access show request_0123456789abcdef
    """
    desk.whole(REQUESTS, _one(desk, request_id), _told(desk))


@access.command()
@click.argument("request_id")
@click.option("--for", "--duration", "seconds", type=SPAN, help="No longer than that.")
@desk_command
def approve(desk: Desk, request_id: str, seconds: int | None) -> None:
    """Say yes. The grant begins with the last yes that is needed.

    Example: fairlead access approve request_0123456789abcdef --for 1h
    """
    body = {"ttl_seconds": seconds} if seconds is not None else {}
    agreed = desk.api.post(at("access-requests", _identity(desk, request_id), "approve"), body)
    what = f"Approved until {agreed['until']}" if agreed["state"] == "approved" else "Approved; another yes is needed"
    desk.done(REQUESTS, agreed, f"{what}: {agreed['id']}.")


@access.command()
@click.argument("request_id")
@click.option("--reason", required=True, help="What whoever asked is told.")
@desk_command
def deny(desk: Desk, request_id: str, reason: str) -> None:
    """Say no.

    Example: fairlead access deny request_0123456789abcdef --reason "use the staging cluster"
    """
    denied = desk.api.post(at("access-requests", _identity(desk, request_id), "deny"), {"reason": reason})
    desk.done(REQUESTS, denied, f"Denied: {denied['id']}.")


@access.command()
@click.argument("request_id")
@click.option("--reason", default="", help="What whoever asked is told.")
@yes_option
@desk_command
def revoke(desk: Desk, request_id: str, reason: str, yes: bool) -> None:
    """End somebody's grant; what runs on it ends within two seconds.

    Example: fairlead access revoke request_0123456789abcdef --reason "the alert is over" --yes
    """
    identity = _identity(desk, request_id)
    desk.consent(f"End the grant of {identity}, with what runs on it?", yes)
    revoked = desk.api.post(at("access-requests", identity, "revoke"), {"reason": reason} if reason else {})
    desk.done(REQUESTS, revoked, f"Revoked: {revoked['id']}.")


@access.command()
@click.argument("request_id")
@yes_option
@desk_command
def withdraw(desk: Desk, request_id: str, yes: bool) -> None:
    """Take your own request back, or give your grant up, with what runs on it.

    Example: fairlead access withdraw request_0123456789abcdef --yes
    """
    found = naming.find(desk, OWN, request_id)
    desk.consent(f"End your request {found['id']} ({found['state']})?", yes)
    desk.api.delete(at("me", "access-requests", found["id"]))
    desk.done(REQUESTS, found, f"Withdrawn: {found['id']}.")


def _offer(desk: Desk, role: str, cluster: str, namespaces: Sequence[str]) -> tuple[Item, Item]:
    """The offer that fits, and its cluster: the first the appliance names, which asks the least of others."""
    offered = desk.every("me/askable")
    of_role = [it for it in offered if role in {it["role"], it["role_id"]}]
    for it in of_role:
        there = next((one for one in it["clusters"] if cluster in {one["name"], one["id"]}), None)
        if there is not None and set(namespaces) <= set(it["scope"].get("namespaces", namespaces)):
            return it, there
    what = f"role {clean.plain(role)} on {clean.plain(cluster)}" + (" there" if namespaces else "")
    raise Fault(
        f"There is no {what} that you may ask for.",
        Exit.NOT_FOUND,
        next_step="fairlead access offers, to see what there is",
    )


def _scope(offer: Item, cluster: Item, namespaces: Sequence[str]) -> dict[str, Any] | None:
    """Where it is asked for; None: where the offer is."""
    if namespaces:
        return {"kind": "namespaces", "cluster_id": cluster["id"], "namespaces": list(namespaces)}
    if offer["scope"]["kind"] in {"cluster", "namespaces"}:
        return None
    return {"kind": "cluster", "cluster_id": cluster["id"]}


def _awaited(desk: Desk, asked: dict[str, Any]) -> dict[str, Any]:
    """The request once it is no longer pending. It ends by itself when nobody answers."""
    began = time.monotonic()
    terminal = sys.stderr.isatty()
    try:
        while asked["state"] == "pending":
            if terminal:
                click.echo(f"\rWaiting, {times.span(time.monotonic() - began):<6}", err=True, nl=False)
            desk.pause(POLL_SECONDS)
            path = at("me", "access-requests", asked["id"])
            asked = desk.until_reachable(functools.partial(desk.api.get, path))
    finally:
        if terminal:
            click.echo(f"\r{'':<20}\r", err=True, nl=False)
    return asked


def _one(desk: Desk, request_id: str) -> Any:
    """One's own, or one that one may see."""
    for noun in (OWN, REQUEST):
        try:
            return naming.find(desk, noun, request_id)
        except Fault as fault:
            if noun is REQUEST or fault.exit_code not in {Exit.NOT_FOUND, Exit.FORBIDDEN}:
                raise
    raise AssertionError


def _identity(desk: Desk, text: str) -> str:
    return naming.identify(desk, REQUEST, text)


def _told(desk: Desk) -> Told:
    names = Names(desk)

    def told(it: Item) -> Mapping[str, Any]:
        return names.bound(it)

    return told
