"""`fairlead kube`: the clusters one can reach, and kubectl's way to them.

`kube token`, which kubectl calls, is `ops.cli.plugin`; here it is only described.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from ops.cli import kubeconfig, places, plugin_renewal, profiles
from ops.cli.client import CA_VARIABLE, SERVER_VARIABLE, TOKEN_FILE_VARIABLE, Client, connected
from ops.cli.faults import Exit, Fault
from ops.cli.issuing import issue
from ops.cli.kube_entries import Entry
from ops.cli.lazy import Group
from ops.cli.options import given, output_option
from ops.cli.output import clean
from ops.cli.output.kinds import Kind
from ops.cli.output.tables import Column
from ops.cli.output.times import read_span
from ops.cli.showing import show

CLUSTERS = Kind(
    "cluster",
    "clusters",
    (
        Column("NAME", "name"),
        Column("STATE", lambda it: "connected" if it["connected"] else "disconnected", tone=True),
        Column("NAMESPACES", lambda it: "all" if it.get("namespaces") is None else it["namespaces"], yields=True),
        Column("CONTEXT", "contexts"),
        Column("LABELS", "labels", wide=True, yields=True),
        Column("ID", "id", wide=True),
    ),
)


@click.group(cls=Group)
def kube() -> None:
    """List the clusters you can reach, and give kubectl a way to them.

    Example: fairlead kube ls
    """


@kube.command("list")
@output_option
def list_() -> None:
    """List the clusters you can reach, and the contexts of your kubeconfig that lead there.

    Example: fairlead kube list -o wide
    """
    with connected() as api:
        clusters = _reachable(api)
        contexts = [it for it in kubeconfig.marked() if it.server == api.profile.server]
    items = [{**it, "contexts": [one.context for one in contexts if one.cluster == it["name"]]} for it in clusters]
    show(CLUSTERS, items, "You can reach no cluster here. Ask your administrator, or: fairlead access request")


@kube.command("login")
@click.argument("cluster")
@click.option("--context", metavar="NAME", help="What the context is called.  [default: fairlead-CLUSTER]")
@click.option("-n", "--namespace", metavar="NAME", help="The context's namespace, if not the only one allowed.")
@click.option("--static", is_flag=True, help="Write a token instead of the credential plugin: for programs without it.")
@click.option("--ttl", metavar="TIME", help="How long the token of --static is good, 8h at most.")
@click.option("--keep-context", is_flag=True, help="Do not make it the current context.")
def login(
    cluster: str, context: str | None, namespace: str | None, static: bool, ttl: str | None, keep_context: bool
) -> None:
    r"""Let kubectl reach a cluster: a context in your kubeconfig, with credentials that renew themselves.

    CLUSTER is a name or an id. Other entries of the file stay as they are. kubectl asks `fairlead kube token` for its
    credentials; with --static a token is written into the file instead, which is good until it expires;
    a file that others may use is refused then.

    \b
    Example: fairlead kube login prod
             fairlead kube login prod --static --ttl 1h --context ci-prod
    """
    if ttl is not None and not static:
        raise click.UsageError("--ttl is of --static: what the plugin gets is renewed by itself.")
    try:
        seconds = read_span(ttl) if ttl is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--ttl") from None
    with connected() as api:
        found = _named(api, cluster)
        name = context or f"fairlead-{found['name']}"
        if static:
            kubeconfig.refuse_shared(kubeconfig.home_of(name))
        issued = issue(api, found["name"], "static" if static else "plugin", seconds)
        allowed = found.get("namespaces") or []
        entry = Entry(
            context=name,
            cluster=str(found["name"]),
            appliance=api.profile.server,
            server=issued.server,
            ca=issued.ca or api.profile.ca,
            namespace=namespace or (allowed[0] if len(allowed) == 1 else ""),
            profile=api.profile.name,
            account=_pinned(api),
            token=issued.token if static else "",
            environment=_machine_environment() if api.profile.name == places.MACHINE else (),
        )
    file = kubeconfig.put(entry, switch=not keep_context)
    if not static:
        plugin_renewal.keep(entry.profile, entry.cluster, entry.account, issued)
    name = clean.plain(name)
    click.echo(f"The context {name} is in {file}{'' if keep_context else ', and is the current one'}.")
    if not found["connected"]:
        click.echo(
            f"The agent of {clean.plain(found['name'])} is not connected now: kubectl will not get through.", err=True
        )
    click.echo(f"  Next: kubectl {'--context ' + name + ' ' if keep_context else ''}get pods", err=True)


@kube.command("logout")
@click.argument("cluster")
def logout(cluster: str) -> None:
    """Take the way to a cluster away: revoke the credentials that are kept for it, and remove our contexts.

    Example: fairlead kube logout prod
    """
    with connected() as api:
        contexts = [it for it in kubeconfig.marked() if it.server == api.profile.server]
        name = cluster
        if cluster not in {it.cluster for it in contexts}:  # an id, perhaps
            name = next((str(it["name"]) for it in _reachable(api) if it["id"] == cluster), cluster)
        tokens = kubeconfig.tokens({it.context for it in contexts if it.cluster == name})
        kept = plugin_renewal.forget(api.profile.name, _pinned(api) or api.account, name)
        tokens += [kept] if kept else []
        for it in tokens:
            api.post("credentials/revoke-by-token", {"token": it})
        removed = kubeconfig.remove(api.profile.server, name)
    if not removed and not tokens:
        raise Fault(f"Nothing here leads to {cluster}.", Exit.NOT_FOUND, next_step="fairlead kube ls")
    for context in removed:
        click.echo(f"The context {clean.plain(context)} is removed from your kubeconfig.")
    for _ in tokens:
        click.echo(f"A credential for {clean.plain(name)} is revoked.")


@kube.command("token")
@click.option("--cluster", metavar="NAME", required=True, help="The cluster.")
@click.option("--account", metavar="NAME", default="", help="The account, if not the one that is in use.")
def token(cluster: str, account: str) -> None:
    r"""Print a credential for kubectl: what `fairlead kube login` writes into a kubeconfig calls this.

    It is a credential plugin (client.authentication.k8s.io). What it prints is good for fifteen minutes, and is kept
    until then, for you alone to read.

    \b
    Example: fairlead kube token --cluster prod
    """
    from ops.cli import plugin

    machine = os.environ.get(TOKEN_FILE_VARIABLE) and given().profile in {"", places.MACHINE}
    profile = places.MACHINE if machine else profiles.read().chosen(given().profile).name
    wanted = ["--profile", profile, "--cluster", cluster]
    server = os.environ.get(SERVER_VARIABLE) if machine else None  # without it, asking says so
    who = account or (_machine_account(profiles.origin(server)) if server else given().account)
    raise SystemExit(plugin.run([*wanted, "--account", who] if who else wanted))


def _reachable(api: Client) -> list[dict[str, Any]]:
    return list(api.pages("me/clusters" if api.account else "clusters"))


def _named(api: Client, cluster: str) -> dict[str, Any]:
    """The cluster of this name or id."""
    try:
        known = _reachable(api)
    except Fault as fault:
        if api.account or fault.exit_code is not Exit.FORBIDDEN:
            raise
        return {"name": cluster, "connected": True}  # a machine that may use clusters, and not list them
    found = next((it for it in known if cluster in {it["name"], it["id"]}), None)
    if found is None:
        raise Fault(f"You can reach no cluster {cluster}.", Exit.NOT_FOUND, next_step="fairlead kube ls")
    return found


def _pinned(api: Client) -> str:
    """The account that a kubeconfig names: the one of this command, if it is not simply the one in use."""
    if api.profile.name == places.MACHINE:
        return _machine_account(api.profile.server)
    return api.account if api.account != api.profile.account else ""


def _machine_account(server: str) -> str:
    """Which machine, where: what is kept for one must not be handed to another."""
    return f"{server} {Path(os.environ[TOKEN_FILE_VARIABLE]).absolute()}"


def _machine_environment() -> tuple[tuple[str, str], ...]:
    """What the plugin needs to find the machine's token, wherever kubectl is run."""
    known = {TOKEN_FILE_VARIABLE: os.environ[TOKEN_FILE_VARIABLE], CA_VARIABLE: os.environ.get(CA_VARIABLE, "")}
    paths = tuple((name, str(Path(value).absolute())) for name, value in known.items() if value)
    return ((SERVER_VARIABLE, os.environ[SERVER_VARIABLE]), *paths)
