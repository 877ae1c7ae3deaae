"""`fairlead config`: what this command keeps on this machine, where, and how to be rid of it."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from ops.cli import keeping, kubeconfig, places, profiles
from ops.cli.admin.desk import consent
from ops.cli.admin.options import yes_option
from ops.cli.faults import Exit, Fault, plain
from ops.cli.lazy import Group
from ops.cli.logout import signed_out
from ops.cli.options import output_option
from ops.cli.output.kinds import Kind
from ops.cli.output.tables import Column
from ops.cli.showing import whole

#: In our directory. What else is there is somebody else's, in case FAIRLEAD_CLI_HOME names a directory of other things.
OURS: Final = ("config.json", ".config.json.*.part", "config.lock", "asking.lock", "sessions", "credentials")

CONFIG = Kind(
    "configuration",
    "configurations",
    (
        Column("KEPT IN", "path"),
        Column("PROFILE", "profile"),
        Column("SERVER", "server"),
        Column("ACCOUNT", "account"),
        Column("PROFILES", "profiles"),
        Column("KEYRING", "keyring"),
        Column("KUBECONFIG", "kubeconfig"),
        Column("CONTEXTS", "contexts"),
        Column("SET BY ENVIRONMENT", "environment"),
    ),
    named="path",
)


@click.group(cls=Group)
def config() -> None:
    """What this command keeps on this machine.

    Example: fairlead config show
    """


@config.command("show")
@output_option
def show_() -> None:
    """Show where things are kept, which appliance is in use, and where secrets are. No secret is shown.

    Example: fairlead config show -o json
    """
    book = profiles.read()
    active = book.profiles.get(book.active)
    ring = keeping.keyring()
    shown = {
        "path": places.home(),
        "profile": book.active or None,
        "server": active.server if active else None,
        "account": (active.account if active else "") or None,
        "profiles": sorted(book.profiles),
        "keyring": type(ring).__module__ if ring is not None else None,
        "kubeconfig": [str(it) for it in kubeconfig.files()],
        "contexts": [it.context for it in kubeconfig.marked()],
        "environment": sorted(it for it in os.environ if it.startswith("FAIRLEAD_CLI_")),
    }
    whole(CONFIG, shown)


@config.command("path")
def path() -> None:
    """Print the directory in which things are kept.

    Example: fairlead config path
    """
    click.echo(places.home())


@config.command("clean")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@yes_option
def clean(dry_run: bool, yes: bool) -> None:
    r"""Sign out everywhere, and remove everything this command keeps: sessions, credentials, profiles, its contexts.

    \b
    Example: fairlead config clean --dry-run
             fairlead config clean --yes
    """
    home = Path(places.home())
    try:
        book = profiles.read()
    except Fault:
        book = profiles.Book()  # what cannot be read can be removed
    gone = [f"session  {name} at {it.server}" for it in book.profiles.values() for name in keeping.accounts(it.name)]
    gone += [f"context  {it.context} in {it.file}" for it in kubeconfig.marked()]
    gone += [f"file     {it}" for top in _ours(home) for it in (top, *sorted(top.rglob("*"))) if it.is_file()]
    for line in gone:
        click.echo(plain(line))
    if not gone:
        click.echo("There is nothing to remove.", err=True)
    if dry_run or not gone:
        return
    consent("Remove all of this?", yes=yes)
    untold = None
    for it in book.profiles.values():
        for name in keeping.accounts(it.name):
            untold = signed_out(it, name) or untold
        kubeconfig.remove(it.server)
    for server in {it.server for it in kubeconfig.marked()}:
        kubeconfig.remove(server)
    for top in _ours(home):
        if top.is_dir() and not top.is_symlink():
            shutil.rmtree(top)
        else:
            top.unlink()
    with suppress(OSError):  # other things are in it, or it was never made
        home.rmdir()
    click.echo("Removed.", err=True)
    if untold is not None:
        raise Fault(f"All is removed here, but not all was ended at the appliance: {untold}", Exit.UNREACHABLE)


def _ours(home: Path) -> list[Path]:
    """What of our directory is ours; nothing, if we never wrote there."""
    if not any((home / name).exists() for name in ("config.json", "config.lock")):
        return []
    return [it for pattern in OURS for it in sorted(home.glob(pattern))]
