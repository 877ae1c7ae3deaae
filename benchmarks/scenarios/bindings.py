"""bindings: what a thousand bindings for the caller's groups cost the whole chain.

Means: three appliances side by side in front of the same upstream. In one the caller holds one binding. In the others
999 more lie on twenty groups of the caller's, made through the admin API, a third of them with rules: in one of the two
most are for other namespaces, as in life, and about thirty allow the request; in the other all thousand allow it. Every
round loads all three with the same small GET, 64 connections.

Could mislead: everyone asks for the same object, so the decision's own cache answers; what the first decision after a
change costs is in `decision`, and a change of the configuration while people work is not in either. The goal is held
against the case as in life: where a thousand bindings allow one request, its record is cut, and a few hundred cost it
more room than a thousand.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import trio

from benchmarks import fairlead, nginx, rounds
from benchmarks.fairlead import Chain, Wishes
from benchmarks.goals import figure
from benchmarks.scenarios import Options
from benchmarks.scenarios.audit import target
from ops.demo import registration
from ops.demo.admin import ApiError, Appliance
from tests.support.certificates import TestCA

SECONDS = 3.0
ROUNDS = 7
CONNECTIONS = 64
BINDINGS = 1000
ROLES = 30
GROUPS = 20
ISSUER = "https://demo.example.com"  # of the person that the registration made
NAMESPACES = 50
ONE, MANY, ALL = "one", "many", "all allow"


async def run(options: Options) -> dict[str, Any]:
    """Load all three appliances in every round."""
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(nginx.upstream(options.directory, TestCA.make("benchmark CA")))
        targets = []
        for name in (ONE, MANY, ALL):
            wishes = Wishes(name=name.replace(" ", "-"))
            chain = await stack.enter_async_context(fairlead.wished(options.directory, upstream, wishes))
            targets.append(target(name, chain))
            if name != ONE:
                await _bind(chain, "default" if name == ALL else "")
        samples = await rounds.interleaved(
            targets, options.directory, connections=CONNECTIONS, rounds=options.rounds, seconds=options.seconds
        )
    rows = rounds.summary(samples, ONE)
    print(rounds.table(rows, ONE))
    found = [
        figure(what, "", rounds.paired(samples, name, ONE, CONNECTIONS), goal)
        for name, what, goal in (
            (MANY, "requests/s with 1,000 bindings ÷ with one", "bindings"),
            (ALL, "requests/s with 1,000 bindings that all allow it ÷ with one", ""),
        )
    ]
    return {"figures": found, "summary": rows, "samples": rounds.as_json(samples)}


async def _bind(chain: Chain, everywhere: str) -> None:
    """Give the caller twenty groups, and these a thousand bindings less the one that is there.

    Those of namespaces include `everywhere`, if it is not empty.
    """
    admin = chain.serving.admin
    groups = [f"team-{number}" for number in range(GROUPS)]
    await admin.call("PATCH", f"people/{chain.registered.person_id}", {"groups": groups})
    rules = [{"verbs": ["get", "list"], "apiGroups": ["", "apps"], "resources": ["configmaps", "deployments"]}]
    roles = []
    for number in range(ROLES):
        body: dict[str, Any] = {"name": f"role-{number}", "groups": [f"bound-{number}"]}
        roles.append((await admin.call("POST", "roles", body | ({"rules": rules} if number % 3 == 0 else {})))["id"])
    for number in range(BINDINGS - 1):
        body = {
            "subject": {"kind": "group", "id": groups[number % GROUPS], "issuer": ISSUER},
            "role_id": roles[number % ROLES],
            "scope": _scope(number, chain.registered, everywhere),
        }
        await _made(admin, body)
    page = await admin.call("GET", "bindings?limit=500")
    made = len(page["items"])
    while page["next"] is not None:
        page = await admin.call("GET", f"bindings?limit=500&cursor={page['next']}")
        made += len(page["items"])
    assert made >= BINDINGS, "the appliance did not keep every binding"


async def _made(admin: Appliance, binding: dict[str, Any]) -> None:
    """Make one, and wait where the appliance says that it was asked too often."""
    while True:
        try:
            await admin.call("POST", "bindings", binding)
        except ApiError as error:
            if error.status != 429:
                raise
            await trio.sleep(1)
        else:
            return


def _scope(number: int, registered: registration.Registered, everywhere: str) -> dict[str, Any]:
    if number % 100 == 0:
        return {"kind": "cluster", "cluster_id": registered.cluster_id}
    names = [f"space-{number % NAMESPACES}" if number % NAMESPACES else "default"]
    return {
        "kind": "namespaces",
        "cluster_id": registered.cluster_id,
        "namespaces": sorted({*names, everywhere} - {""}),
    }
