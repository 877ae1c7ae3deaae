"""Who may what, and what ends a stream: the table of decisions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.core import standing
from appliance.core.clusters import Cluster
from appliance.core.credentials import Credential
from appliance.core.decision import Denial, Permit, decide, withdrawn
from appliance.core.people import Person
from appliance.core.problems import Code
from appliance.core.roles import EVERYWHERE, Binding, Role, Rule, Scope, ScopeKind, Subject, SubjectKind
from appliance.core.snapshot import Entity, Revocation, Snapshot
from wire.kube import understand

NOW = 1_800_000_000_000_000
HOUR = 3600 * 1_000_000
ALICE = Person("person_1", "https://idp.example.com", "alice", "alice@example.com", groups=("dev",))
PROD = Cluster("cluster_1", "prod", (("env", "prod"),))
CREDENTIAL = Credential("cred_1", "person_1", "cluster_1", NOW - HOUR, NOW + HOUR)
ME = Subject(SubjectKind.PERSON, "person_1")
SPACES = Scope(ScopeKind.NAMESPACES, "cluster_1", namespaces=("blue", "green"))


def still_permitted(permit: Permit, snapshot: Snapshot, now: int) -> bool:
    return withdrawn(permit, snapshot, now) is None


class World:
    """A snapshot built up line by line."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.put(Entity.CLUSTER, PROD)
        self.put(Entity.PERSON, ALICE)
        self.bindings = 0

    def put(self, entity: Entity, value: object) -> None:
        self.snapshot.put(entity, value.id, value)  # type: ignore[attr-defined]

    def role(self, name: str, *rules: Rule, groups: tuple[str, ...] | None = None) -> World:
        self.put(Entity.ROLE, Role(name, name, groups=(f"{name}s",) if groups is None else groups, rules=rules))
        return self

    def bind(self, role: str, scope: Scope = EVERYWHERE, subject: Subject = ME, until: int | None = None) -> World:
        self.bindings += 1
        self.put(Entity.BINDING, Binding(f"b{self.bindings}", subject, role, scope, until))
        return self

    def ask(
        self, request: str, credential: Credential = CREDENTIAL, cluster: str = "cluster_1", now: int = NOW
    ) -> Permit | Denial:
        method, _, target = request.partition(" ")
        return decide(credential, self.snapshot, cluster, understand(method.encode(), target.encode()), now)

    def allowed(self, request: str, now: int = NOW) -> Permit:
        found = self.ask(request, now=now)
        assert isinstance(found, Permit), found
        return found

    def denied(self, request: str, credential: Credential = CREDENTIAL, cluster: str = "cluster_1") -> Denial:
        found = self.ask(request, credential, cluster)
        assert isinstance(found, Denial), found
        return found


GET_POD = "GET /api/v1/namespaces/blue/pods/web"


def test_a_permit_says_as_whom_and_why() -> None:
    permit = World().role("viewer").bind("viewer").allowed(GET_POD)
    assert permit.identity.user == b"alice@example.com"
    assert permit.identity.uid == b"person_1"
    assert permit.identity.groups == (b"viewers",)
    assert permit.identity.extra == ((b"fairlead.dev/credential", b"cred_1"),)
    assert (permit.binding_ids, permit.groups, permit.rule) == (("b1",), ("viewers",), "viewer by b1")
    assert (permit.person_name, permit.cluster_name, permit.credential_id) == ("alice@example.com", "prod", "cred_1")


def test_without_a_binding_nothing_is_allowed_not_even_discovery() -> None:
    for request in (GET_POD, "GET /api", "GET /version"):
        denial = World().role("viewer").denied(request)
        assert denial.problem.code is Code.NO_ROLE_ASSIGNMENT
        assert denial.problem.status == 403
        assert "prod" in denial.problem.message


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"cluster_id": "cluster_2"}, Code.CLUSTER_MISMATCH),
        ({"expires_at": NOW}, Code.CREDENTIAL_EXPIRED),
        ({"person_id": "person_9"}, Code.CREDENTIAL_REVOKED),
    ],
)
def test_the_credential_itself(change: dict[str, object], code: Code) -> None:
    world = World().role("viewer").bind("viewer")
    world.put(Entity.CLUSTER, Cluster("cluster_2", "other"))
    denial = world.denied(GET_POD, replace(CREDENTIAL, **change))  # type: ignore[arg-type]
    assert denial.problem.code is code


