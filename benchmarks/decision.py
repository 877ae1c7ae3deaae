"""What one decision costs, in this process, by how many bindings the caller holds.

    python -m benchmarks.decision

Prints microseconds for each of: the first decision after a change of the configuration, a request of a kind seen
before, one of a new kind, and what walking every binding costs (the definition the answers are tested against).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import count

from appliance.core.clusters import Cluster
from appliance.core.credentials import Credential
from appliance.core.decision import Permit, decide
from appliance.core.people import Person
from appliance.core.roles import Binding, Role, Rule, Scope, ScopeKind, Subject, SubjectKind
from appliance.core.snapshot import Entity, Snapshot
from appliance.core.standing import holding
from wire.kube import understand

NOW = 1_800_000_000_000_000
HOUR = 3_600_000_000
ROUNDS = 15
ISSUER = "https://login.example.com"
ASKED = tuple(
    understand(b"GET", f"/api/v1/namespaces/space-{number % 50}/{resource}".encode())
    for number in range(200)
    for resource in (f"pods/pod-{number}", "configmaps")
)


def world(bindings: int) -> tuple[Snapshot, Credential]:
    """One person in 20 groups, and bindings of every kind for these: some plain, most confined, a third ruled."""
    snapshot = Snapshot()
    cluster = Cluster("cluster_1", "prod", (("env", "prod"),))
    groups = tuple(f"team-{number}" for number in range(20))
    person = Person("person_1", ISSUER, "1", "ann@example.com", groups=groups)
    snapshot.put(Entity.CLUSTER, cluster.id, cluster)
    snapshot.put(Entity.PERSON, person.id, person)
    rules = (Rule(("get", "list"), ("", "apps"), ("pods", "deployments", "pods/log")),)
    for number in range(30):
        role = Role(f"role_{number}", f"role-{number}", "", (f"group-{number}",), rules if number % 3 == 0 else ())
        snapshot.put(Entity.ROLE, role.id, role)
    for number in range(bindings):
        if number % 10 == 0:
            scope = Scope(ScopeKind.LABELS, labels=cluster.labels)
        else:
            scope = Scope(ScopeKind.NAMESPACES, cluster.id, namespaces=(f"space-{number % 50}",))
        subject = Subject(SubjectKind.GROUP, groups[number % 20], ISSUER)
        until = NOW + HOUR + number if number % 7 == 0 else None
        binding = Binding(f"binding_{number:05}", subject, f"role_{number % 30}", scope, until)
        snapshot.put(Entity.BINDING, binding.id, binding)
    return snapshot, Credential("cred_1", person.id, cluster.id, NOW, NOW + HOUR)


def micros(work: Callable[[], object], times: int) -> float:
    """The median of some rounds, each the mean of `times` calls."""
    found = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(times):
            work()
        found.append((time.perf_counter() - begin) / times * 1e6)
    return statistics.median(found)


def main() -> None:
    print(f"{'bindings':>9}{'after a change':>16}{'kind seen':>11}{'new kind':>10}{'walking all':>13}   (microseconds)")
    for bindings in (1, 10, 100, 1000, 5000):
        snapshot, credential = world(bindings)
        turn = count()

        def seen(snapshot: Snapshot = snapshot, credential: Credential = credential, turn: count[int] = turn) -> object:
            return decide(credential, snapshot, "cluster_1", ASKED[next(turn) % 40], NOW)

        def first(snapshot: Snapshot = snapshot, credential: Credential = credential) -> object:
            snapshot.memory.clear()
            return decide(credential, snapshot, "cluster_1", ASKED[0], NOW)

        def new(snapshot: Snapshot = snapshot, credential: Credential = credential, turn: count[int] = turn) -> object:
            ask = understand(b"GET", f"/api/v1/namespaces/space-1/kind-{next(turn)}".encode())
            return decide(credential, snapshot, "cluster_1", ask, NOW)

        def walk(snapshot: Snapshot = snapshot) -> object:
            found = snapshot.bindings_for("person_1", "cluster_1")
            return [it for it in found if it.live(NOW) and holding(it, snapshot.roles[it.role_id]).allows(ASKED[0])]

        assert isinstance(seen(), Permit)
        print(
            f"{bindings:>9}{micros(first, 5):>16.1f}{micros(seen, 2000):>11.2f}"
            f"{micros(new, 20):>10.1f}{micros(walk, 5):>13.1f}"
        )


if __name__ == "__main__":
    main()
