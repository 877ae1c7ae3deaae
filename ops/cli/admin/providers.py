"""`fairlead providers`: the OIDC providers that say who people are."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ops.cli.admin import naming, written
from ops.cli.admin.desk import Desk, at
from ops.cli.admin.naming import PROVIDER
from ops.cli.admin.options import desk_command, yes_option
from ops.cli.faults import Exit, Fault
from ops.cli.lazy import Group
from ops.cli.output import clean
from ops.cli.output.kinds import Kind
from ops.cli.output.tables import Column

PROVIDERS = Kind(
    "provider",
    "providers",
    (
        Column("SLUG", "slug"),
        Column("TITLE", "title", yields=True),
        Column("ISSUER", "issuer", yields=True),
        Column("STATE", lambda it: "enabled" if it["enabled"] else "disabled", tone=True),
        Column("CLIENT", "client_id", wide=True),
        Column("SCOPES", "scopes", wide=True, yields=True),
        Column("REDIRECT URI", "redirect_uri", wide=True),
        Column("ID", "id", wide=True),
    ),
    named="slug",
)

_title = click.option("--title", help="What its button says.")
_secret = click.option(
    "--client-secret-file",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="A file with the client secret; - reads standard input.",
)
_scope = click.option("--scope", "scopes", multiple=True, help="What is asked for, such as openid; several.")
_file = click.option(
    "-f",
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="YAML or JSON with the fields that -o yaml shows (claims, parameters); options come on top."
    " Its etag, if any, must still be true.",
)
_SET_BY_IT = ("id", "redirect_uri", "confidential")


@click.group(cls=Group)
def providers() -> None:
    """Identity providers: list, show, create, update, enable, disable, delete.

    Example: fairlead providers list
    """


@providers.command("list")
@desk_command
def listed(desk: Desk) -> None:
    """List the identity providers.

    Example: fairlead providers list -o wide
    """
    desk.show(PROVIDERS, desk.every("providers"))


@providers.command()
@click.argument("provider")
@desk_command
def show(desk: Desk, provider: str) -> None:
    """Show one provider, with the redirect URI that it has to know.

    Example: fairlead providers show corp -o yaml
    """
    desk.whole(PROVIDERS, naming.find(desk, PROVIDER, provider))


@providers.command()
@click.argument("slug")
@click.option("--issuer", required=True, help="The issuer URL, to the letter.")
@click.option("--client-id", required=True, help="What the provider calls this appliance.")
@_title
@_secret
@_scope
@_file
@desk_command
def create(desk: Desk, slug: str, file: Path | None, **given: Any) -> None:
    r"""Set up a provider. Register the redirect URI that is printed with it.

    \b
    Example: fairlead providers create corp --issuer https://id.example.com --client-id fairlead \
                 --client-secret-file secret
    """
    body = _body(file, given) | {"slug": slug}
    body.pop("etag", None)
    made = desk.api.post("providers", body)
    desk.done(PROVIDERS, made, f"Created provider {made['slug']}. Its redirect URI is {made['redirect_uri']}")


@providers.command()
@click.argument("provider")
@click.option("--client-id", help="What the provider calls this appliance.")
@_title
@_secret
@_scope
@_file
@desk_command
def update(desk: Desk, provider: str, file: Path | None, **given: Any) -> None:
    """Change a provider: what is given replaces what was there.

    Example: fairlead providers update corp --scope openid --scope email --scope groups
    """
    body = _body(file, given)
    body.pop("slug", None)
    body.pop("issuer", None)
    read = body.pop("etag", None)
    if not body:
        raise click.UsageError("Nothing to change was given.")
    path, etag = naming.to_edit(desk, PROVIDER, provider)
    edited = desk.api.patch(path, body, str(read or etag))
    desk.done(PROVIDERS, edited, f"Updated provider {edited['slug']}.")


@providers.command()
@click.argument("provider")
@desk_command
def enable(desk: Desk, provider: str) -> None:
    """Let people sign in by a provider again.

    Example: fairlead providers enable corp
    """
    path, etag = naming.to_edit(desk, PROVIDER, provider)
    edited = desk.api.patch(path, {"enabled": True}, etag)
    desk.done(PROVIDERS, edited, f"Enabled provider {edited['slug']}.")


@providers.command()
@click.argument("provider")
@yes_option
@desk_command
def disable(desk: Desk, provider: str, yes: bool) -> None:
    """Let nobody sign in by a provider.

    Example: fairlead providers disable corp --yes
    """
    found = naming.find(desk, PROVIDER, provider)
    desk.consent(f"Let nobody sign in by provider {found['slug']} any more?", yes)
    edited = desk.api.patch(at("providers", found["id"]), {"enabled": False}, found["etag"])
    desk.done(PROVIDERS, edited, f"Disabled provider {edited['slug']}.")


@providers.command()
@click.argument("provider")
@yes_option
@desk_command
def delete(desk: Desk, provider: str, yes: bool) -> None:
    """Delete a provider by which nobody is known. Otherwise disable it.

    Example: fairlead providers delete corp --yes
    """
    found = naming.find(desk, PROVIDER, provider)
    desk.consent(f"Delete provider {found['slug']} ({found['issuer']})?", yes)
    desk.api.delete(at("providers", found["id"]))
    desk.done(PROVIDERS, found, f"Deleted provider {found['slug']}.")


def _body(file: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    body = written.document(file, without=_SET_BY_IT) if file is not None else {}
    secret: Path | None = given.pop("client_secret_file")
    scopes: Sequence[str] = given.pop("scopes")
    if secret is not None:
        body["client_secret"] = _secret_in(secret)
    if scopes:
        body["scopes"] = list(scopes)
    return body | {name: value for name, value in given.items() if value is not None}


def _secret_in(file: Path) -> str:
    piped = str(file) == "-"
    text = (sys.stdin.read() if piped else file.read_text()).strip()
    if not text:
        raise Fault(f"{'Standard input' if piped else clean.plain(file)} holds no secret.", Exit.USAGE)
    return text
