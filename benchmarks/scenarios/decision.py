"""decision: microseconds of one `decide`, by the number of bindings that the caller's groups have on the cluster.

Means: what authorisation alone adds to a request, as a pure function in one process: no I/O, no parsing of URLs (that
is `understand`, shown beside it), no token. Four fifths of the bindings are confined to one or two namespaces, half of
them with rules of their own; the rest are rules on the whole cluster. So of many bindings a few allow a request and the
others have to be passed over. The bindings share 50 roles; in the last world each has a role of its own.

  repeat   the same request again, as a client that polls makes it
  other    a different request each time, all of them allowed, none of a kind that is still remembered
  denied   a different request each time that nothing allows, with the sentence that says where it would be allowed
  changed  the first request after a change of the caller, when what was worked out about them is forgotten
  walk     what looking at each binding in turn would cost, as the tests do to know the right answer

Could mislead: the caches of the processor are warm and nothing else runs between two decisions; under load each costs
more. `changed` is paid once for each caller, cluster and change, not for each request. Means of batches are shown as
median and lowest: on a busy machine the lowest is nearer to the truth.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import trio

from appliance.core.clusters import Cluster
from appliance.core.credentials import Credential
from appliance.core.decision import Denial, Permit, decide
from appliance.core.people import Person
from appliance.core.roles import Binding, Holding, Role, Rule, Scope, ScopeKind, Subject, SubjectKind
from appliance.core.snapshot import Entity, Snapshot
from appliance.core.standing import MAX_REMEMBERED_KINDS
from benchmarks.scenarios import Options
from wire.kube import Ask, understand

WORLDS = ((1, 50), (10, 50), (100, 50), (1000, 50), (1000, 1000))  # bindings of the caller, and roles they share
GROUPS = 20  # of the caller, which share the bindings
BATCH_SECONDS = 0.02
SECOND = 1_000_000
NOW = 1_800_000_000 * SECOND
ISSUER = "https://idp.example.com"
CLUSTER = Cluster("cluster_1", "prod", (("env", "prod"),))
CALLER = Person("person_1", ISSUER, "alice", "alice@example.com", groups=tuple(f"team-{n}" for n in range(GROUPS)))
CREDENTIAL = Credential("cred_1", CALLER.id, CLUSTER.id, NOW - 60 * SECOND, NOW + 3600 * SECOND)

READ = Rule(("get", "list", "watch"), ("",), ("pods", "pods/log", "services", "configmaps"))
WORK = Rule(("*",), ("", "apps", "batch"), ("*",))
NAMED = Rule(("get",), ("",), ("secrets",), ("tls", "registry"))
PARTS = ("pods", "pods/web", "pods/web/log", "services/web", "configmaps")  # of a namespace; all rules allow these
METRICS = Rule(("get",), non_resource_urls=("/metrics", "/metrics/*"))


async def run(options: Options) -> dict[str, Any]:
    """Measure every world in turn, as many times as there are rounds."""
    seconds = min(options.seconds, 1.0)  # it is steady after that
    samples: list[dict[str, Any]] = []
    for number, (bindings, roles) in itertools.product(range(options.rounds), WORLDS):
        for case, call in cases(snapshot(bindings, roles), bindings).items():
            sample = {"case": case, "bindings": bindings, "roles": roles, "round": number}
            samples.append(sample | {"us": batches(call, seconds)})
            await trio.lowlevel.checkpoint()
    rows = [summary(samples, case, *world) for case in cases(snapshot(1, 1), 1) for world in WORLDS]
    print(f"{'case':<10} {'bindings':>8} {'roles':>6} {'median µs':>10} {'lowest µs':>10}")
    for row in rows:
        figures = f"{row['median_us']:>10.2f} {row['lowest_us']:>10.2f}"
        print(f"{row['case']:<10} {row['bindings']:>8} {row['roles']:>6} {figures}")
    return {"summary": rows, "samples": [{**it, "us": min(it["us"])} for it in samples]}


def snapshot(bindings: int, roles: int = 50) -> Snapshot:
    """A configuration in which the caller's groups have so many bindings on one cluster."""
    made = Snapshot()
    made.put(Entity.CLUSTER, CLUSTER.id, CLUSTER)
    made.put(Entity.PERSON, CALLER.id, CALLER)
    for number in range(roles):
        rules = (READ, NAMED) if number % 2 else ()
        given = Role(f"role_{number}", f"r{number}", groups=(f"g{number}",), rules=rules)
        made.put(Entity.ROLE, given.id, given)
    made.put(Entity.ROLE, "role_wide", Role("role_wide", "wide", groups=("wide",), rules=(NAMED, METRICS)))
    made.put(Entity.ROLE, "role_work", Role("role_work", "work", groups=("work",), rules=(WORK,)))
    for number in range(bindings):
        subject = Subject(SubjectKind.GROUP, f"team-{number % GROUPS}", ISSUER)
        # The first always allows work in one namespace, so that even one binding allows something.
        role, scope = "role_work", place(number)
        if number % 5 == 4:
            role, scope = "role_wide", Scope(ScopeKind.LABELS, labels=CLUSTER.labels)
        elif number:
            role = f"role_{number % roles}"
        made.put(Entity.BINDING, f"binding_{number}", Binding(f"binding_{number}", subject, role, scope))
    return made


