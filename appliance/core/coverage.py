"""Whether one scope contains another, and whether rules that someone holds cover a rule.

Rules are compared as Kubernetes' own check against escalation does (k8s.io/component-helpers, auth/rbac/validation): a
rule is taken apart into single requests, and each must be covered by one rule that is held. What always holds: an
answer of "covered" is never wrong; where taking apart would cost too much, the answer is "not covered".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from appliance.core.clusters import Cluster
from appliance.core.roles import ANY, Rule, Scope, ScopeKind

MAX_PARTS = 1_000  # of one rule taken apart; an honest rule that no single held rule covers has a dozen
EVERYTHING = (Rule((ANY,), (ANY,), (ANY,)), Rule((ANY,), non_resource_urls=(ANY,)))
"""What a role without rules allows outside namespaces, written as rules."""


def contains(outer: Scope, inner: Scope, cluster: Cluster | None) -> bool:
    """Whether everything inside `inner` is inside `outer`.

    `cluster` is the one `inner` names, as it is now; None when it names none, or one that does not exist: then no
    scope by label contains it.
    """
    match outer.kind:
        case ScopeKind.EVERYWHERE:
            return True
        case ScopeKind.LABELS:
            if inner.kind is ScopeKind.LABELS:
                return set(outer.labels) <= set(inner.labels)
            return cluster is not None and cluster.id == inner.cluster_id and outer.covers(cluster)
        case ScopeKind.CLUSTER:
            return inner.cluster_id == outer.cluster_id
        case ScopeKind.NAMESPACES:
            return (
                inner.kind is ScopeKind.NAMESPACES
                and inner.cluster_id == outer.cluster_id
                and set(inner.namespaces) <= set(outer.namespaces)
            )


def covers(held: Sequence[Rule], wanted: Rule) -> bool:
    """Whether whatever `wanted` allows is allowed by some rule in `held`."""
    if any(_one_covers(rule, wanted) for rule in held):
        return True
    if _parts_count(wanted) > MAX_PARTS:
        return False
    return all(any(_one_covers(rule, part) for rule in held) for part in _parts(wanted))


def beyond_namespaces(rule: Rule) -> bool:
    """Whether the rule lets someone confined to a namespace do what they may not without rules: change it itself."""
    if not ({"", ANY} & set(rule.api_groups)):
        return False
    touched = [it for it in rule.resources if it.partition("/")[0] in {ANY, "namespaces"}]
    return bool(touched) and not (set(rule.verbs) <= {"get"} and set(touched) <= {"namespaces"})


def _one_covers(held: Rule, wanted: Rule) -> bool:
    """Dimension by dimension: the whole of `wanted` inside one held rule."""
    if ANY not in held.verbs and not set(wanted.verbs) <= set(held.verbs):
        return False
    if wanted.non_resource_urls:
        return all(any(_url_covers(it, url) for it in held.non_resource_urls) for url in wanted.non_resource_urls)
    if not held.resources or (ANY not in held.api_groups and not set(wanted.api_groups) <= set(held.api_groups)):
        return False
    if held.resource_names and not (wanted.resource_names and set(wanted.resource_names) <= set(held.resource_names)):
        return False
    return all(any(_resource_covers(it, resource) for it in held.resources) for resource in wanted.resources)


def _resource_covers(held: str, wanted: str) -> bool:
    if held in {ANY, wanted}:
        return True
    return held.startswith("*/") and "/" in wanted and wanted.partition("/")[2] == held[2:]


def _url_covers(held: str, wanted: str) -> bool:
    return held in {ANY, wanted} or (held.endswith(ANY) and wanted.startswith(held[:-1]))


def _parts_count(rule: Rule) -> int:
    if rule.non_resource_urls:
        return len(rule.verbs) * len(rule.non_resource_urls)
    return len(rule.verbs) * len(rule.api_groups) * len(rule.resources) * max(1, len(rule.resource_names))


def _parts(rule: Rule) -> Iterator[Rule]:
    if rule.non_resource_urls:
        for verb, url in product(rule.verbs, rule.non_resource_urls):
            yield Rule((verb,), non_resource_urls=(url,))
        return
    names: list[tuple[str, ...]] = [(name,) for name in rule.resource_names] or [()]
    for verb, group, resource, name in product(rule.verbs, rule.api_groups, rule.resources, names):
        yield Rule((verb,), (group,), (resource,), name)
