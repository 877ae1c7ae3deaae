"""`fairlead credentials`: the kubeconfig credentials that were issued: list, issue one for somebody, revoke."""

from __future__ import annotations

from pathlib import Path

import click

from ops.cli.admin import naming
from ops.cli.admin.desk import Desk, at
from ops.cli.admin.naming import CLUSTER, PERSON
from ops.cli.admin.options import SPAN, desk_command, yes_option
from ops.cli.admin.secrets import shown_once, taken, token_out_option
from ops.cli.lazy import Group
from ops.cli.output.kinds import Kind
from ops.cli.output.tables import Column, age, ahead

STATES = ("live", "expired", "revoked")

CREDENTIALS = Kind(
    "credential",
    "credentials",
    (
        Column("ID", "id"),
        Column("USER", lambda it: it.get("person") or it.get("person_id"), yields=True),
        Column("CLUSTER", lambda it: it.get("cluster") or it.get("cluster_id")),
        Column("KIND", "kind"),
        Column("STATE", "state", tone=True),
        Column("EXPIRES", "expires_at", ahead),
        Column("AGE", "issued_at", age),
        Column("ISSUED BY", "issued_by", wide=True),
        Column("REASON", "reason", wide=True, yields=True),
    ),
    named="id",
)


@click.group(cls=Group)
def credentials() -> None:
    """Kubeconfig credentials: list, issue, revoke.

    Example: fairlead credentials list --state live
    """


@credentials.command("list")
@click.option("--user", help="Only of this user.")
@click.option("-c", "--cluster", help="Only for this cluster.")
@click.option("--state", type=click.Choice(STATES), help="Only those.")
@desk_command
def listed(desk: Desk, user: str | None, cluster: str | None, state: str | None) -> None:
    """List credentials, the latest first; never their tokens, which are kept nowhere.

    Example: fairlead credentials list --user ann@example.com --state live
    """
    person = naming.identify(desk, PERSON, user) if user is not None else None
    there = naming.identify(desk, CLUSTER, cluster) if cluster is not None else None
    desk.show(CREDENTIALS, desk.every("credentials", person=person, cluster=there, state=state))


@credentials.command()
@click.option("--user", required=True, help="For whom: they may do with it what is bound to them.")
@click.option("-c", "--cluster", required=True, help="For which cluster.")
@click.option("--for", "seconds", type=SPAN, help="How long it is good; 8h at most.")
@token_out_option
@desk_command
def issue(desk: Desk, user: str, cluster: str, seconds: int | None, token_out: Path | None) -> None:
    """Issue a credential for somebody, as for a tool that cannot sign in. Its token is shown this once.

    Example: fairlead credentials issue --user ann@example.com --cluster prod --for 1h --token-out ann.token
    """
    file = taken(token_out)
    body = {"person": naming.identify(desk, PERSON, user), "cluster": naming.identify(desk, CLUSTER, cluster)}
    made = desk.api.post("credentials", body | ({"ttl_seconds": seconds} if seconds is not None else {}))
    what = f"Issued credential {made['id']} for {made['server']}, good until {made['expires_at']}."
    shown_once(desk, CREDENTIALS, made, "token", file, what)


@credentials.command()
@click.argument("credential", required=False)
@click.option("--user", help="Every one that this user has got until now.")
@click.option("-c", "--cluster", help="Every one for this cluster until now.")
@click.option("--reason", default="", help="For the audit trail; with --user or --cluster.")
@yes_option
@desk_command
def revoke(desk: Desk, credential: str | None, user: str | None, cluster: str | None, reason: str, yes: bool) -> None:
    r"""Revoke one credential by its id, all of a user, or all for a cluster; what runs on them ends.

    \b
    Example: fairlead credentials revoke credential_0123456789abcdef --yes
             fairlead credentials revoke --user ann@example.com --reason "lost laptop" --yes
    """
    if sum(it is not None for it in (credential, user, cluster)) != 1:
        raise click.UsageError("Give one of: a credential's id, --user, --cluster.")
    if credential is not None:
        desk.consent(f"Refuse credential {credential} from now on?", yes)
        desk.api.delete(at("credentials", credential))
        desk.done(CREDENTIALS, {"id": credential}, f"Revoked credential {credential}.")
        return
    noun, text = (PERSON, user) if user is not None else (CLUSTER, cluster)
    found = naming.find(desk, noun, str(text))
    which = (
        f"credential that {noun.one} {found['name']} ({found['id']}) has got"
        if user
        else f"credential for {noun.one} {found['name']} ({found['id']})"
    )
    desk.consent(f"Refuse every {which} until now?", yes)
    answer = desk.api.post(at(noun.path, found["id"], "revoke-credentials"), {"reason": reason} if reason else {})
    desk.document(answer, [f"Revoked every credential of {noun.one} {found['name']} until {answer['refused_until']}."])
