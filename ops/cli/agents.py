"""`fairlead agent` and what is done about agents from outside a cluster."""

from __future__ import annotations

from pathlib import Path

import click

from ops.cli.running import FILE, stop


@click.command()
@click.option("--config", type=FILE, help="Settings (TOML). Environment variables FAIRLEAD_AGENT_* override them.")
@click.option("--bootstrap", type=FILE, help="The bundle that a first start needs; instead of the setting `bundle`.")
def agent(config: Path | None, bootstrap: Path | None) -> None:
    r"""Run the agent: it dials out of a cluster to the appliance.

    \b
    Example: fairlead agent --config /etc/fairlead/agent.toml
             fairlead agent --config agent.toml --bootstrap prod-bundle.json
    """
    from ops.cli.agent import AgentStartError, run

    try:
        run(config, bootstrap)
    except AgentStartError as error:
        stop(error)


@click.command("revoke-agent")
@click.option("--cluster", required=True, help="Its name or id.")
@click.option("--server", required=True, help="The appliance's public URL.")
@click.option("--token-file", type=FILE, required=True, help="A file with a token for the admin API.")
@click.option("--ca", type=FILE, help="The CA (PEM) of the appliance, unless this machine trusts it already.")
@click.option("--bundle-out", type=FILE, required=True, help="Where the new bundle is written, for you alone to read.")
def revoke_agent(cluster: str, server: str, token_file: Path, ca: Path | None, bundle_out: Path) -> None:
    """Refuse every certificate of a cluster's agents, end their sessions, and get the bundle for a new agent.

    Example: fairlead revoke-agent --cluster prod --server https://fairlead.example.com --token-file t --bundle-out b
    """
    from ops.cli.revoke_agent import run

    run(cluster, server, token_file, ca, bundle_out)
