"""decision: microseconds of one `decide`, by the number of bindings that the caller's groups have on the cluster.

Means: what authorisation alone adds to a request, as a pure function in one process: no I/O, no parsing of URLs (that
is `understand`, shown beside it), no token. Four fifths of the bindings are confined to one or two namespaces, half of
them with rules of their own; the rest are rules on the whole cluster. So of many bindings a few allow a request and the
others have to be passed over.

  repeat   the same request again, as a client that polls makes it
  other    a different request each time, all of them allowed
  denied   a request that nothing allows, with the sentence that says where it would be allowed
  changed  the first request after a change of people, roles or bindings, when what was worked out is forgotten

Could mislead: the caches of the processor are warm and nothing else runs between two decisions; under load each costs
more. `changed` is paid once for each caller and change, not for each request. Means of batches are shown as median and
lowest: on a busy machine the lowest is nearer to the truth.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import trio

from appliance.core.clusters import Cluster
from appliance.core.credentials import Credential
from appliance.core.decision import Denial, Permit, decide
from appliance.core.people import Person
from appliance.core.roles import Binding, Role, Rule, Scope, ScopeKind, Subject, SubjectKind
from appliance.core.snapshot import Entity, Snapshot
from benchmarks.scenarios import Options
from wire.kube import Ask, understand

BINDINGS = (1, 10, 100, 1000)
GROUPS = 20  # of the caller, which share the bindings
ROLES = 50
ASKS = 512  # different ones, of which each batch takes its turn
BATCH_SECONDS = 0.02
SECOND = 1_000_000
NOW = 1_800_000_000 * SECOND
ISSUER = "https://idp.example.com"
CALLER = Person("person_1", ISSUER, "alice", "alice@example.com", groups=tuple(f"team-{n}" for n in range(GROUPS)))
CREDENTIAL = Credential("cred_1", CALLER.id, "cluster_1", NOW - 60 * SECOND, NOW + 3600 * SECOND)

READ = Rule(("get", "list", "watch"), ("",), ("pods", "pods/log", "services", "configmaps"))
WORK = Rule(("*",), ("", "apps", "batch"), ("*",))
NAMED = Rule(("get",), ("",), ("secrets",), ("tls", "registry"))
METRICS = Rule(("get",), non_resource_urls=("/metrics", "/metrics/*"))


async def run(options: Options) -> dict[str, Any]:
    """Measure every number of bindings in turn, as many times as there are rounds."""
    seconds = min(options.seconds, 1.0)  # it is steady after that
    samples: list[dict[str, Any]] = []
    for number, bindings in itertools.product(range(options.rounds), BINDINGS):
        world = snapshot(bindings)
        for case, call in cases(world, bindings).items():
            samples.append({"case": case, "bindings": bindings, "round": number, "us": batches(call, seconds)})
            await trio.lowlevel.checkpoint()
    rows = [summary(samples, case, bindings) for case in cases(snapshot(1), 1) for bindings in BINDINGS]
    print(f"{'case':<10} {'bindings':>8} {'median µs':>10} {'lowest µs':>10}")
    for row in rows:
        print(f"{row['case']:<10} {row['bindings']:>8} {row['median_us']:>10.2f} {row['lowest_us']:>10.2f}")
    return {"summary": rows, "samples": [{**it, "us": min(it["us"])} for it in samples]}


def snapshot(bindings: int) -> Snapshot:
    """A configuration in which the caller's groups have so many bindings on one cluster."""
    made = Snapshot()
    made.put(Entity.CLUSTER, "cluster_1", Cluster("cluster_1", "prod", (("env", "prod"),)))
    made.put(Entity.PERSON, CALLER.id, CALLER)
    for number in range(ROLES):
        rules = (READ, NAMED) if number % 2 else ()
        made.put(
            Entity.ROLE, f"role_{number}", Role(f"role_{number}", f"r{number}", groups=(f"g{number}",), rules=rules)
        )
    made.put(Entity.ROLE, "role_wide", Role("role_wide", "wide", groups=("wide",), rules=(NAMED, METRICS)))
    made.put(Entity.ROLE, "role_work", Role("role_work", "work", groups=("work",), rules=(WORK,)))
    for number in range(bindings):
        subject = Subject(SubjectKind.GROUP, f"team-{number % GROUPS}", ISSUER)
        # The first always allows work in one namespace, so that even one binding allows something.
        role, scope = "role_work", place(number)
        if number % 5 == 4:
            role, scope = "role_wide", Scope(ScopeKind.LABELS, labels=(("env", "prod"),))
        elif number:
            role = f"role_{number % ROLES}"
        made.put(Entity.BINDING, f"binding_{number}", Binding(f"binding_{number}", subject, role, scope))
    return made


def place(number: int) -> Scope:
    names = (f"space-{number}", f"space-{number + 1}") if number % 3 == 2 else (f"space-{number}",)
    return Scope(ScopeKind.NAMESPACES, "cluster_1", namespaces=names)


def asks(bindings: int) -> Iterator[Ask]:
    """Different requests that some binding allows."""
    for number in itertools.count():
        space = (number * 7) % bindings
        space -= space % 5 == 4  # those bindings are on the whole cluster
        yield understand(b"GET", b"/api/v1/namespaces/space-%d/pods/web-%d" % (space, number))


def cases(world: Snapshot, bindings: int) -> dict[str, Callable[[int], float]]:
    """Each case as a function that does so many decisions and gives the seconds they took."""
    some = list(itertools.islice(asks(bindings), ASKS))
    refused = understand(b"DELETE", b"/api/v1/namespaces/elsewhere/pods/web")
    target = b"/api/v1/namespaces/space-0/pods?limit=500"
    assert all(isinstance(decide(CREDENTIAL, world, "cluster_1", ask, NOW), Permit) for ask in some)
    assert isinstance(decide(CREDENTIAL, world, "cluster_1", refused, NOW), Denial)

    def turns(wanted: list[Ask]) -> Callable[[int], float]:
        def call(times: int) -> float:
            began = time.perf_counter()
            for ask in itertools.islice(itertools.cycle(wanted), times):
                decide(CREDENTIAL, world, "cluster_1", ask, NOW)
            return time.perf_counter() - began

        return call

    def changed(times: int) -> float:
        took = 0.0
        for _ in range(times):
            world.put(Entity.PERSON, CALLER.id, CALLER)
            began = time.perf_counter()
            decide(CREDENTIAL, world, "cluster_1", some[0], NOW)
            took += time.perf_counter() - began
        return took

    def read(times: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            understand(b"GET", target)
        return time.perf_counter() - began

    return {
        "repeat": turns(some[:1]),
        "other": turns(some),
        "denied": turns([refused]),
        "changed": changed,
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


def summary(samples: list[dict[str, Any]], case: str, bindings: int) -> dict[str, Any]:
    found = [us for it in samples if (it["case"], it["bindings"]) == (case, bindings) for us in it["us"]]
    return {"case": case, "bindings": bindings, "median_us": statistics.median(found), "lowest_us": min(found)}
