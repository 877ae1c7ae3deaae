"""The kinds the toy cluster knows: one table, from which paths, discovery and the OpenAPI documents follow.

It says how a kind is named and what may be asked of it, not what its objects hold (`schema_text`) or look like
(`tables`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
CREATE = ("create",)
UPDATE = ("get", "patch", "update")


@dataclass(frozen=True, slots=True)
class Subresource:
    """A path below an object, and the kind that is exchanged there if it is not the parent's own."""

    name: str
    verbs: tuple[str, ...]
    kind: str = ""
    group: str = ""
    version: str = ""


STATUS = Subresource("status", UPDATE)
SCALE = Subresource("scale", UPDATE, "Scale", "autoscaling", "v1")


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind: how it is spelt in paths and objects, and what may be done with it."""

    kind: str
    plural: str
    singular: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[Subresource, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def stored(self) -> bool:
        """Reviews answer and are forgotten; everything else is kept."""
        return "list" in self.verbs

    def subresource(self, name: str) -> Subresource | None:
        return next((sub for sub in self.subresources if sub.name == name), None)


NAMESPACES = Resource(
    "Namespace",
    "namespaces",
    "namespace",
    namespaced=False,
    short_names=("ns",),
    subresources=(Subresource("finalize", ("update",)), STATUS),
)
PODS = Resource(
    "Pod",
    "pods",
    "pod",
    short_names=("po",),
    categories=("all",),
    subresources=(
        Subresource("attach", ("create", "get"), "PodAttachOptions"),
        Subresource("ephemeralcontainers", UPDATE),
        Subresource("eviction", CREATE, "Eviction", "policy", "v1"),
        Subresource("exec", ("create", "get"), "PodExecOptions"),
        Subresource("log", ("get",)),
        Subresource("portforward", ("create", "get"), "PodPortForwardOptions"),
        STATUS,
    ),
)
CONFIG_MAPS = Resource("ConfigMap", "configmaps", "configmap", short_names=("cm",))
SECRETS = Resource("Secret", "secrets", "secret")
EVENTS = Resource("Event", "events", "event", short_names=("ev",))
SERVICES = Resource("Service", "services", "service", short_names=("svc",), categories=("all",), subresources=(STATUS,))
SERVICE_ACCOUNTS = Resource("ServiceAccount", "serviceaccounts", "serviceaccount", short_names=("sa",))
NODES = Resource("Node", "nodes", "node", namespaced=False, short_names=("no",), subresources=(STATUS,))
DEPLOYMENTS = Resource(
    "Deployment",
    "deployments",
    "deployment",
    group="apps",
    short_names=("deploy",),
    categories=("all",),
    subresources=(SCALE, STATUS),
)
REPLICA_SETS = Resource(
    "ReplicaSet",
    "replicasets",
    "replicaset",
    group="apps",
    short_names=("rs",),
    categories=("all",),
    subresources=(SCALE, STATUS),
)


def _review(kind: str, group: str, *, namespaced: bool = False) -> Resource:
    return Resource(kind, kind.lower() + "s", kind.lower(), group, namespaced=namespaced, verbs=CREATE)


ACCESS_REVIEWS = (
    _review("LocalSubjectAccessReview", "authorization.k8s.io", namespaced=True),
    _review("SelfSubjectAccessReview", "authorization.k8s.io"),
    _review("SelfSubjectRulesReview", "authorization.k8s.io"),
    _review("SubjectAccessReview", "authorization.k8s.io"),
)
SELF_SUBJECT_REVIEW = _review("SelfSubjectReview", "authentication.k8s.io")

RESOURCES: tuple[Resource, ...] = (
    CONFIG_MAPS,
    EVENTS,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    DEPLOYMENTS,
    REPLICA_SETS,
    SELF_SUBJECT_REVIEW,
    *ACCESS_REVIEWS,
)

STORED = tuple(resource for resource in RESOURCES if resource.stored)

_BY_PATH = {(resource.group, resource.version, resource.plural): resource for resource in RESOURCES}


def find(group: str, version: str, plural: str) -> Resource | None:
    return _BY_PATH.get((group, version, plural))


def groups() -> list[str]:
    """Group names in discovery order, the core group first."""
    return list(dict.fromkeys(resource.group for resource in RESOURCES))


def of_group(group: str) -> Iterable[Resource]:
    return (resource for resource in RESOURCES if resource.group == group)