def test_a_credential_whose_cluster_was_deleted_is_told_so_whatever_the_name_leads_to_now() -> None:
    world = World().role("viewer").bind("viewer")
    orphan = replace(CREDENTIAL, cluster_id="cluster_8")
    for cluster in ("cluster_1", "prod", "nowhere"):
        denial = world.denied(GET_POD, orphan, cluster)
        assert (denial.problem.code, "cluster_8" in denial.problem.message) == (Code.CLUSTER_NOT_FOUND, True)


def test_a_credential_of_another_cluster_learns_nothing_of_this_one() -> None:
    world = World().role("viewer").bind("viewer")
    world.put(Entity.CLUSTER, Cluster("cluster_2", "other"))
    here = world.denied(GET_POD, replace(CREDENTIAL, cluster_id="cluster_2"))
    nowhere = world.denied(GET_POD, replace(CREDENTIAL, cluster_id="cluster_2"), cluster="cluster_7")
    assert here.problem.code is nowhere.problem.code is Code.CLUSTER_MISMATCH


@pytest.mark.parametrize(
    ("entity", "value", "code"),
    [
        (Entity.PERSON, replace(ALICE, enabled=False), Code.PERSON_DISABLED),
        (Entity.PERSON, replace(ALICE, not_before=CREDENTIAL.issued_at + 1), Code.CREDENTIAL_REVOKED),
        (Entity.PERSON, None, Code.CREDENTIAL_REVOKED),
        (Entity.CLUSTER, replace(PROD, not_before=CREDENTIAL.issued_at + 1), Code.CREDENTIAL_REVOKED),
        (Entity.CLUSTER, None, Code.CLUSTER_NOT_FOUND),
        (Entity.REVOCATION, Revocation("cred_1", NOW + HOUR, NOW), Code.CREDENTIAL_REVOKED),
        (Entity.BINDING, None, Code.NO_ROLE_ASSIGNMENT),
        (Entity.ROLE, None, Code.NO_ROLE_ASSIGNMENT),
    ],
)
def test_what_takes_a_right_away_ends_new_requests_and_running_streams(
    entity: Entity, value: object, code: Code
) -> None:
    world = World().role("viewer").bind("viewer")
    permit = world.allowed(GET_POD)
    assert still_permitted(permit, world.snapshot, NOW)
    ids = {
        Entity.PERSON: "person_1",
        Entity.CLUSTER: "cluster_1",
        Entity.REVOCATION: "cred_1",
        Entity.BINDING: "b1",
        Entity.ROLE: "viewer",
    }
    world.snapshot.put(entity, ids[entity], value)
    assert world.denied(GET_POD).problem.code is code
    ended = withdrawn(permit, world.snapshot, NOW)
    assert ended is not None
    assert ended.code is (Code.ACCESS_WITHDRAWN if code is Code.NO_ROLE_ASSIGNMENT else code)


@pytest.mark.parametrize("earlier", [0, 1])
def test_not_before_itself_is_refused_and_the_microsecond_after_it_is_not(earlier: int) -> None:
    for entity, identity, value in (
        (Entity.PERSON, "person_1", replace(ALICE, not_before=CREDENTIAL.issued_at - earlier)),
        (Entity.CLUSTER, "cluster_1", replace(PROD, not_before=CREDENTIAL.issued_at - earlier)),
    ):
        world = World().role("viewer").bind("viewer")
        world.snapshot.put(entity, identity, value)
        assert isinstance(world.ask(GET_POD), Permit if earlier else Denial)


def test_a_stream_outlives_its_credentials_expiry_but_not_its_bindings() -> None:
    world = World().role("viewer").bind("viewer", until=NOW + 3 * HOUR)
    permit = world.allowed(GET_POD)
    assert permit.until == NOW + 3 * HOUR
    assert still_permitted(permit, world.snapshot, NOW + 2 * HOUR)
    assert not still_permitted(permit, world.snapshot, NOW + 3 * HOUR)


def test_a_binding_ends_by_the_clock() -> None:
    world = World().role("viewer").bind("viewer", until=NOW + 5)
    assert isinstance(world.ask(GET_POD, now=NOW + 4), Permit)
    assert isinstance(world.ask(GET_POD, now=NOW + 5), Denial)


