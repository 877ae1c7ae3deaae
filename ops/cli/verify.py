"""`fairlead verify`: is everything the appliance keeps whole, and closed to others?"""

from __future__ import annotations

from pathlib import Path

import click

from ops.cli.running import FAILED, config_option, sentences, settings


@click.command()
@config_option
def verify(config: Path | None) -> None:
    r"""Look at everything the appliance keeps, and say what is wrong and what to do. Works while it runs.

    Looked at are: the files and who may open them; the database by its own means; the migrations; the change feed;
    every row; every sealed secret; the audit ledger with all its chains (`fairlead audit verify` can do more there).

    Exits 0 when all is well, 1 when something is wrong, 2 when the command is wrong.

    \b
    Example: fairlead verify --config /etc/fairlead/fairlead.toml
    """
    import trio

    from appliance.inspection import inspect

    found = settings(config, restoring=True)
    with sentences():
        inspection = trio.run(inspect, found, lambda _: None)
    for line in inspection.fine:
        click.echo(f"fine   {line}")
    for fault in inspection.faults:
        click.echo(f"WRONG  {fault.what}")
        click.echo(f"       {fault.remedy}")
    if inspection.faults:
        raise SystemExit(FAILED)
