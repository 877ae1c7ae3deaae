"""`fairlead profiles` and `fairlead accounts`: the appliances one works with, and who one is there.

A profile is an appliance; an account is somebody signed in there. One profile is in use, and in each one account. What
always holds: whatever is removed is first ended at the appliance.
"""

from __future__ import annotations

from pathlib import Path

import click

from ops.cli import keeping, kubeconfig, profiles
from ops.cli.faults import Exit, Fault, plain
from ops.cli.lazy import Group
from ops.cli.logout import signed_out
from ops.cli.options import given, output_option
from ops.cli.output.kinds import Kind
from ops.cli.output.tables import Column
from ops.cli.profiles import Book, Profile
from ops.cli.running import FILE
from ops.cli.showing import show, whole
from ops.cli.transport import read_ca

PROFILES = Kind(
    "profile",
    "profiles",
    (
        Column("IN USE", "in_use"),
        Column("NAME", "name"),
        Column("SERVER", "server"),
        Column("ACCOUNT", "account"),
        Column("ACCOUNTS", "accounts", wide=True),
        Column("OWN CA", "own_ca", wide=True),
    ),
)
ACCOUNTS = Kind(
    "account",
    "accounts",
    (
        Column("IN USE", "in_use"),
        Column("NAME", "name"),
        Column("SERVER", "server"),
        Column("SECRETS IN", "secrets_in", wide=True),
    ),
)
LOGIN = "Nobody is signed in. Next: fairlead login https://fairlead.example.com"


@click.group("profiles", cls=Group)
def profiles_() -> None:
    """The appliances you work with, by name; one is in use.

    Example: fairlead profiles list
    """


@profiles_.command("list")
@output_option
def profiles_list() -> None:
    """List the profiles.

    Example: fairlead profiles list
    """
    book = profiles.read()
    show(PROFILES, [_profile(it, book) for it in book.profiles.values()], LOGIN)


@profiles_.command("current")
@output_option
def profiles_current() -> None:
    """Show the profile that is in use.

    Example: fairlead profiles current -o name
    """
    book = profiles.read()
    whole(PROFILES, _profile(book.chosen(given().profile), book))


@profiles_.command("use")
@click.argument("name")
def profiles_use(name: str) -> None:
    """Use another profile from now on.

    Example: fairlead profiles use prod
    """
    profiles.change(lambda book: book.with_profile(book.chosen(name), use=True))
    click.echo(f"The profile {name} is in use.")


@profiles_.command("create")
@click.argument("name")
@click.argument("server")
@click.option("--ca", type=FILE, help="The CA (PEM) of the appliance, unless this machine trusts it already.")
def profiles_create(name: str, server: str, ca: Path | None) -> None:
    """Name an appliance, without signing in yet.

    Example: fairlead profiles create prod https://fairlead.example.com
    """
    made = Profile(profiles.check_name(name), profiles.origin(server), read_ca(ca) if ca else None)

    def add(book: Book) -> Book:
        if name in book.profiles:
            raise Fault(f"There is a profile {name} already.", next_step="choose another name, or delete it")
        return book.with_profile(made)

    profiles.change(add)
    click.echo(f"The profile {name} leads to {made.server}.")
    click.echo(f"  Next: fairlead login --profile {name}", err=True)


@profiles_.command("delete")
@click.argument("name")
def profiles_delete(name: str) -> None:
    """Sign out of an appliance, and forget it.

    Example: fairlead profiles delete staging
    """
    profile = profiles.read().chosen(name)
    untold = [fault for it in keeping.accounts(name) if (fault := signed_out(profile, it)) is not None]
    profiles.change(lambda book: book.without(name))
    for context in kubeconfig.remove(profile.server):
        click.echo(f"The context {plain(context)} is removed from your kubeconfig.")
    click.echo(f"The profile {name} is deleted.")
    if untold:
        raise untold[0]


@click.group("accounts", cls=Group)
def accounts() -> None:
    """Who you are signed in as at an appliance; one account is in use.

    Example: fairlead accounts list
    """


@accounts.command("list")
@output_option
def accounts_list() -> None:
    """List who you are signed in as, at every appliance.

    Example: fairlead accounts list
    """
    book = profiles.read()
    shown = [
        {
            "in_use": name == it.account,
            "name": name,
            "profile": it.name,
            "server": it.server,
            "secrets_in": keeping.where(it.name, name),
        }
        for it in book.profiles.values()
        if given().profile in {"", it.name}
        for name in keeping.accounts(it.name)
    ]
    show(ACCOUNTS, shown, LOGIN)


@accounts.command("use")
@click.argument("name")
def accounts_use(name: str) -> None:
    """Be another of the accounts that are signed in: kubectl, too, from its next command on.

    Example: fairlead accounts use admin@example.com
    """
    profile = _signed_in(name)
    profiles.change(lambda book: book.with_account(profile.name, name))
    click.echo(f"{name} is in use at {profile.server}.")


@accounts.command("remove")
@click.argument("name")
def accounts_remove(name: str) -> None:
    """Sign one account out, here and at the appliance.

    Example: fairlead accounts remove admin@example.com
    """
    profile = _signed_in(name)
    untold = signed_out(profile, name)
    if profile.account == name:
        profiles.change(lambda book: book.with_account(profile.name, ""))
    click.echo(f"{name} is signed out of {profile.server}.")
    if untold is not None:
        raise untold


def _signed_in(name: str) -> Profile:
    """The profile in use, if this account is signed in there."""
    profile = profiles.read().chosen(given().profile)
    if name not in keeping.accounts(profile.name):
        raise Fault(f"{name} is not signed in to {profile.server}.", Exit.NOT_FOUND, next_step="fairlead accounts list")
    return profile


def _profile(it: Profile, book: Book) -> dict[str, object]:
    return {
        "in_use": it.name == book.active,
        "name": it.name,
        "server": it.server,
        "account": it.account or None,
        "accounts": keeping.accounts(it.name),
        "own_ca": it.ca is not None,
    }
