"""Clusters: register, list with their live state, label, make a new bundle, revoke its agents, remove."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from appliance.api import bodies, pages, readers, render, shapes
from appliance.api.bodies import BodyError, Field
from appliance.api.journal import note
from appliance.api.routes import Answer, Call, Route
from appliance.core.clusters import Cluster, Labels, cluster_name_fault, labels_fault
from appliance.core.events import EventType
from appliance.core.liveness import ClusterState
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Permission
from appliance.core.snapshot import Entity
from appliance.core.versions import Guarded
from appliance.store import granting, ids, units
from appliance.store.unit import Unit


@bodies.reads(bodies.name)
def _name(where: str, value: Any) -> str:
    name = bodies.text(where, value)
    fault = cluster_name_fault(name)
    if fault is not None:
        raise BodyError(where, f"{fault}.")
    return name


@bodies.reads(bodies.labels)
def _labels(where: str, value: Any) -> Labels:
    labels = tuple(sorted(bodies.labels(where, value).items()))
    fault = labels_fault(labels)
    if fault is not None:
        raise BodyError(where, f"{fault}.")
    return labels


def find(call: Call, name_or_id: str) -> Cluster:
    """The cluster a path or a body names, if what the route needs is held on it: else there is none."""
    found = call.parts.snapshot().cluster(name_or_id)
    if found is None or not call.on(found):
        raise ProblemError(problem(Code.CLUSTER_NOT_FOUND, cluster=name_or_id[:64]))
    return found


async def listed(call: Call) -> Answer:
    """By name."""
    states = call.parts.states()
    registered = call.parts.snapshot().registered
    connected: bool | None = call.query["connected"]
    labels = set(call.query["labels"] or ())

    def seen(it: Cluster) -> bool:
        state = states.get(it.id)
        fits = connected is None or connected is (state is not None and state.connected)
        return fits and labels.issubset(it.labels) and call.on(it)

    return await pages.page(
        call,
        Entity.CLUSTER,
        call.parts.snapshot().clusters.values(),
        lambda it: (it.name,),
        str,
        seen=seen,
        shown=lambda it: _shown(call, it, states.get(it.id), registered),
    )


async def one(call: Call) -> Answer:
    cluster = find(call, call.path["cluster"])
    return Answer(200, _shown(call, cluster, call.parts.states().get(cluster.id)))


def _shown(
    call: Call, it: Cluster, state: ClusterState | None, registered: frozenset[str] | None = None
) -> dict[str, Any]:
    known = call.parts.snapshot().registered if registered is None else registered
    shown = render.cluster(it, state, registered=it.id in known, now=call.now)
    return {**shown, "agents": render.agents(state, call.now)}


async def register(call: Call) -> Answer:
    """A new cluster, and the bundle its agent starts from. The bundle is shown this once."""
    made = Cluster(ids.new_id("cluster"), call.body["name"], call.body["labels"], created_at=call.now)
    bundle = call.parts.make_bundle(made.id, call.now)

    def unit() -> Unit[None]:
        yield from granting.add_cluster(call.caller.subject, made, call.now)
        yield from units.add_bootstrap_token(bundle.token_sha256, made.id, bundle.expires_at)

    await call.parts.write(unit())
    await note(call, EventType.CLUSTER_REGISTERED, cluster=made, name=made.name)
    answer = _shown(call, made, None)
    return Answer(
        201, {**answer, "bundle": dict(bundle.document), "bundle_expires_at": render.moment(bundle.expires_at)}
    )


async def label(call: Call) -> Answer:
    """Bindings choose clusters by label, so whoever labels one gives rights."""
    cluster = find(call, call.path["cluster"])
    labels: Labels = call.body["labels"]
    edit: Guarded[Cluster] = call.guarded(render.cluster_tag, lambda it: replace(it, labels=labels))
    edited = await call.parts.write(granting.label_cluster(call.caller.subject, cluster.id, edit, call.now))
    shown = ",".join(f"{key}={value}" for key, value in labels)
    await note(call, EventType.CLUSTER_UPDATED, cluster=edited, labels=shown)
    return Answer(200, _shown(call, edited, call.parts.states().get(edited.id)))


async def new_bundle(call: Call) -> Answer:
    """Another bundle for a cluster whose first one was lost, spent or expired. Agents that run are not touched."""
    cluster = find(call, call.path["cluster"])
    bundle = call.parts.make_bundle(cluster.id, call.now)
    await call.parts.write(units.add_bootstrap_token(bundle.token_sha256, cluster.id, bundle.expires_at))
    await note(call, EventType.CLUSTER_UPDATED, cluster=cluster, made="bundle")
    return Answer(201, {"bundle": dict(bundle.document), "bundle_expires_at": render.moment(bundle.expires_at)})


async def revoke_agent(call: Call) -> Answer:
    """Refuse every certificate the cluster's agents hold, end their sessions, and make the bundle for the next one."""
    cluster = find(call, call.path["cluster"])
    bundle = call.parts.make_bundle(cluster.id, call.now)

    def unit() -> Unit[Cluster]:
        raised = yield from units.raise_generation(cluster.id, call.now)
        yield from units.add_bootstrap_token(bundle.token_sha256, cluster.id, bundle.expires_at)
        return raised

    raised = await call.parts.write(unit())
    await note(call, EventType.AGENT_REVOKED, cluster=raised, generation=raised.generation)
    return Answer(201, {"bundle": dict(bundle.document), "bundle_expires_at": render.moment(bundle.expires_at)})


