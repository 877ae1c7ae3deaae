"""`fairlead migrate`: what the database lacks, and applying it."""

from __future__ import annotations

from pathlib import Path

import click

from ops.cli.running import FAILED, config_option, sentences, settings


@click.command()
@config_option
@click.option("--check", is_flag=True, help="Apply nothing; exit 1 when something is missing.")
def migrate(config: Path | None, check: bool) -> None:
    r"""Show the migrations that the database lacks, and apply them, all or none.

    Each is applied once, whoever else starts at the same time. A database that is newer than this program is refused.
    Make a backup first: there is no way back to an older version but that. An appliance on SQLite must be stopped.

    Exits 0 when the database is up to date, 1 when it is not or could not be used, 2 when the command is wrong.

    \b
    Example: fairlead migrate --config /etc/fairlead/fairlead.toml
             fairlead migrate --config /etc/fairlead/fairlead.toml --check
    """
    import trio

    from appliance.migration import bring_up_to_date, pending

    found = settings(config)
    with sentences():
        state = trio.run(pending, found)
        for name in state.missing:
            click.echo(f"{'missing' if check else 'applying'}: {name}")
        if check and state.missing:
            raise SystemExit(FAILED)
        if state.missing:
            trio.run(bring_up_to_date, found)
    click.echo(f"The database is up to date: schema {state.latest}.")
