"""Why Fairlead's roles do not let a request through, told so that the reader knows what would work.

Pure. The decision is made elsewhere; this only finds the sentence: another namespace, a role on the whole cluster, or a
role at all. It says that Fairlead refused, because the cluster's own RBAC refuses in similar words and is mended by
other people. Whether a resource has namespaces is known for Kubernetes' own kinds; for others the URL must tell.
"""

from __future__ import annotations

from collections.abc import Sequence

from appliance.core.problems import ASK_FOR_THE_WHOLE, Code, Problem, problem, remedy
from appliance.core.roles import ANY
from wire.kube import Ask

MAX_NAMED_NAMESPACES = 10  # in a denial; more would not be read
MAX_ACTION_CHARS = 256  # a path may have thousands, and the answer repeats it

About = tuple[tuple[str, str], ...]

CLUSTER_SCOPED = frozenset(
    {
        ("", "componentstatuses"),
        ("", "namespaces"),
        ("", "nodes"),
        ("", "persistentvolumes"),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
        ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
        ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        ("apiregistration.k8s.io", "apiservices"),
        ("certificates.k8s.io", "certificatesigningrequests"),
        ("flowcontrol.apiserver.k8s.io", "flowschemas"),
        ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"),
        ("metrics.k8s.io", "nodes"),
        ("networking.k8s.io", "ingressclasses"),
        ("node.k8s.io", "runtimeclasses"),
        ("rbac.authorization.k8s.io", "clusterrolebindings"),
        ("rbac.authorization.k8s.io", "clusterroles"),
        ("scheduling.k8s.io", "priorityclasses"),
        ("storage.k8s.io", "csidrivers"),
        ("storage.k8s.io", "csinodes"),
        ("storage.k8s.io", "storageclasses"),
        ("storage.k8s.io", "volumeattachments"),
    }
)


def forbidden(ask: Ask, cluster: str, namespaces: Sequence[str], about: About, command: str | None = None) -> Problem:
    """No role allows `ask` where it was asked; in `namespaces` (sorted) the same would be allowed.

    `command` asks for a role that would allow it here.
    """
    if not namespaces:
        return problem(Code.FORBIDDEN, action=action(ask), cluster=cluster, remedy=remedy(command), meta=about)
    meta = (*about, ("namespaces", ",".join(namespaces[:MAX_NAMED_NAMESPACES])))
    if _beyond_namespaces(ask):
        return problem(
            Code.CLUSTER_SCOPE_FORBIDDEN,
            action=action(ask),
            cluster=cluster,
            namespaces=_named(namespaces),
            remedy=remedy(command, ASK_FOR_THE_WHOLE),
            meta=meta,
        )
    return problem(
        Code.NAMESPACE_FORBIDDEN,
        action=_short(f"{_verb(ask)} {_what(ask)}"),
        cluster=cluster,
        namespaces=_named(namespaces),
        asked=f"in the namespace {_short(ask.namespace)}" if ask.namespace else "in all namespaces",
        example=namespaces[0],
        meta=meta,
    )


def action(ask: Ask) -> str:
    """What was asked, as one would say it: `list pods in the namespace blue`."""
    if ask.resource == "namespaces" and not ask.group and ask.name:
        part = f"the {ask.subresource} of " if ask.subresource else ""
        return _short(f"{_verb(ask)} {part}the namespace {ask.name}")
    return _short(f"{_verb(ask)} {_what(ask)}{f' in the namespace {ask.namespace}' if ask.namespace else ''}")


def _verb(ask: Ask) -> str:
    return "do anything with" if ask.verb == ANY else ask.verb or ask.method


def _short(text: str) -> str:
    return text if len(text) <= MAX_ACTION_CHARS else text[:MAX_ACTION_CHARS] + "..."


def _what(ask: Ask) -> str:
    if not ask.is_resource:
        return ask.path
    resource = "all resources" if ask.resource == ANY else ask.resource
    if ask.group and ask.group != ANY:
        resource = f"{resource}.{ask.group}"
    return f"{resource}/{ask.subresource}" if ask.subresource else resource


def _beyond_namespaces(ask: Ask) -> bool:
    """Tell whether naming another namespace would not help, because what is asked for lies in none."""
    if (ask.group, ask.resource) in CLUSTER_SCOPED:
        return True
    # Objects in namespaces are named and created below their namespace; lists and watches may span all of them.
    return not ask.namespace and ask.verb not in {"list", "watch", "deletecollection"}


def _named(namespaces: Sequence[str]) -> str:
    named = ", ".join(namespaces[:MAX_NAMED_NAMESPACES])
    more = len(namespaces) - MAX_NAMED_NAMESPACES
    if len(namespaces) == 1:
        return f"the namespace {named}"
    return f"the namespaces {named}{f' and {more} more' if more > 0 else ''}"
