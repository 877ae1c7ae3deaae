"""`fairlead webhooks`: whom the appliance tells of access requests, and what became of each message."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ops.cli.admin import naming
from ops.cli.admin.desk import Desk, at
from ops.cli.admin.naming import WEBHOOK
from ops.cli.admin.options import desk_command, yes_option
from ops.cli.admin.secrets import shown_once, taken, token_out_option
from ops.cli.faults import Exit
from ops.cli.lazy import Group
from ops.cli.output import clean
from ops.cli.output.kinds import Kind
from ops.cli.output.tables import Column, age, ahead

WEBHOOKS = Kind(
    "webhook",
    "webhooks",
    (
        Column("ID", "id"),
        Column("URL", "url", yields=True),
        Column("WAITING", "waiting"),
        Column("GIVEN UP", "given_up"),
        Column("AGE", "created_at", age),
        Column("DESCRIPTION", "description", wide=True, yields=True),
        Column("EVENTS", "events", wide=True, yields=True),
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
        Column("STATUS", "status"),
        Column("AGE", "created_at", age),
        Column("NEXT TRY", "next_try_at", ahead),
        Column("ERROR", "error", wide=True, yields=True),
    ),
    named="id",
)


@click.group(cls=Group)
def webhooks() -> None:
    """Webhooks: list, create, test, delete; what each was told.

    Example: fairlead webhooks list
    """


@webhooks.command("list")
@desk_command
def listed(desk: Desk) -> None:
    """List the webhooks, and how many messages wait for each.

    Example: fairlead webhooks list -o wide
    """
    desk.show(WEBHOOKS, desk.every("webhooks"))


@webhooks.command()
@click.argument("url")
@click.option("--event", "events", multiple=True, help="Only of these, such as access_request.created; several.")
@click.option("--description", help="For people.")
@token_out_option
@desk_command
def create(desk: Desk, url: str, events: Sequence[str], description: str | None, token_out: Path | None) -> None:
    """Tell a URL of access requests. The secret that signs its messages is shown this once.

    Example: fairlead webhooks create https://chat.example.com/hook --token-out hook.secret
    """
    file = taken(token_out)
    wanted = {"events": list(events) or None, "description": description}
    made = desk.api.post("webhooks", {"url": url} | {name: it for name, it in wanted.items() if it})
    shown_once(desk, WEBHOOKS, made, "secret", file, f"Created webhook {made['id']}.")


@webhooks.command()
@click.argument("webhook")
@desk_command
def test(desk: Desk, webhook: str) -> None:
    """Send a message now, once, and say what became of it.

    Example: fairlead webhooks test webhook_0123456789abcdef
    """
    told = desk.api.post(at("webhooks", naming.identify(desk, WEBHOOK, webhook), "test"), bare=True)
    status = f" ({told['status']})" if told["status"] else ""
    why = f": {clean.plain(told['error']).rstrip('.')}" if told["error"] else ""
    desk.document(told, [f"Delivered{status}." if told["delivered"] else f"Not delivered{status}{why}."])
    if not told["delivered"]:
        raise SystemExit(int(Exit.FAILED))


@webhooks.command()
@click.argument("webhook")
@desk_command
def messages(desk: Desk, webhook: str) -> None:
    """List what a webhook was told, the latest first, and how far each message has come.

    Example: fairlead webhooks messages webhook_0123456789abcdef
    """
    desk.show(MESSAGES, desk.every(at("webhooks", naming.identify(desk, WEBHOOK, webhook), "messages")))


@webhooks.command()
@click.argument("webhook")
@yes_option
@desk_command
def delete(desk: Desk, webhook: str, yes: bool) -> None:
    """Delete a webhook; what it was still to be told is dropped.

    Example: fairlead webhooks delete webhook_0123456789abcdef --yes
    """
    found = naming.chosen(WEBHOOK, webhook, desk.every("webhooks"))
    desk.consent(f"Tell {found['url']} ({found['id']}) nothing more?", yes)
    desk.api.delete(at("webhooks", found["id"]))
    desk.done(WEBHOOKS, found, f"Deleted webhook {found['id']}.")
