"""`fairlead clusters`: register one and install its agent, list, show, label, cut its agents off, delete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from ops.cli.admin import installing, naming
from ops.cli.admin.desk import Desk, at
from ops.cli.admin.naming import CLUSTER
from ops.cli.admin.options import desk_command, labels, yes_option
from ops.cli.lazy import Group
from ops.cli.output import clean
from ops.cli.output.kinds import Kind
from ops.cli.output.tables import Column, Item, age

_API_SERVER = {None: "unknown", True: "answers", False: "silent"}


def _agent(it: Item) -> str:
    """One agent in a word: which, its version, the Kubernetes it sees, and how far away it is."""
    known = (it["name"], it["version"], it["kubernetes_version"], f"{it['round_trip_ms']} ms")
    return " ".join(str(one) for one in known if one and one != "None ms")


CLUSTERS = Kind(
    "cluster",
    "clusters",
    (
        Column("NAME", "name"),
        Column("STATE", "state", tone=True),
        Column("SINCE", "since", age),
        Column("LABELS", "labels", yields=True),
        Column("AGE", "created_at", age),
        Column("SESSIONS", "sessions", wide=True),
        Column("REASON", "reason", wide=True, yields=True),
        Column("API SERVER", lambda it: _API_SERVER[it["api_server"]["answers"]], wide=True),
        Column("AGENTS", lambda it: [_agent(one) for one in it.get("agents", [])], wide=True, yields=True),
        Column("ID", "id", wide=True),
    ),
)
STATES = ("pending", "connected", "degraded", "disconnected")


def install_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The bundle's place, and whom the new agent may act as."""
    for option in (
        click.option("--as-group", "groups", multiple=True, help="A group the agent may act in; several."),
        click.option(
            "--as-user",
            "users",
            multiple=True,
            help="A user the agent may act as; several. Without any: all users, and the groups of all roles.",
        ),
        click.option(
            "--bundle-out",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Where the bundle is written, for you alone to read; without it, NAME-bundle.json here.",
        ),
    ):
        command = option(command)
    return command


@click.group(cls=Group)
def clusters() -> None:
    """Clusters: register, list, label, delete; cut their agents off.

    Example: fairlead clusters list
    """


@clusters.command("list")
@click.option("--state", "wanted", type=click.Choice(STATES), help="Only those.")
@click.option("-l", "--label", "chosen", multiple=True, metavar="NAME=VALUE", help="Only those that carry it; several.")
@desk_command
def listed(desk: Desk, wanted: str | None, chosen: Sequence[str]) -> None:
    r"""List the clusters that you may see.

    \b
    Example: fairlead clusters list
             fairlead clusters list --state disconnected -l env=prod -o name
    """
    carried = ",".join(f"{name}={value}" for name, value in labels(chosen).items())
    found = desk.every("clusters", labels=carried or None)
    desk.show(CLUSTERS, [it for it in found if wanted in {None, it["state"]}])


@clusters.command()
@click.argument("cluster")
@desk_command
def show(desk: Desk, cluster: str) -> None:
    """Show one cluster: its state, since when, and why.

    Example: fairlead clusters show prod
    """
    desk.whole(CLUSTERS, naming.find(desk, CLUSTER, cluster))


@clusters.command()
@click.argument("name")
@click.option("-l", "--label", "given", multiple=True, metavar="NAME=VALUE", help="A label; several.")
@install_options
@desk_command
def register(desk: Desk, name: str, given: Sequence[str], bundle_out: Path | None, **names: Any) -> None:
    r"""Register a cluster and print the commands that install its agent.

    The bundle that the agent starts from is written to a file that you alone can read. It is good for one agent's
    first start; the answer says until when.

    \b
    Example: fairlead clusters register prod --label env=prod
             fairlead clusters register edge --bundle-out /secure/edge.json
    """
    file = installing.place(bundle_out, name)
    made = desk.api.post("clusters", {"name": name, "labels": labels(given)})
    _handed_over(desk, made, file, f"Registered cluster {name}.", **names)


