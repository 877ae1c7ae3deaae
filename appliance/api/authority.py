"""The certificate authority that vouches for agents and for our listeners: what it is, and its change for a new one.

A change is begun, lasts until all agents have renewed (they are told, and do within minutes), and is finished. Before
that nobody is cut off by it; finishing refuses while somebody would be, and says who.
"""

from __future__ import annotations

from typing import Any

from appliance.api import bodies, render, shapes
from appliance.api.bodies import Field
from appliance.api.journal import note
from appliance.api.routes import Answer, Call, Route
from appliance.core import authorities
from appliance.core.authorities import FIRST, KnownAuthority
from appliance.core.events import EventType
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Permission
from appliance.core.snapshot import Entity, Snapshot
from appliance.store import statements, units
from appliance.store.unit import Unit, run

MAX_NAMED = 10  # clusters in one sentence


def _behind(call: Call, snapshot: Snapshot, newest: KnownAuthority) -> list[str]:
    """The names of clusters that would be cut off: no agent of theirs has renewed, or a live one has not."""
    behind = set(authorities.clusters_behind(snapshot.serials.values(), newest, call.now))
    for cluster_id, state in call.parts.states().items():
        for link in state.agents:
            certificate = snapshot.serials.get(link.serial)
            if certificate is not None and not link.leaving and authorities.issued_before(certificate, newest):
                behind.add(cluster_id)
    return sorted(snapshot.clusters[it].name for it in behind if it in snapshot.clusters)


async def shown(call: Call) -> Answer:
    """What is in force, and who would be cut off if a change was finished now."""
    return Answer(200, _shown(call))


def _shown(call: Call) -> dict[str, Any]:
    snapshot = call.parts.snapshot()
    known = authorities.in_order(snapshot.authorities)
    changing = len(known) > 1
    return {
        "ca": call.parts.trusted(),
        "changing": changing,
        "since": render.moment(known[-1].created_at) if known else None,
        "behind": _behind(call, snapshot, known[-1]) if changing else [],
    }


async def begin(call: Call) -> Answer:
    """Make a new authority beside the one in force."""
    known = authorities.in_order(call.parts.snapshot().authorities)
    oldest = known[0].name if known else FIRST
    name = authorities.successor(oldest)
    key_id, box = call.parts.seal(name, call.parts.make_authority(call.now))

    def unit() -> Unit[None]:
        yield from units.change(Entity.AUTHORITY, name, call.now)
        if [kept for (kept, _) in (yield run(statements.AUTHORITIES))] != [oldest]:
            raise ProblemError(problem(Code.AUTHORITY_CHANGING))
        # The first one was made before anyone followed authorities, so its row may not be in the snapshots yet.
        yield from units.change(Entity.AUTHORITY, oldest, call.now)
        yield run(statements.SEALED_ADD, name, key_id, box, call.now)

    await call.parts.write(unit())
    await call.parts.trust_settled()
    await note(call, EventType.KEY_ROTATED, key=name, replaces=oldest, step="begun")
    return Answer(201, _shown(call))


async def finish(call: Call) -> Answer:
    """Trust the older authority no more. `force`: even if agents are cut off by it, which then need a new bundle."""
    snapshot = call.parts.snapshot()
    known = authorities.in_order(snapshot.authorities)
    if len(known) < 2:
        raise ProblemError(problem(Code.AUTHORITY_NOT_CHANGING))
    behind = _behind(call, snapshot, known[-1])
    if behind and not call.body["force"]:
        more = f" and {len(behind) - MAX_NAMED} more" if len(behind) > MAX_NAMED else ""
        named = ", ".join(behind[:MAX_NAMED]) + more
        raise ProblemError(problem(Code.AUTHORITY_IN_USE, clusters=named))
    old, new = known[0].name, known[-1].name

    def unit() -> Unit[None]:
        yield from units.change(Entity.AUTHORITY, old, call.now)
        if [kept for (kept, _) in (yield run(statements.AUTHORITIES))] != [old, new]:
            raise ProblemError(problem(Code.AUTHORITY_NOT_CHANGING))
        yield run(statements.SEALED_REMOVE, old)

    await call.parts.write(unit())
    await call.parts.trust_settled()
    await note(call, EventType.KEY_ROTATED, key=new, replaces=old, step="finished", cut_off=", ".join(behind))
    return Answer(200, _shown(call))


ROUTES = (
    Route("GET", "authority", (Permission.CLUSTERS_READ,), shown, gives=shapes.Authority),
    Route(
        "POST",
        "authority/change",
        (Permission.CLUSTERS_WRITE,),
        begin,
        body=(),
        gives=shapes.Authority,
        status=201,
        refuses=(Code.AUTHORITY_CHANGING,),
    ),
    Route(
        "POST",
        "authority/change/finish",
        (Permission.CLUSTERS_WRITE,),
        finish,
        body=(Field("force", bodies.boolean, required=False, default=False),),
        gives=shapes.Authority,
        refuses=(Code.AUTHORITY_NOT_CHANGING, Code.AUTHORITY_IN_USE),
    ),
)
