"""What holds of every world: rights only add up, never leak, and the fast answer is the slow one."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from appliance.core.clusters import Cluster
from appliance.core.decision import Denial, Permit, decide
from appliance.core.explain import able, explain, lets
from appliance.core.people import Person
from appliance.core.rights import Rights, escalation, rights
from appliance.core.roles import Binding, Holding, Role, Scope, ScopeKind, Subject, SubjectKind
from appliance.core.snapshot import Entity, Snapshot
from tests.appliance.core import worlds
from tests.appliance.core.worlds import CLUSTERS, PEOPLE
from wire.kube import Ask, is_discovery, is_self_review

WORLDS = worlds.worlds()
PROPERTY = settings(max_examples=300)


def decided(snapshot: Snapshot, person: Person, cluster: Cluster, ask: Ask, now: int) -> Permit | Denial:
    return decide(worlds.credential(person, cluster), snapshot, cluster.id, ask, now)


def slow(snapshot: Snapshot, person: Person, cluster: Cluster, ask: Ask, now: int) -> list[Binding]:
    """The bindings that allow a request, by the definition: look at each."""
    found = []
    for binding in snapshot.bindings_for(person.id, cluster.id):
        role = snapshot.roles.get(binding.role_id)
        if role is None or not binding.live(now):
            continue
        if is_discovery(ask) or is_self_review(ask) or Holding(binding, role).allows(ask):
            found.append(binding)
    return found


def elsewhere(snapshot: Snapshot, person: Person, cluster: Cluster, ask: Ask, now: int) -> set[str]:
    """The namespaces a denial names, by the definition: of bindings held elsewhere whose role allows the request."""
    found: set[str] = set()
    for binding in snapshot.bindings_for(person.id, cluster.id):
        role = snapshot.roles.get(binding.role_id)
        if role is not None and binding.live(now) and ask.namespace not in binding.scope.namespaces:
            found |= set(binding.scope.namespaces if ask.is_resource and role.allows(ask) else ())
    return found


def changed(snapshot: Snapshot, data: st.DataObject) -> None:
    """Something else holds now."""
    match data.draw(st.sampled_from(("groups", "labels", "role", "rebound", "unbound"))):
        case "groups":
            person = data.draw(worlds.people)
            snapshot.put(Entity.PERSON, person.id, replace(person, groups=data.draw(worlds.some(("dev", "ops")))))
        case "labels":
            cluster = data.draw(worlds.clusters)
            snapshot.put(Entity.CLUSTER, cluster.id, replace(cluster, labels=()))
        case "role":
            role = data.draw(worlds.roles)
            snapshot.put(Entity.ROLE, "role_0", replace(role, id="role_0", name="role-0"))
        case "rebound":
            binding = Binding("b0", data.draw(worlds.subjects), "role_1", data.draw(worlds.scopes))
            snapshot.put(Entity.BINDING, "b0", binding)
        case "unbound":
            snapshot.put(Entity.BINDING, "b1", None)


@given(
    worlds.worlds(least=2),
    worlds.people,
    worlds.clusters,
    st.lists(worlds.moments, min_size=1, max_size=3),
    st.permutations(worlds.REQUESTS),
    st.data(),
)
@PROPERTY
def test_the_quick_answer_is_the_slow_one_whatever_was_asked_and_changed_before_and_when(
    snapshot: Snapshot,
    person: Person,
    cluster: Cluster,
    moments: list[int],
    requests: list[str],
    data: st.DataObject,
) -> None:
    for now in moments:  # the clock may go backwards too
        for request in requests:
            check(snapshot, snapshot.people[person.id], snapshot.clusters[cluster.id], worlds.ask(request), now)
        changed(snapshot, data)


def check(snapshot: Snapshot, person: Person, cluster: Cluster, ask: Ask, now: int) -> None:
    """One decision beside the slow one."""
    expected = slow(snapshot, person, cluster, ask, now) if person.enabled else []
    found = decided(snapshot, person, cluster, ask, now)
    if not expected:
        assert isinstance(found, Denial)
        told = dict(found.problem.meta).get("namespaces", "")
        if person.enabled:
            assert told == ",".join(sorted(elsewhere(snapshot, person, cluster, ask, now)))
        return
    assert isinstance(found, Permit)
    assert found.binding_ids == tuple(it.id for it in expected)
    groups = {group for it in expected for group in snapshot.roles[it.role_id].groups}
    assert found.groups == tuple(sorted(groups))
    assert found.identity.groups == tuple(group.encode() for group in found.groups)
    assert found.until == min((it.until for it in expected if it.until is not None), default=None)


@given(WORLDS, worlds.people, worlds.clusters, worlds.asks, worlds.moments, st.data())
@PROPERTY
def test_taking_a_binding_away_never_allows_more(
    snapshot: Snapshot, person: Person, cluster: Cluster, ask: Ask, now: int, data: st.DataObject
) -> None:
    assume(snapshot.bindings)
    before = decided(snapshot, person, cluster, ask, now)
    snapshot.put(Entity.BINDING, data.draw(st.sampled_from(sorted(snapshot.bindings))), None)
    after = decided(snapshot, person, cluster, ask, now)
    if isinstance(after, Permit):
        assert isinstance(before, Permit)
        assert set(after.binding_ids) <= set(before.binding_ids)
        assert set(after.groups) <= set(before.groups)


@given(WORLDS, worlds.people, worlds.clusters, worlds.asks, worlds.moments)
@PROPERTY
def test_no_scope_leaks_to_another_cluster_or_namespace(
    snapshot: Snapshot, person: Person, cluster: Cluster, ask: Ask, now: int
) -> None:
    found = decided(snapshot, person, cluster, ask, now)
    if not isinstance(found, Permit):
        return
    for binding_id in found.binding_ids:
        binding = snapshot.bindings[binding_id]
        scope = binding.scope
        assert binding.until is None or now < binding.until
        if scope.kind in {ScopeKind.CLUSTER, ScopeKind.NAMESPACES}:
            assert scope.cluster_id == cluster.id
        if scope.kind is ScopeKind.LABELS:
            assert set(scope.labels) <= set(cluster.labels)
        if scope.kind is ScopeKind.NAMESPACES and not found.discovery:
            assert ask.namespace in scope.namespaces
        assert binding.subject.kind is not SubjectKind.EMAIL


@given(WORLDS, worlds.people, worlds.clusters, worlds.asks, worlds.moments)
@PROPERTY
def test_explain_says_what_decide_does_and_who_can_names_those(
    snapshot: Snapshot, person: Person, cluster: Cluster, ask: Ask, now: int
) -> None:
    found = decided(snapshot, person, cluster, ask, now)
    told = explain(snapshot, person, cluster, ask, now)
    assert told.allowed is isinstance(found, Permit)
    assert {it.binding for it in told.considered} == set(snapshot.bindings_of_person(person))
    if isinstance(found, Permit):
        assert tuple(it.binding.id for it in told.considered if it.allows) == found.binding_ids
        assert told.groups == found.groups
    letting = [it for it in snapshot.bindings.values() if lets(snapshot, it, cluster, ask, now)]
    may = {who.id for it in letting for who in able(snapshot, it, cluster).people}
    assert (person.id in may) is isinstance(found, Permit)


def mixed(data: st.DataObject, held: Rights) -> tuple[Role, Scope, int | None]:
    """Something to give, put together from pieces of what is held, so that it is often nearly held."""
    pieces = [it.role for it in held.held]
    groups = sorted({group for it in pieces for group in it.groups})
    rules = list(dict.fromkeys(rule for it in pieces for rule in it.rules))
    permissions = list(dict.fromkeys(it for role in pieces for it in role.permissions))
    role = Role(
        "role_new",
        "new",
        groups=data.draw(worlds.some(tuple(groups))) if groups else (),
        rules=tuple(data.draw(st.lists(st.sampled_from(rules) | worlds.rules if rules else worlds.rules, max_size=2))),
        permissions=tuple(data.draw(st.lists(st.sampled_from(permissions), max_size=1))) if permissions else (),
    )
    scope = data.draw(st.sampled_from([it.binding.scope for it in held.held]) | worlds.scopes)
    return role, scope, data.draw(worlds.untils)


@given(worlds.worlds(least=2), st.sampled_from(PEOPLE[:2]), st.data())
@settings(max_examples=600)
def test_what_someone_may_give_they_could_have_done_themselves(
    snapshot: Snapshot, giver: Person, data: st.DataObject
) -> None:
    now = worlds.NOW
    held = rights(snapshot, Subject(SubjectKind.PERSON, giver.id), now)
    assume(held.held)
    role, scope, until = mixed(data, held)
    cluster = snapshot.clusters.get(scope.cluster_id)
    if escalation(held, role, scope, cluster, until) is not None:
        return
    before = Snapshot()
    for entity, table in (
        (Entity.CLUSTER, snapshot.clusters),
        (Entity.PERSON, snapshot.people),
        (Entity.ROLE, snapshot.roles),
        (Entity.BINDING, snapshot.bindings),
    ):
        for identity, value in table.items():
            before.put(entity, identity, value)
    # The most they could do with it: give it to themselves, and use it at the last moment it lasts.
    given_to = Subject(SubjectKind.PERSON, giver.id)
    snapshot.put(Entity.ROLE, role.id, role)
    snapshot.put(Entity.BINDING, "b_new", Binding("b_new", given_to, role.id, scope, until))
    for moment in {now, now + 4} if until is None else {now, max(now, until - 1)}:
        for cluster in CLUSTERS:
            for request in worlds.REQUESTS:
                ask = worlds.ask(request)
                after = decided(snapshot, giver, cluster, ask, moment)
                if isinstance(after, Permit):
                    was = decided(before, giver, cluster, ask, moment)
                    assert isinstance(was, Permit), (request, cluster.name, role, scope)
                    assert set(after.groups) == set(was.groups)
        more = rights(snapshot, given_to, moment)
        less = rights(before, given_to, moment)
        for permission in role.permissions:
            for cluster in CLUSTERS:
                assert more.on(permission, cluster) == less.on(permission, cluster)
            assert more.everywhere(permission) == less.everywhere(permission)
