"""Every command there is, by name, with where it lies: `fairlead NAME` imports no more than that one.

A new command is a row here and a file of its own noun. Its class is `ops.cli.lazy.Command` (which `Group.command`
makes), so that it takes the common options; it gets at the appliance by `ops.cli.client.connected`.
"""

from __future__ import annotations

import click

from ops.cli import options
from ops.cli.lazy import Root

COMMANDS: dict[str, tuple[str, str]] = {
    # For people
    "accounts": ("ops.cli.accounts:accounts", "Who you are signed in as; use another account."),
    "completion": ("ops.cli.completion:completion", "Let your shell complete commands: bash, zsh, fish."),
    "config": ("ops.cli.settings_here:config", "What this command keeps on this machine."),
    "doctor": ("ops.cli.doctor:doctor", "Look for what stands between you and a cluster."),
    "kube": ("ops.cli.kube:kube", "The clusters you can reach, and kubectl's way to them."),
    "login": ("ops.cli.login:login", "Sign in to an appliance."),
    "logout": ("ops.cli.logout:logout", "Sign out, here and at the appliance."),
    "profiles": ("ops.cli.accounts:profiles_", "The appliances you work with; use another one."),
    "status": ("ops.cli.whoami:status", "Where you are signed in, and what you can reach."),
    "version": ("ops.cli.version:version", "Print the version."),
    "whoami": ("ops.cli.whoami:whoami", "Who you are to the appliance, and what you may do."),
    # For administrators
    "access": ("ops.cli.admin.access:access", "Ask for a role for a while; approve, deny, revoke."),
    "authority": ("ops.cli.admin.authority:authority", "The agents' certificate authority, and its change."),
    "bindings": ("ops.cli.admin.bindings:bindings", "Who has which role, where, until when."),
    "clusters": ("ops.cli.admin.clusters:clusters", "Register clusters, label them, cut their agents off."),
    "credentials": ("ops.cli.admin.credentials:credentials", "List, issue and revoke kubeconfig credentials."),
    "explain": ("ops.cli.admin.questions:explain", "Say why a user may do something, or not."),
    "machines": ("ops.cli.admin.machines:machines", "Programs with rights of their own, and their tokens."),
    "policies": ("ops.cli.admin.policies:policies", "Which roles can be asked for, by whom, for how long."),
    "providers": ("ops.cli.admin.providers:providers", "The identity providers that people sign in by."),
    "roles": ("ops.cli.admin.roles:roles", "What may be bound: groups, rules, permissions."),
    "sessions": ("ops.cli.admin.sessions:sessions", "Who is signed in; end a session."),
    "trust": ("ops.cli.admin.trust:trust", "Whose tokens make their bearer one of our machines."),
    "users": ("ops.cli.admin.users:users", "Users: list, show, disable, enable, delete."),
    "webhooks": ("ops.cli.admin.webhooks:webhooks", "Who is told of access requests."),
    "who-can": ("ops.cli.admin.questions:who_can", "List who may do something on a cluster."),
    # On the appliance's host, in a cluster, on a laptop to try it
    "agent": ("ops.cli.agents:agent", "Run the agent: it dials out of a cluster to the appliance."),
    "audit": ("ops.cli.audit:audit", "Search, follow, export and verify the audit records."),
    "backup": ("ops.cli.backup:backup", "Write a backup of everything, encrypted."),
    "demo": ("ops.cli.trial:demo", "Start an appliance, an agent and a cluster, to try it."),
    "keys": ("ops.cli.host:keys", "Replace the appliance's keys."),
    "machine-token": ("ops.cli.host:machine_token", "Make a token for the admin API, on the appliance's host."),
    "migrate": ("ops.cli.migrate:migrate", "Bring the appliance's database up to date."),
    "restore": ("ops.cli.backup:restore", "Put a backup in place of what is there."),
    "revoke-agent": ("ops.cli.agents:revoke_agent", "Refuse a cluster's agents, and get a bundle for a new one."),
    "serve": ("ops.cli.host:serve", "Run the appliance: what people and agents connect to."),
    "settings": ("ops.cli.host:settings", "Print every setting of the appliance."),
    "setup-code": ("ops.cli.host:setup_code", "Print a code that makes someone an administrator, once."),
    "toy-cluster": ("ops.cli.trial:toy_cluster", "Run an in-memory Kubernetes API."),
    "verify": ("ops.cli.verify:verify", "Say what is wrong with what the appliance keeps."),
}


@click.group(
    cls=Root,
    lazy=COMMANDS,
    params=[*options.everywhere(), options.account_option()],
    context_settings={"help_option_names": ["-h", "--help"]},
)
def fairlead() -> None:
    """Access to Kubernetes clusters that accept no inbound connection, with plain kubectl.

    Example: fairlead demo
    """
