"""The `fairlead` command: what each sub-command is called, what it takes, and where it leads.

What always holds: a mistake ends in one sentence on standard error and exit code 1, never a traceback; the modules
that do the work are imported only by the command that needs them, so that `fairlead version` costs nothing; no option
carries a secret, because other users of a machine can read a command line.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import click

from ops.cli.audit import audit
from ops.cli.backup import backup, restore
from ops.cli.migrate import migrate
from ops.cli.verify import verify

_FILE = click.Path(dir_okay=False, path_type=Path)
_DIRECTORY = click.Path(file_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Access to Kubernetes clusters that accept no inbound connection, with plain kubectl.

    Example: fairlead demo
    """


@main.command()
@click.option("--config", type=_FILE, help="Settings (TOML). Environment variables FAIRLEAD_* override them.")
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
        _stop(error)


for command in (audit, migrate, backup, restore, verify):
    main.add_command(command)


@main.command()
def settings() -> None:
    """Print every setting of the appliance, with its meaning.

    Example: fairlead settings
    """
    from appliance.config import reference

    click.echo(reference())


@main.command("machine-token")
@click.option("--config", type=_FILE, help="The appliance's settings (TOML).")
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
        _stop(error)
    click.echo(token)


@main.command("setup-code")
@click.option("--config", type=_FILE, help="The appliance's settings (TOML).")
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
        _stop(error)
    click.echo(code)


@main.command("revoke-agent")
@click.option("--cluster", required=True, help="Its name or id.")
@click.option("--server", required=True, help="The appliance's public URL.")
@click.option("--token-file", type=_FILE, required=True, help="A file with a token for the admin API.")
@click.option("--ca", type=_FILE, help="The CA (PEM) of the appliance, unless this machine trusts it already.")
@click.option("--bundle-out", type=_FILE, required=True, help="Where the new bundle is written, for you alone to read.")
def revoke_agent(cluster: str, server: str, token_file: Path, ca: Path | None, bundle_out: Path) -> None:
    """Refuse every certificate of a cluster's agents, end their sessions, and get the bundle for a new agent.

    Example: fairlead revoke-agent --cluster prod --server https://fairlead.example.com --token-file t --bundle-out b
    """
    from ops.cli.revoke_agent import RevokeError, run

    try:
        run(cluster, server, token_file, ca, bundle_out)
    except RevokeError as error:
        _stop(error)


@main.group()
def keys() -> None:
    """Replace the appliance's keys.

    Example: fairlead keys rotate --config /etc/fairlead/fairlead.toml
    """


@keys.command()
@click.option("--config", type=_FILE, help="The appliance's settings (TOML).")
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
        _stop(error)


@main.command()
@click.option("--config", type=_FILE, help="Settings (TOML). Environment variables FAIRLEAD_AGENT_* override them.")
def agent(config: Path | None) -> None:
    """Run the agent: it dials out of a cluster to the appliance.

    Example: fairlead agent --config /etc/fairlead/agent.toml
    """
    from ops.cli.agent import AgentStartError, run

    try:
        run(config)
    except AgentStartError as error:
        _stop(error)


@main.command("toy-cluster")
@click.option("--listen", default="127.0.0.1:0", show_default=True, help="Address and port; port 0 takes a free one.")
@click.option("--dir", "directory", type=_DIRECTORY, required=True, help="Where ca.pem, token and url are written.")
def toy_cluster(listen: str, directory: Path) -> None:
    """Run an in-memory Kubernetes API, for trials and tests.

    Example: fairlead toy-cluster --dir /tmp/toy
    """
    from ops.cli.toy import run

    run(listen, directory)


@main.command()
@click.option("--kubeconfig", type=_FILE, help="Use the cluster of this kubeconfig instead of the toy cluster.")
@click.option("--context", help="The context to use; without it, the current one.")
@click.option("--group", help="The Kubernetes group the demo person gets.")
@click.option("--kubeconfig-out", type=_FILE, help="Write the finished kubeconfig here, once kubectl works.")
@click.option("--data", type=_DIRECTORY, help="Keep the data here, and use what is there; without it, a temporary one.")
def demo(
    kubeconfig: Path | None, context: str | None, group: str | None, kubeconfig_out: Path | None, data: Path | None
) -> None:
    r"""Start an appliance, an agent and a cluster, and print the line that makes kubectl work.

    \b
    Example: fairlead demo
             fairlead demo --kubeconfig ~/.kube/config --context kind-dev
    """
    import trio

    from ops.demo.demo import DemoError, Options, run
    from ops.demo.kubeconfig import KubeconfigError

    if context and not kubeconfig:
        _stop("--context names a context of --kubeconfig: give both.")
    options = Options(kubeconfig=kubeconfig, context=context, group=group, kubeconfig_out=kubeconfig_out, data=data)
    try:
        trio.run(run, options)
    except (DemoError, KubeconfigError) as error:
        _stop(error)


@main.command()
def version() -> None:
    """Print the version.

    Example: fairlead version
    """
    from importlib.metadata import version as installed

    click.echo(f"fairlead {installed('fairlead')}")


def _stop(reason: object) -> NoReturn:
    """End with one sentence."""
    click.echo(f"fairlead: {reason}", err=True)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
