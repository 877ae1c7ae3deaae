"""`fairlead login`: a session at an appliance, by the browser here, one elsewhere, or a setup code.

What always holds: the appliance is the one that was named (its metadata says the same URL, RFC 8414 §3.3) over a
certificate that is verified, or nothing is sent; a session that took the place of an older one of the same account ends
that one; who signed in as somebody else than they said is signed out again.
"""

from __future__ import annotations

import contextlib
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from ops.cli import keeping, options, profiles
from ops.cli.faults import Exit, Fault, plain, refused
from ops.cli.keeping import Kept
from ops.cli.lazy import Command
from ops.cli.profiles import Book, Profile
from ops.cli.renewal import grant, revoke
from ops.cli.running import FILE
from ops.cli.transport import Transport, read_ca

METADATA = "/.well-known/oauth-authorization-server"
SETUP_GRANT = "urn:fairlead:grant-type:setup_code"
MAX_LABEL_CHARS = 60


@dataclass(frozen=True, slots=True)
class Way:
    """How to sign in; none of these: in the browser of this machine, if there is one, as who is signed in there."""

    device: bool = False
    no_browser: bool = False
    setup_code: bool = False
    anew: bool = False


@click.command(cls=Command)
@click.argument("server", required=False)
@click.option("--ca", type=FILE, help="The CA (PEM) of the appliance, unless this machine trusts it already.")
@click.option("--device", is_flag=True, help="Show a code to type on another device, instead of opening a browser.")
@click.option("--no-browser", is_flag=True, help="Print the page's URL instead of opening it.")
@click.option("--setup-code", is_flag=True, help="Ask for a setup code: the first administrator's way in.")
@click.option("--account", metavar="NAME", help="Sign in as this one and nobody else.")
@click.option("--force", is_flag=True, help="Sign in anew, even if you are signed in.")
def login(
    server: str | None,
    ca: Path | None,
    device: bool,
    no_browser: bool,
    setup_code: bool,
    account: str | None,
    force: bool,
) -> None:
    r"""Sign in to an appliance.

    SERVER is its public URL; without one, the appliance that is in use. Where no browser can open, a code is shown
    that you type on another device. A setup code is made on the appliance's host with `fairlead setup-code`.

    \b
    Example: fairlead login https://fairlead.example.com
             fairlead login https://fairlead.example.com --ca ca.pem --device
    """
    profile = _profile(profiles.read(), server, ca)
    way = Way(device, no_browser, setup_code, anew=force or bool(account))
    with contextlib.closing(Transport(profile.server, profile.ca, debug=options.given().debug)) as transport:
        wanted = account or profile.account
        if wanted and not force and not setup_code and _still_good(profile, wanted, transport):
            _use(profile, wanted)
            click.echo(f"You are signed in to {profile.server} as {plain(wanted)}. To sign in anew: --force")
            return
        who = _signed_in(profile, account or "", way, transport)
    click.echo(f"You are signed in to {profile.server} as {who}.")
    click.echo("  Next: fairlead kube ls", err=True)


def sign_in(name: str, account: str) -> None:
    """Anew, to a profile that is there, for a command that cannot go on without."""
    profile = profiles.read().chosen(name)
    with contextlib.closing(Transport(profile.server, profile.ca, debug=options.given().debug)) as transport:
        _signed_in(profile, account, Way(), transport)


def _signed_in(profile: Profile, account: str, way: Way, transport: Transport) -> str:
    """Who now is. `account`: nobody else may be; ""."""
    kept = keeping.of_grant(_tokens(transport, described(profile, transport), way))
    if account and kept.account != account:
        revoke(kept, transport)
        raise Fault(
            f"You signed in as {plain(kept.account)}, not as {account}, and were signed out again.",
            Exit.FORBIDDEN,
            next_step=f"sign out in the browser first, at {profile.server}/fairlead/home",
        )
    _keep(profile, kept, transport)
    return plain(kept.account)