def test_the_groups_sent_are_those_of_the_bindings_that_allow_this_very_request() -> None:
    world = World()
    world.role("viewer").bind("viewer")
    world.role("admin").bind("admin", SPACES)
    world.role("logger", Rule(("get",), ("",), ("pods/log",))).bind("logger")
    assert world.allowed("GET /api/v1/namespaces/blue/pods/web").groups == ("admins", "viewers")
    assert world.allowed("GET /api/v1/namespaces/red/pods/web").groups == ("viewers",)
    assert world.allowed("GET /api/v1/namespaces/red/pods/web/log").groups == ("loggers", "viewers")
    assert world.allowed("GET /api/v1/nodes").groups == ("viewers",)


def test_a_stream_rests_on_every_binding_whose_groups_were_sent() -> None:
    world = World().role("viewer").bind("viewer").role("admin").bind("admin", SPACES)
    permit = world.allowed(GET_POD)
    world.snapshot.put(Entity.BINDING, "b2", None)
    assert not still_permitted(permit, world.snapshot, NOW)
    assert world.allowed(GET_POD).groups == ("viewers",)


@pytest.mark.parametrize("wider", [True, False])
def test_narrowing_ends_a_stream_and_widening_does_not(wider: bool) -> None:
    world = World().role("admin").bind("admin", SPACES)
    permit = world.allowed(GET_POD)
    scope = EVERYWHERE if wider else Scope(ScopeKind.NAMESPACES, "cluster_1", namespaces=("green",))
    world.put(Entity.BINDING, Binding("b1", ME, "admin", scope))
    assert still_permitted(permit, world.snapshot, NOW) is wider


def test_a_role_that_changes_ends_the_streams_it_no_longer_covers() -> None:
    world = World().role("admin", groups=("a", "b")).bind("admin")
    permit = world.allowed(GET_POD)
    world.role("admin", groups=("a", "b", "c"))
    assert still_permitted(permit, world.snapshot, NOW)
    world.role("admin", groups=("a",))
    assert not still_permitted(permit, world.snapshot, NOW)
    world.role("admin", Rule(("list",), ("",), ("pods",)), groups=("a", "b"))
    assert not still_permitted(permit, world.snapshot, NOW)


def test_labels_taken_from_a_cluster_end_what_was_given_by_label() -> None:
    world = World().role("viewer").bind("viewer", Scope(ScopeKind.LABELS, labels=(("env", "prod"),)))
    permit = world.allowed(GET_POD)
    world.put(Entity.CLUSTER, replace(PROD, labels=()))
    assert not still_permitted(permit, world.snapshot, NOW)
    assert world.denied(GET_POD).problem.code is Code.NO_ROLE_ASSIGNMENT


def test_groups_of_the_issuer_bind_and_leaving_one_ends() -> None:
    group = Subject(SubjectKind.GROUP, "dev", ALICE.issuer)
    world = World().role("viewer").bind("viewer", subject=group)
    world.role("other").bind("other", subject=Subject(SubjectKind.GROUP, "dev", "https://elsewhere.example.com"))
    permit = world.allowed(GET_POD)
    assert permit.groups == ("viewers",)
    world.put(Entity.PERSON, replace(ALICE, groups=()))
    assert not still_permitted(permit, world.snapshot, NOW)


DISCOVERY = ("GET /api", "GET /api/v1", "GET /apis/apps/v1", "GET /openapi/v3", "GET /version", "GET /readyz")
REVIEWS = (
    "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
    "POST /apis/authentication.k8s.io/v1/selfsubjectreviews",
)


@pytest.mark.parametrize("request_line", [*DISCOVERY, *REVIEWS])
def test_anyone_with_a_live_binding_may_look_around_with_all_their_groups(request_line: str) -> None:
    world = World().role("admin").bind("admin", SPACES)
    world.role("logger", Rule(("get",), ("",), ("pods/log",))).bind("logger")
    permit = world.allowed(request_line)
    assert permit.discovery
    assert permit.groups == ("admins", "loggers")
    world.put(Entity.BINDING, Binding("b1", ME, "admin", Scope(ScopeKind.NAMESPACES, "cluster_1", namespaces=("x",))))
    assert still_permitted(permit, world.snapshot, NOW)


