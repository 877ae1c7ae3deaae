"""`fairlead backup` and `fairlead restore`: the whole appliance in one encrypted file, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from ops.cli import passphrase
from ops.cli.running import FILE, Progress, config_option, sentences, settings


@click.command()
@config_option
@click.option("--out", type=FILE, required=True, help="The backup to write, for you alone to read.")
@passphrase.passphrase_option
@click.option("--without-master-key", is_flag=True, help="Leave the master key out: keep it elsewhere, or all is lost.")
@click.option("--force", is_flag=True, help="Replace a file of that name.")
def backup(config: Path | None, out: Path, passphrase_file: Path | None, without_master_key: bool, force: bool) -> None:
    r"""Write an encrypted backup of everything the appliance keeps, also while it runs.

    It holds the configuration as it is at one moment, the audit ledger, and the master key that opens the secrets
    among them: whoever has the backup and its passphrase has the appliance. The configuration is read before the
    ledger, so what it holds is on record in it.

    Exits 0 when it is written, 1 when it could not be, 2 when something about the command is wrong.

    \b
    Example: fairlead backup --config /etc/fairlead/fairlead.toml --out monday.backup --passphrase-file backup.pass
    """
    import trio

    from appliance.backup.making import back_up

    found = settings(config)
    secret = passphrase.read(passphrase_file, new=True)
    with sentences():
        progress = Progress()
        make = partial(back_up, told=progress.told, with_master_key=not without_master_key, replace=force)
        made = trio.run(make, found, out.absolute(), secret)
        progress.end()
    without = " The master key is not in it." if without_master_key else ""
    click.echo(f"{out}: {made.rows:,} rows, {made.records:,} audit records, {_size(made.bytes)}.{without}")


@click.command()
@config_option
@click.option("--from", "source", type=FILE, required=True, help="The backup.")
@passphrase.passphrase_option
@click.option("--keep-credentials", is_flag=True, help="Go on accepting what was given out before the restore.")
@click.option("--force", is_flag=True, help="Move what is in data_dir aside. Nothing is deleted.")
@click.option("--despite-audit-faults", is_flag=True, help="Restore a ledger that was tampered with before the backup.")
def restore(
    config: Path | None,
    source: Path,
    passphrase_file: Path | None,
    keep_credentials: bool,
    force: bool,
    despite_audit_faults: bool,
) -> None:
    r"""Restore a backup into an empty data_dir or an empty PostgreSQL database, whichever the settings name.

    Everything is unpacked and verified first; then it is put in place. The appliance must be stopped.

    A backup does not know what was revoked after it was made. So kubeconfig credentials, machine tokens and unspent
    bundles that were given out before the restore are refused after it, unless --keep-credentials is given. Agents
    need nothing: their certificates hold, but for one renewed after the backup. What else was changed after the
    backup is as it was before: people disabled, bindings removed, agents cut off since then have what they had.

    Exits 0 when it is done, 1 when it is not (then nothing was changed), 2 when something about the command is wrong.

    \b
    Example: fairlead restore --config /etc/fairlead/fairlead.toml --from monday.backup --passphrase-file backup.pass
    """
    import trio

    from appliance.backup.restoring import Restored, Wishes
    from appliance.backup.restoring import restore as put_back

    found = settings(config, restoring=True)
    secret = passphrase.read(passphrase_file, new=False)
    wishes = Wishes(keep_credentials, force, despite_audit_faults)
    with sentences():
        progress = Progress()
        done: Restored = trio.run(partial(put_back, told=progress.told), found, source, secret, wishes)
        progress.end()
    made = datetime.fromtimestamp(done.head.made_at / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    click.echo(f"Restored the backup of {made}, with {done.records:,} audit records.")
    for fault in done.faults:
        click.echo(f"BROKEN audit ledger: {fault}")
    if done.aside is not None:
        click.echo(f"What was there before is in {done.aside}.")
    if not keep_credentials:
        click.echo("Refused from now on: every kubeconfig credential, machine token and bundle given out before.")
        if done.voided.machines:
            click.echo(f"Machines whose tokens ended: {', '.join(done.voided.machines)}.")
        click.echo("Next: start the appliance, and make a machine token: fairlead machine-token")


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"
