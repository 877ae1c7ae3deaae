"""`fairlead trust`: whose tokens make their bearer one of our machines (CI jobs, Kubernetes service accounts)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ops.cli.admin import naming, written
from ops.cli.admin.desk import Desk, at
from ops.cli.admin.names import Names
from ops.cli.admin.naming import MACHINE, TRUST
from ops.cli.admin.options import SPAN, desk_command, yes_option
from ops.cli.lazy import Group
from ops.cli.output.kinds import Kind
from ops.cli.output.tables import Column, Item, age, length

RULES = Kind(
    "trust rule",
    "trust rules",
    (
        Column("ID", "id"),
        Column("MACHINE", "machine"),
        Column("ISSUER", "issuer", yields=True),
        Column("CONDITIONS", lambda it: [_condition(one) for one in it["conditions"]], yields=True),
        Column("SESSION", "session_seconds", length),
        Column("AGE", "created_at", age),
        Column("AUDIENCE", "audience", wide=True, yields=True),
        Column("SINGLE USE", "single_use", wide=True),
        Column("KEYS", lambda it: "given" if it["jwks"] else "fetched", wide=True),
    ),
    named="id",
)


@click.group(cls=Group)
def trust() -> None:
    """Trust rules: list, show, create, delete. To change one, make another.

    Example: fairlead trust list
    """


@trust.command("list")
@desk_command
def listed(desk: Desk) -> None:
    """List the trust rules.

    Example: fairlead trust list
    """
    desk.show(RULES, desk.every("trust-rules"), _told(desk))


@trust.command()
@click.argument("rule")
@desk_command
def show(desk: Desk, rule: str) -> None:
    """Show one trust rule.

    Example: fairlead trust show trust_0123456789abcdef
    """
    desk.whole(RULES, naming.find(desk, TRUST, rule), _told(desk))


@trust.command()
@click.option("--machine", required=True, help="The machine that the bearer becomes.")
@click.option("--issuer", required=True, help="The issuer URL, to the letter as it stands in the tokens.")
@click.option(
    "--condition",
    "conditions",
    multiple=True,
    required=True,
    metavar="CLAIM=PATTERN[,PATTERN]",
    help="What a claim must be, * for anything; several, and all must hold.",
)
@click.option("--audience", help="Whom the tokens must be for; without it, this appliance's URL.")
@click.option("--jwks", type=click.Path(dir_okay=False, path_type=Path), help="The issuer's keys, if it has no URL.")
@click.option("--reusable", is_flag=True, help="One token may be exchanged more than once.")
@click.option("--session", "seconds", type=SPAN, help="How long what they get is good, such as 1h.")
@desk_command
def create(
    desk: Desk,
    machine: str,
    issuer: str,
    conditions: Sequence[str],
    audience: str | None,
    jwks: Path | None,
    reusable: bool,
    seconds: int | None,
) -> None:
    r"""Trust an issuer's tokens. Whoever it gives one to gets all that the machine holds.

    \b
    Example: fairlead trust create --machine ci --issuer https://ci.example.com --condition sub=repo:example/app:*
    """
    wanted = {
        "audience": audience,
        "jwks": written.key_set(jwks) if jwks is not None else None,
        "session_seconds": seconds,
    }
    body: dict[str, Any] = {
        "machine": naming.identify(desk, MACHINE, machine),
        "issuer": issuer,
        "conditions": [_read_condition(it) for it in conditions],
        "single_use": not reusable,
    }
    made = desk.api.post("trust-rules", body | {name: it for name, it in wanted.items() if it is not None})
    desk.done(RULES, made, f"Created trust rule {made['id']}.")


@trust.command()
@click.argument("rule")
@yes_option
@desk_command
def delete(desk: Desk, rule: str, yes: bool) -> None:
    """Delete a trust rule, with the sessions and credentials got by it.

    Example: fairlead trust delete trust_0123456789abcdef --yes
    """
    found = naming.find(desk, TRUST, rule)
    desk.consent(f"Take no more tokens of {found['issuer']} by rule {found['id']}?", yes)
    desk.api.delete(at("trust-rules", found["id"]))
    desk.done(RULES, found, f"Deleted trust rule {found['id']}.")


def _told(desk: Desk) -> Any:
    names = Names(desk)

    def told(it: Item) -> dict[str, str]:
        return {"machine": names.machine(it["machine_id"])}

    return told


def _condition(it: dict[str, Any]) -> str:
    return f"{it['claim']}={'|'.join(it['values'])}"


def _read_condition(text: str) -> dict[str, Any]:
    claim, mark, values = text.partition("=")
    if not mark or not claim or not values:
        raise click.UsageError(f"A condition is CLAIM=PATTERN, such as sub=repo:example/app:*; {text!r} is none.")
    return {"claim": claim, "values": values.split(",")}
