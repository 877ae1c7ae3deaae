"""`fairlead logout`: the session ends at the appliance and on this machine, and kubectl forgets its clusters."""

from __future__ import annotations

import contextlib

import click

from ops.cli import keeping, kubeconfig, options, profiles
from ops.cli.faults import Exit, Fault, plain
from ops.cli.lazy import Command
from ops.cli.profiles import Profile
from ops.cli.renewal import not_signed_in, revoke
from ops.cli.transport import Transport


@click.command(cls=Command)
@click.option("--account", metavar="NAME", help="Who is signed out; without it, the one in use.")
@click.option("--all", "everyone", is_flag=True, help="Sign all accounts of this appliance out.")
def logout(account: str | None, everyone: bool) -> None:
    r"""Sign out: end the session, the credentials got in it, and the contexts in your kubeconfig that use it.

    What is on this machine is removed also when the appliance cannot be reached; its session then ends by itself, and
    the exit code is 6.

    \b
    Example: fairlead logout
             fairlead logout --all
    """
    profile = profiles.read().chosen(options.given().profile)
    here = keeping.accounts(profile.name)
    who = account or options.given().account or profile.account
    leaving = here if everyone else [it for it in here if it == who]
    if not leaving:
        raise not_signed_in(profile, "" if everyone else who)
    untold: Fault | None = None
    for name in leaving:
        untold = signed_out(profile, name) or untold
        click.echo(f"{plain(name)} is signed out of {profile.server}.")
    rest = [it for it in here if it not in leaving]
    if profile.account in leaving:
        profiles.change(lambda book: book.with_account(profile.name, ""))  # nobody becomes somebody else unasked
    if not rest:
        for context in kubeconfig.remove(profile.server):
            click.echo(f"The context {plain(context)} is removed from your kubeconfig.")
    if rest and profile.account in leaving:
        click.echo(f"  Next: fairlead accounts use {plain(rest[0])}", err=True)
    if untold is not None:
        raise Fault(
            f"Signed out here, but the appliance could not be told: {untold}",
            Exit.UNREACHABLE,
            next_step="an unused session ends by itself within a day",
        )


def signed_out(profile: Profile, account: str) -> Fault | None:
    """End and forget one session. What is returned: why the appliance could not be told."""
    untold: Fault | None = None
    with keeping.lock(profile.name, account):
        kept = keeping.load(profile.name, account, whole=True)
        with contextlib.closing(Transport(profile.server, profile.ca, debug=options.given().debug)) as transport:
            try:
                if kept is not None:
                    revoke(kept, transport)
            except Fault as fault:
                untold = fault
        keeping.forget(profile.name, account)
    return untold
