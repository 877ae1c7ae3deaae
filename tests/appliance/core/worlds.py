"""Random small worlds for property tests: few names, so that everything meets everything."""

from __future__ import annotations

from hypothesis import strategies as st

from appliance.core.clusters import Cluster
from appliance.core.credentials import Credential
from appliance.core.people import Person
from appliance.core.roles import (
    EVERYWHERE,
    Binding,
    Permission,
    Role,
    Rule,
    Scope,
    ScopeKind,
    Subject,
    SubjectKind,
)
from appliance.core.snapshot import Entity, Snapshot
from wire.kube import Ask, understand

NOW = 1_800_000_000_000_000
ISSUER = "https://login.example.com"
CLUSTERS = (
    Cluster("cluster_1", "one", (("env", "prod"), ("team", "blue"))),
    Cluster("cluster_2", "two", (("env", "prod"),)),
    Cluster("cluster_3", "three"),
)
PEOPLE = (
    Person("person_1", ISSUER, "1", "ann@example.com", groups=("dev", "ops")),
    Person("person_2", ISSUER, "2", "ben@example.com", groups=("dev",)),
    Person("person_3", ISSUER, "3", "cat@example.com", groups=("dev",), enabled=False),
)
SPACES = ("blue", "green")
GROUPS = ("viewers", "admins")
VERBS = ("get", "list", "create", "update", "delete", "*")
RESOURCES = ("pods", "namespaces", "pods/log", "*/log", "*")

REQUESTS = (
    "GET /api/v1/namespaces/blue/pods",
    "GET /api/v1/namespaces/blue/pods/web",
    "GET /api/v1/namespaces/green/pods/db",
    "DELETE /api/v1/namespaces/green/pods/web",
    "GET /api/v1/namespaces/blue/pods/web/log",
    "POST /api/v1/namespaces/blue/pods/web/exec?command=sh",
    "GET /api/v1/namespaces/red/pods",
    "GET /api/v1/pods",
    "GET /api/v1/nodes",
    "GET /api/v1/namespaces/blue",
    "PUT /api/v1/namespaces/blue",
    "PUT /api/v1/namespaces/blue/finalize",
    "GET /api/v1/namespaces",
    "POST /apis/apps/v1/namespaces/blue/deployments",
    "GET /metrics",
    "GET /metrics/cadvisor",
    "GET /logs/secret",
    "GET /version",
    "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "SPLICE /api/v1/namespaces/blue/pods/web",
)


def ask(request: str) -> Ask:
    method, _, target = request.partition(" ")
    return understand(method.encode(), target.encode())


def some(values: tuple[str, ...], *, least: int = 0, most: int = 3) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), min_size=least, max_size=most, unique=True).map(tuple)


asks = st.sampled_from(REQUESTS).map(ask)
clusters = st.sampled_from((*CLUSTERS[:1] * 4, *CLUSTERS))
people = st.sampled_from((*PEOPLE[:1] * 4, *PEOPLE))
moments = st.integers(NOW - 3, NOW + 6)
untils = st.none() | st.none() | st.integers(NOW - 2, NOW + 5)
rules = st.one_of(
    st.builds(
        Rule,
        some(VERBS, least=1),
        some(("", "apps", "*"), least=1),
        some(RESOURCES, least=1),
        some(("web", "blue"), most=1),
    ),
    st.builds(Rule, some(VERBS, least=1), non_resource_urls=some(("/metrics", "/metrics/*", "*"), least=1)),
)
scopes = st.one_of(
    st.just(EVERYWHERE),
    st.sampled_from(((("env", "prod"),), (("team", "blue"),), (("env", "prod"), ("team", "blue")))).map(
        lambda labels: Scope(ScopeKind.LABELS, labels=labels)
    ),
    clusters.map(lambda it: Scope(ScopeKind.CLUSTER, it.id)),
    st.builds(
        lambda it, spaces: Scope(ScopeKind.NAMESPACES, it.id, namespaces=spaces), clusters, some(SPACES, least=1)
    ),
)
subjects = st.one_of(
    people.map(lambda it: Subject(SubjectKind.PERSON, it.id)),
    st.sampled_from(("dev", "ops")).map(lambda it: Subject(SubjectKind.GROUP, it, ISSUER)),
    st.just(Subject(SubjectKind.GROUP, "dev", "https://elsewhere.example.com")),
    st.just(Subject(SubjectKind.EMAIL, "ann@example.com", ISSUER)),
)
permissions = st.lists(
    st.sampled_from((Permission.CLUSTERS_READ, Permission.CLUSTERS_WRITE)), max_size=2, unique=True
).map(tuple)
roles = st.builds(
    lambda groups, rules, permissions: Role("", "", groups=groups, rules=tuple(rules), permissions=permissions),
    some(GROUPS),
    st.lists(rules, max_size=3),
    permissions,
)


@st.composite
def worlds(draw: st.DrawFn, least: int = 0, most: int = 6) -> Snapshot:
    """Three clusters, three people, and bindings of every kind."""
    snapshot = Snapshot()
    for cluster in CLUSTERS:
        snapshot.put(Entity.CLUSTER, cluster.id, cluster)
    for person in PEOPLE:
        snapshot.put(Entity.PERSON, person.id, person)
    for number in range(draw(st.integers(least, most))):
        given = draw(roles)
        role = Role(f"role_{number}", f"role-{number}", "", given.groups, given.rules, given.permissions)
        snapshot.put(Entity.ROLE, role.id, role)
        binding = Binding(f"b{number}", draw(subjects), role.id, draw(scopes), draw(untils))
        snapshot.put(Entity.BINDING, binding.id, binding)
    return snapshot


def credential(person: Person, cluster: Cluster) -> Credential:
    return Credential("cred_1", person.id, cluster.id, NOW - 1000, NOW + 1_000_000)