def place(number: int) -> Scope:
    names = (f"space-{number}", f"space-{number + 1}") if number % 3 == 2 else (f"space-{number}",)
    return Scope(ScopeKind.NAMESPACES, CLUSTER.id, namespaces=names)


def asks(bindings: int) -> list[Ask]:
    """Requests that some binding allows, of more kinds than are remembered if there are bindings enough."""
    found = []
    for number in range(bindings * len(PARTS)):
        space = (number * 7) % bindings
        space -= space % 5 == 4  # those bindings are on the whole cluster
        target = f"/api/v1/namespaces/space-{space}/{PARTS[number % len(PARTS)]}"
        found.append(understand(b"GET", target.encode()))
    return found


def refusals() -> list[Ask]:
    """Requests that nothing allows, of more kinds than are remembered; half of them would be allowed elsewhere."""
    some = (
        f"/api/v1/namespaces/{space}/kind-{n}" for n in range(MAX_REMEMBERED_KINDS) for space in ("away", "space-1")
    )
    return [understand(b"DELETE", target.encode()) for target in some]


def cases(world: Snapshot, bindings: int) -> dict[str, Callable[[int], float]]:
    """Each case as a function that does so many decisions and gives the seconds they took."""
    allowed, refused = asks(bindings), refusals()
    target = b"/api/v1/namespaces/space-0/pods?limit=500"
    assert all(isinstance(decide(CREDENTIAL, world, CLUSTER.id, ask, NOW), Permit) for ask in allowed)
    assert all(isinstance(decide(CREDENTIAL, world, CLUSTER.id, ask, NOW), Denial) for ask in refused)

    def turns(wanted: list[Ask]) -> Callable[[int], float]:
        turn = itertools.cycle(wanted)  # goes on from batch to batch, so that no short batch repeats itself

        def call(times: int) -> float:
            began = time.perf_counter()
            for ask in itertools.islice(turn, times):
                decide(CREDENTIAL, world, CLUSTER.id, ask, NOW)
            return time.perf_counter() - began

        return call

    def changed(times: int) -> float:
        took = 0.0
        for _ in range(times):
            world.put(Entity.PERSON, CALLER.id, CALLER)
            began = time.perf_counter()
            decide(CREDENTIAL, world, CLUSTER.id, allowed[0], NOW)
            took += time.perf_counter() - began
        return took

    def walk(times: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            held = world.bindings_for(CALLER.id, CLUSTER.id)
            found = [it for it in held if it.live(NOW) and Holding(it, world.roles[it.role_id]).allows(allowed[0])]
            assert found
        return time.perf_counter() - began

    def read(times: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            understand(b"GET", target)
        return time.perf_counter() - began

    return {
        "repeat": turns(allowed[:1]),
        "other": turns(allowed),
        "denied": turns(refused),
        "changed": changed,
        "walk": walk,
        "understand": read,
    }


def batches(call: Callable[[int], float], seconds: float) -> list[float]:
    """Mean microseconds of a call, batch by batch."""
    times = 1
    while (took := call(times)) < BATCH_SECONDS / 4:
        times *= 2
    times = max(1, round(times * BATCH_SECONDS / took))
    found: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or not found:
        found.append(call(times) / times * 1e6)
    return found


def summary(samples: list[dict[str, Any]], case: str, bindings: int, roles: int) -> dict[str, Any]:
    row = {"case": case, "bindings": bindings, "roles": roles}
    found = [us for it in samples if all(it[key] == value for key, value in row.items()) for us in it["us"]]
    return row | {"median_us": statistics.median(found), "lowest_us": min(found)}