def _profile(book: Book, server: str | None, ca: Path | None) -> Profile:
    """The profile to sign in with; a new one is not kept yet."""
    named = options.given().profile
    if server is None:
        found = book.chosen(named)
    else:
        origin = profiles.origin(server)
        known = None if named else book.of_server(origin)
        name = known.name if known is not None else profiles.check_name(named or profiles.name_for(origin))
        found = book.profiles.get(name, Profile(name, origin))
        if found.server != origin:  # its sessions are not for this one
            raise Fault(f"The profile {name} is of {found.server}.", Exit.USAGE, next_step="name another --profile")
    return replace(found, ca=read_ca(ca)) if ca is not None else found


def _still_good(profile: Profile, account: str, transport: Transport) -> bool:
    """Whether there is a session and the appliance agrees; it is renewed if it has to be."""
    from ops.cli.client import Client, SessionBearer

    if keeping.load(profile.name, account) is None:
        return False
    try:
        Client(profile, account, SessionBearer(profile, account, transport), transport).get("me")
    except Fault as fault:
        if fault.exit_code is not Exit.NOT_SIGNED_IN and fault.code != "PERSON_DISABLED":
            raise
        return False
    return True


def described(profile: Profile, transport: Transport) -> Mapping[str, str]:
    """What the appliance says of itself, if it is the one we think."""
    answer = transport.ask("GET", METADATA)
    document = answer.document()
    if answer.status != 200 or not isinstance(document, dict):
        raise Fault(f"{profile.server} is no Fairlead appliance, or one that cannot answer now.", Exit.UNREACHABLE)
    if document.get("issuer") != profile.server:
        says = plain(str(document.get("issuer")))[:200]
        raise Fault(f"{profile.server} calls itself {says}.", next_step="log in to it by that URL, if you trust it")
    for name in ("authorization_endpoint", "device_authorization_endpoint"):  # a browser is sent there
        there = str(document.get(name))
        if not there.startswith(f"{profile.server}/") or not there.isascii() or plain(there) != there:
            raise Fault(f"{profile.server} leads elsewhere to sign in, or nowhere.")
    return document


def _tokens(transport: Transport, metadata: Mapping[str, str], way: Way) -> Mapping[str, Any]:
    """What somebody's sign-in gave, in one of the three ways."""
    from ops.cli import device as device_flow
    from ops.cli import loopback

    label = f"fairlead on {platform.node() or 'a machine'}"[:MAX_LABEL_CHARS]
    if way.setup_code:
        form = {"grant_type": SETUP_GRANT, "setup_code": _asked_for_code(), "label": label}
    elif way.device or not (way.no_browser or loopback.has_browser()):
        return device_flow.authorize(transport, urlsplit(metadata["device_authorization_endpoint"]).path, label)
    else:
        form = loopback.authorize(metadata, label, show_only=way.no_browser, anew=way.anew)
    answer = grant(transport, form)
    document = answer.document()
    if answer.status != 200 or not isinstance(document, dict):
        fault = refused(answer.status, document, answer.correlation_id)
        fault.next_step = ""
        raise fault
    return document


def _asked_for_code() -> str:
    """From the terminal without showing it, or the first line of a pipe."""
    if sys.stdin.isatty():
        return str(click.prompt("Setup code", hide_input=True, err=True)).strip()
    return sys.stdin.readline().strip()


def _keep(profile: Profile, kept: Kept, transport: Transport) -> None:
    """The session is this machine's; the one it takes the place of ends."""
    with keeping.lock(profile.name, kept.account):
        old = keeping.load(profile.name, kept.account, whole=True)
        keeping.forget(profile.name, kept.account)
        keeping.save(profile.name, kept)
    _use(profile, kept.account)
    if old is not None and old.session_id != kept.session_id:
        with contextlib.suppress(Fault):  # it ends by itself within a day
            revoke(old, transport)


def _use(profile: Profile, account: str) -> None:
    profiles.change(lambda book: book.with_profile(replace(profile, account=account), use=True))