@clusters.command()
@click.argument("cluster")
@click.argument("changes", nargs=-1, required=True, metavar="NAME=VALUE|NAME-...")
@click.option("--overwrite", is_flag=True, help="A label that is there may get another value.")
@desk_command
def label(desk: Desk, cluster: str, changes: Sequence[str], overwrite: bool) -> None:
    r"""Set and remove labels, as kubectl does. Bindings choose clusters by label: it is giving rights, and needs them.

    \b
    Example: fairlead clusters label prod env=prod team=web
             fairlead clusters label prod team-
    """
    found = naming.find(desk, CLUSTER, cluster)
    added = labels([it for it in changes if not it.endswith("-") or "=" in it], "A change of labels")
    gone = {it.removesuffix("-") for it in changes if it.endswith("-") and "=" not in it}
    before: dict[str, str] = dict(found["labels"])
    taken = sorted(name for name in added if before.get(name, added[name]) != added[name])
    if taken and not overwrite:
        raise click.UsageError(f"{taken[0]} is {clean.plain(before[taken[0]])} now; give --overwrite to change it.")
    after = {name: value for name, value in before.items() if name not in gone} | added
    edited = desk.api.patch(at("clusters", found["id"]), {"labels": after}, found["etag"])
    desk.done(CLUSTERS, edited, f"Labelled cluster {edited['name']}.")


@clusters.command()
@click.argument("cluster")
@install_options
@desk_command
def reissue(desk: Desk, cluster: str, bundle_out: Path | None, **names: Any) -> None:
    """Make another bundle, for a first one that was lost, spent or has expired. Agents that run go on.

    Example: fairlead clusters reissue prod
    """
    found = naming.find(desk, CLUSTER, cluster)
    file = installing.place(bundle_out, found["name"])
    made = desk.api.post(at("clusters", found["id"], "bundles"))
    _handed_over(desk, {**found, **made}, file, f"Made another bundle for cluster {found['name']}.", **names)


@clusters.command("revoke-agent")
@click.argument("cluster")
@install_options
@yes_option
@desk_command
def revoke_agent(desk: Desk, cluster: str, bundle_out: Path | None, yes: bool, **names: Any) -> None:
    """Refuse every certificate of a cluster's agents, end their sessions, and make the bundle for the next agent.

    Example: fairlead clusters revoke-agent prod --yes
    """
    found = naming.find(desk, CLUSTER, cluster)
    file = installing.place(bundle_out, found["name"])
    desk.consent(f"Cut off the agents of cluster {found['name']} ({found['id']}), until one starts anew?", yes)
    made = desk.api.post(at("clusters", found["id"], "revoke-agent"))
    _handed_over(desk, {**found, **made}, file, f"Revoked the agents of cluster {found['name']}.", **names)


@clusters.command()
@click.argument("cluster")
@yes_option
@desk_command
def delete(desk: Desk, cluster: str, yes: bool) -> None:
    """Delete a cluster with the bindings on it, and end what runs there. Its audit records stay.

    Example: fairlead clusters delete old --yes
    """
    found = naming.find(desk, CLUSTER, cluster)
    desk.consent(f"Delete cluster {found['name']} ({found['id']}), with all that is bound to it?", yes)
    desk.api.delete(at("clusters", found["id"]))
    desk.done(CLUSTERS, found, f"Deleted cluster {found['name']}.")


def _handed_over(desk: Desk, made: dict[str, Any], file: Path, what: str, **names: Sequence[str]) -> None:
    """The bundle into its file; for scripts the rest of the answer, for people what to do with it."""
    installing.write(file, made["bundle"])
    shown = {name: value for name, value in made.items() if name != "bundle"}
    if desk.form.for_people:
        until = f"Its bundle is in {file}, good for one agent until {made['bundle_expires_at']}."
        desk.said(
            "".join(
                f"{clean.plain(line)}\n"
                for line in [what, until, "", *installing.lines(desk, made["name"], file, **names)]
            )
        )
    else:
        desk.done(CLUSTERS, {**shown, "bundle_file": str(file)}, what)
