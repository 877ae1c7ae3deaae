"""What a person who signed in may ask for, what they asked for, and what became of it.

It takes no permission but their session: a request policy that names them is what lets them ask. What no policy lets
them ask for, and what others asked for, is not there.
"""

from __future__ import annotations

from typing import Any

from appliance.api import pages, render, requests, shapes
from appliance.api.routes import Answer, Call, Proof, Route
from appliance.core.access import AccessRequest, RequestState
from appliance.core.askable import Askable, askable
from appliance.core.events import EventType
from appliance.core.paging import ordered
from appliance.core.problems import Code, ProblemError, problem
from appliance.store.requests import WITHDRAWN, withdraw


async def offered(call: Call) -> Answer:
    """Each role that may be asked for, on which clusters, and what it takes."""
    snapshot = call.parts.snapshot()
    person = snapshot.people[call.caller.id]
    offers = ordered(askable(snapshot, person), lambda it: (it.role.name, it.policy.id))
    found, following = await pages.cut(call, pages.asked(call, "me/askable", str, str), offers, lambda _: True)
    return pages.answer([_offer(call, it) for it in found], following)


async def ask(call: Call) -> Answer:
    return await requests.ask_as(call, call.caller.subject)


async def listed(call: Call) -> Answer:
    return await requests.page(call, lambda it: it.subject == call.caller.subject)


async def one(call: Call) -> Answer:
    return Answer(200, render.access_request(_own(call), call.now))


async def end(call: Call) -> Answer:
    """Not needed any more: what waits is withdrawn, what was granted ends, with what runs on it."""
    _own(call)
    ended = await call.parts.write(withdraw(call.caller, call.path["request"], call.now))
    # As it was written, not as we knew it before: another appliance may have approved it meanwhile.
    kind = EventType.ACCESS_REVOKED if ended.decided is RequestState.REVOKED else EventType.ACCESS_DENIED
    await requests.note_request(call, kind, ended, reason=WITHDRAWN)
    return Answer(200, render.access_request(ended, call.now))


def _own(call: Call) -> AccessRequest:
    found = call.parts.snapshot().access_requests.get(call.path["request"])
    if found is None or found.subject != call.caller.subject:
        raise ProblemError(problem(Code.REQUEST_NOT_FOUND))
    return found


def _offer(call: Call, it: Askable) -> dict[str, Any]:
    clusters = sorted(
        (known for known in call.parts.snapshot().clusters.values() if it.policy.scope.covers(known)),
        key=lambda known: known.name,
    )
    return {
        "policy_id": it.policy.id,
        "role_id": it.role.id,
        "role": it.role.name,
        "description": it.role.description,
        "scope": render.scope(it.policy.scope),
        "clusters": [{"id": known.id, "name": known.name} for known in clusters],
        "approvals": it.policy.approvals,
        "max_seconds": it.policy.max_seconds,
        "reason_required": it.policy.reason_required,
    }


ROUTES = (
    Route("GET", "me/askable", (), offered, query=pages.QUERY, proof=Proof.SIGNED_IN, gives=shapes.Askable),
    Route(
        "GET", "me/access-requests", (), listed, query=requests.QUERY, proof=Proof.SIGNED_IN, gives=shapes.AccessRequest
    ),
    Route(
        "GET",
        "me/access-requests/<request>",
        (),
        one,
        proof=Proof.SIGNED_IN,
        gives=shapes.AccessRequest,
        refuses=(Code.REQUEST_NOT_FOUND,),
    ),
    Route(
        "POST",
        "me/access-requests",
        (),
        ask,
        body=requests.WISH,
        proof=Proof.SIGNED_IN,
        gives=shapes.AccessRequest,
        status=201,
        refuses=requests.ASKING,
    ),
    Route(
        "DELETE",
        "me/access-requests/<request>",
        (),
        end,
        proof=Proof.SIGNED_IN,
        gives=shapes.AccessRequest,
        refuses=(
            Code.REQUEST_NOT_FOUND,
            Code.REQUEST_NOT_PENDING,
            Code.REQUEST_EXPIRED,
            Code.GRANT_NOT_APPROVED,
            Code.GRANT_ALREADY_REVOKED,
            Code.GRANT_ALREADY_EXPIRED,
        ),
    ),
)