async def remove(call: Call) -> Answer:
    cluster = find(call, call.path["cluster"])
    await call.parts.write(granting.remove_cluster(call.caller.subject, cluster.id, call.now))
    await note(call, EventType.CLUSTER_DELETED, cluster=cluster, name=cluster.name)
    return Answer(204)


ROUTES = (
    Route(
        "GET",
        "clusters",
        (Permission.CLUSTERS_READ,),
        listed,
        query=(
            *pages.QUERY,
            Field("connected", readers.flag, required=False),
            Field("labels", readers.selector, required=False),
        ),
        scoped=True,
        gives=shapes.Cluster,
    ),
    Route(
        "GET",
        "clusters/<cluster>",
        (Permission.CLUSTERS_READ,),
        one,
        scoped=True,
        gives=shapes.Cluster,
        refuses=(Code.CLUSTER_NOT_FOUND,),
    ),
    Route(
        "POST",
        "clusters",
        (Permission.CLUSTERS_WRITE,),
        register,
        body=(Field("name", _name), Field("labels", _labels, required=False, default=())),
        gives=shapes.RegisteredCluster,
        status=201,
        refuses=(Code.DUPLICATE_CLUSTER_NAME, Code.ESCALATION_FORBIDDEN),
    ),
    Route(
        "PATCH",
        "clusters/<cluster>",
        (Permission.CLUSTERS_WRITE,),
        label,
        body=(Field("labels", _labels),),
        scoped=True,
        gives=shapes.Cluster,
        refuses=(Code.CLUSTER_NOT_FOUND, Code.ESCALATION_FORBIDDEN),
    ),
    Route(
        "POST",
        "clusters/<cluster>/bundles",
        (Permission.CLUSTERS_WRITE,),
        new_bundle,
        body=(),
        scoped=True,
        gives=shapes.NewBundle,
        status=201,
        refuses=(Code.CLUSTER_NOT_FOUND,),
    ),
    Route(
        "POST",
        "clusters/<cluster>/revoke-agent",
        (Permission.CLUSTERS_WRITE,),
        revoke_agent,
        body=(),
        scoped=True,
        gives=shapes.NewBundle,
        status=201,
        refuses=(Code.CLUSTER_NOT_FOUND,),
    ),
    Route(
        "DELETE",
        "clusters/<cluster>",
        (Permission.CLUSTERS_WRITE,),
        remove,
        scoped=True,
        status=204,
        refuses=(Code.CLUSTER_NOT_FOUND, Code.LAST_ADMINISTRATOR),
    ),
)
