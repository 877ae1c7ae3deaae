"""`fairlead webhooks`: who is told of access requests, and whether they were."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from ops.cli.admin import naming
from ops.cli.admin.desk import Desk, at
from ops.cli.admin.naming import WEBHOOK
from ops.cli.admin.options import desk_command, yes_option
from ops.cli.admin.secrets import shown_once, taken
from ops.cli.faults import Exit
from ops.cli.lazy import Group
from ops.cli.output import clean
from ops.cli.output.kinds import Kind
from ops.cli.output.tables import Column, age, ahead

EVENTS: Final = ("created", "seconded", "approved", "denied", "revoked", "expired")
PREFIX: Final = "access_request."

WEBHOOKS = Kind(
    "webhook",
    "webhooks",
    (
        Column("ID", "id"),
        Column("URL", "url", yields=True),
        Column("WAITING", "waiting"),
        Column("GIVEN UP", "given_up"),
        Column("AGE", "created_at", age),
        Column("EVENTS", lambda it: [str(one).removeprefix(PREFIX) for one in it["events"]], wide=True, yields=True),
        Column("DESCRIPTION", "description", wide=True, yields=True),
    ),
    named="id",
)
MESSAGES = Kind(
    "message",
    "messages",
    (
        Column("ID", "id"),
        Column("TYPE", "type"),
        Column("STATE", "state", tone=True),
        Column("TRIES", "tries"),
        Column("ANSWER", "status"),
        Column("NEXT TRY", "next_try_at", ahead),
        Column("AGE", "created_at", age),
        Column("WHY", "error", yields=True),
    ),
    named="id",
)


@click.group(cls=Group)
def webhooks() -> None:
    """Webhooks: list, create, test, delete; the messages to each.

    Example: fairlead webhooks create https://hooks.example.com/fairlead
    """


@webhooks.command("list")
@desk_command
def listed(desk: Desk) -> None:
    """List the webhooks.

    Example: fairlead webhooks list
    """
    desk.show(WEBHOOKS, desk.every("webhooks"))


@webhooks.command()
@click.argument("url")
@click.option("--event", "events", type=click.Choice(EVENTS), multiple=True, help="Of this only; several.")
@click.option("--description", default="", help="Who or what is behind it.")
@click.option(
    "--secret-out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the secret here, for you alone to read, and not to standard output.",
)
@desk_command
def create(desk: Desk, url: str, events: Sequence[str], description: str, secret_out: Path | None) -> None:
    r"""Tell this URL of access requests. The secret that signs its messages is shown this once.

    \b
    Example: fairlead webhooks create https://hooks.example.com/fairlead --event created --secret-out hook.secret
    """
    file = taken(secret_out)
    body = {"url": url} | ({"description": description} if description else {})
    wanted = {"events": [PREFIX + it for it in dict.fromkeys(events)]} if events else {}
    made = desk.api.post("webhooks", body | wanted)
    shown_once(desk, WEBHOOKS, made | {"waiting": 0, "given_up": 0}, "secret", file, f"Created webhook {made['id']}.")


@webhooks.command()
@click.argument("webhook")
@desk_command
def test(desk: Desk, webhook: str) -> None:
    """Send it a message now. Exit code 0 if it was taken, 1 if not.

    Example: fairlead webhooks test webhook_0123456789abcdef
    """
    found = naming.find(desk, WEBHOOK, webhook)
    tried = desk.api.post(at("webhooks", found["id"], "test"))
    what = f"answered {tried['status']}" if tried["delivered"] else clean.plain(tried["error"])
    desk.document(tried, [f"{clean.plain(found['url'])}: {what}"])
    if not tried["delivered"]:
        raise SystemExit(int(Exit.FAILED))


@webhooks.command()
@click.argument("webhook")
@desk_command
def messages(desk: Desk, webhook: str) -> None:
    """List what it was told, the latest first, and how far each message has come.

    Example: fairlead webhooks messages webhook_0123456789abcdef
    """
    found = naming.find(desk, WEBHOOK, webhook)
    desk.show(MESSAGES, desk.every(at("webhooks", found["id"], "messages")))


@webhooks.command()
@click.argument("webhook")
@yes_option
@desk_command
def delete(desk: Desk, webhook: str, yes: bool) -> None:
    """Delete a webhook, with all it was still to be told.

    Example: fairlead webhooks delete webhook_0123456789abcdef --yes
    """
    found = naming.find(desk, WEBHOOK, webhook)
    desk.consent(f"Tell {clean.plain(found['url'])} nothing more?", yes)
    desk.api.delete(at("webhooks", found["id"]))
    desk.done(WEBHOOKS, found, f"Deleted webhook {found['id']}.")
