"""The commands of the appliance's own host: run it, list its settings, make the first token and the first code.

No option carries a secret, because other users of a machine can read a command line.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from ops.cli.running import FILE, config_option, stop


@click.command()
@click.option("--config", type=FILE, help="Settings (TOML). Environment variables FAIRLEAD_* override them.")
def serve(config: Path | None) -> None:
    """Run the appliance: what people and agents connect to.

    Example: fairlead serve --config /etc/fairlead/fairlead.toml
    """
    from appliance.assemble import run
    from appliance.config import load
    from appliance.listening import StartError
    from daemon.settings import ConfigError

    try:
        run(load(config, os.environ))
    except (ConfigError, StartError) as error:
        stop(error)


@click.command()
def settings() -> None:
    """Print every setting of the appliance, with its meaning.

    Example: fairlead settings
    """
    from appliance.config import reference

    click.echo(reference())


@click.command("machine-token")
@config_option
@click.option("--name", required=True, help="What the audit trail calls the bearer, for example ci.")
@click.option("--days", type=click.IntRange(1, 365), default=30, show_default=True, help="How long it is valid.")
def machine_token(config: Path | None, name: str, days: int) -> None:
    """Make a token for the admin API and print it, once. Works on the appliance's own host only.

    Example: fairlead machine-token --config /etc/fairlead/fairlead.toml --name ci > ci.token
    """
    import trio

    from appliance.config import load
    from appliance.machine_token import MachineTokenError, mint
    from daemon.settings import ConfigError

    try:
        token = trio.run(mint, load(config, os.environ), name, days * 86400)
    except (ConfigError, MachineTokenError) as error:
        stop(error)
    click.echo(token)


@click.command("setup-code")
@config_option
def setup_code(config: Path | None) -> None:
    """Print a code that makes whoever types it on the appliance's page /fairlead/setup an administrator, once.

    For the first administrator, and for when no identity provider works. Works on the appliance's own host only; the
    code is good for an hour.

    Example: fairlead setup-code --config /etc/fairlead/fairlead.toml
    """
    import trio

    from appliance.config import load
    from appliance.setup_code import SetupCodeError, make
    from daemon.settings import ConfigError

    try:
        code = trio.run(make, load(config, os.environ))
    except (ConfigError, SetupCodeError) as error:
        stop(error)
    click.echo(code)


@click.group()
def keys() -> None:
    """Replace the appliance's keys.

    Example: fairlead keys rotate --config /etc/fairlead/fairlead.toml
    """


@keys.command()
@config_option
def rotate(config: Path | None) -> None:
    """Make a new key for kubeconfig credentials, while the appliance is stopped: with PostgreSQL, all of them.

    It signs from the next start on. What the last key signed stays good until it expires; what older keys signed is
    refused. So rotate twice to refuse every credential there is.

    Example: fairlead keys rotate --config /etc/fairlead/fairlead.toml
    """
    import trio

    from appliance.config import load
    from appliance.key_rotation import KeyRotationError
    from appliance.key_rotation import rotate as make
    from daemon.settings import ConfigError

    try:
        click.echo(f"New credentials will be signed with key {trio.run(make, load(config, os.environ))}.")
    except (ConfigError, KeyRotationError) as error:
        stop(error)