@pytest.mark.parametrize(
    "request_line",
    [
        "POST /api",
        "GET /metrics",
        "GET /logs/kubelet.log",
        "GET /healthz/etcd",
        "GET /debug/pprof/heap",
        "GET /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "POST /apis/authorization.k8s.io/v1/subjectaccessreviews",
        "GET /api/v1/nodes",
        "GET /api/v1/pods",
        "GET /api/v1/namespaces",
        "GET /api/v1/watch/namespaces/blue",
        "PATCH /api/v1/namespaces/blue",
        "DELETE /api/v1/namespaces/blue",
        "PUT /api/v1/namespaces/blue/finalize",
        "GET /api/v1/namespaces/red/pods",
    ],
)
def test_whoever_is_confined_to_namespaces_reaches_nothing_beyond(request_line: str) -> None:
    World().role("admin").bind("admin", SPACES).denied(request_line)


def test_whoever_is_confined_may_look_at_the_namespace_itself() -> None:
    World().role("admin").bind("admin", SPACES).allowed("GET /api/v1/namespaces/blue")


def test_a_rule_may_let_the_confined_change_their_namespace() -> None:
    rule = Rule(("patch",), ("",), ("namespaces",))
    World().role("owner", rule).bind("owner", SPACES).allowed("PATCH /api/v1/namespaces/blue")


def test_a_namespace_denial_names_the_namespaces_and_the_flag() -> None:
    told = World().role("admin").bind("admin", SPACES).denied("GET /api/v1/namespaces/default/pods").problem
    assert told.code is Code.NAMESPACE_FORBIDDEN
    assert "the namespaces blue, green" in told.message
    assert told.message.endswith("-n blue")
    assert ("namespaces", "blue,green") in told.meta


def test_a_long_list_of_namespaces_is_cut() -> None:
    many = Scope(ScopeKind.NAMESPACES, "cluster_1", namespaces=tuple(f"ns{number:02}" for number in range(40)))
    told = World().role("admin").bind("admin", many).denied("GET /api/v1/pods").problem
    assert "ns09 and 30 more" in told.message


def test_another_namespace_is_not_offered_where_it_would_not_help() -> None:
    world = World().role("logger", Rule(("get",), ("",), ("pods/log",))).bind("logger", SPACES)
    told = world.denied("DELETE /api/v1/namespaces/red/pods/web").problem
    assert told.code is Code.FORBIDDEN
    assert "delete pods in the namespace red" in told.message


@pytest.mark.parametrize("name", ["system:masters", "system:kube-controller-manager", "a\nb", ""])
def test_reserved_names_and_groups_are_never_sent_however_they_got_there(name: str) -> None:
    by_name = World().role("viewer").bind("viewer")
    by_name.put(Entity.PERSON, replace(ALICE, name=name))
    assert by_name.denied(GET_POD).problem.code is Code.RESERVED_IDENTITY
    by_group = World().role("viewer", groups=("good", name)).bind("viewer")
    assert by_group.denied(GET_POD).problem.code is Code.RESERVED_IDENTITY
    assert by_group.denied("GET /api").problem.code is Code.RESERVED_IDENTITY


def test_a_denial_says_who_asked() -> None:
    denial = World().denied(GET_POD)
    assert (denial.person_id, denial.person_name) == ("person_1", "alice@example.com")
    assert (denial.cluster_id, denial.cluster_name, denial.credential_id) == ("cluster_1", "prod", "cred_1")


def test_identities_are_not_shared_between_credentials() -> None:
    world = World().role("viewer").bind("viewer")
    first = world.allowed(GET_POD)
    second = world.ask(GET_POD, replace(CREDENTIAL, id="cred_2"))
    assert isinstance(second, Permit)
    assert first.identity is world.allowed(GET_POD).identity
    assert second.identity.extra == ((b"fairlead.dev/credential", b"cred_2"),)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "MAX_REMEMBERED_STANDINGS", 4)
    monkeypatch.setattr(standing, "MAX_REMEMBERED_IDENTITIES", 4)
    world = World().role("viewer").bind("viewer")
    for number in range(20):
        world.put(Entity.PERSON, replace(ALICE, id=f"p{number}", name=f"n{number}", subject=f"s{number}"))
    for number in range(20):
        world.ask(GET_POD, replace(CREDENTIAL, id=f"c{number}"))
        world.ask(GET_POD, replace(CREDENTIAL, person_id=f"p{number}"))
        assert len(world.snapshot.memory) <= 4
