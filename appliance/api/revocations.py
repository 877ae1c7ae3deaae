"""How kubeconfig credentials end before their time: one, all of a person, all of a cluster, or the one that is shown.

What always holds: a call is answered once the local snapshot refuses the credential, so the very next request with it
is refused, and every stream that rests on it ends within two seconds. Whoever holds a token may have it revoked and
nothing else: the token is the proof, and one that we did not issue learns nothing.
"""

from __future__ import annotations

import re
from typing import Any, Final

from appliance.api import bodies, clusters, people, render, shapes
from appliance.api.bodies import BodyError, Field
from appliance.api.journal import note
from appliance.api.routes import Answer, Call, Proof, Route
from appliance.core.credentials import MAX_TOKEN_BYTES
from appliance.core.events import EventType
from appliance.core.problems import Code, Problem, ProblemError, problem
from appliance.core.roles import Permission
from appliance.store import issuing, refusing

UNKNOWN: Final = ("", "")  # whoever shows a token that is not ours
BY_HOLDER: Final = "revoked by whoever held the token"

_ID: Final = re.compile(r"\w{1,64}", re.ASCII)
_REASON: Final = Field("reason", bodies.text, required=False, default="")


@bodies.reads({"type": "string", "minLength": 1, "maxLength": MAX_TOKEN_BYTES})
def token(where: str, value: Any) -> str:
    """A token, whatever kind it is."""
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= MAX_TOKEN_BYTES
        or not (value.isascii() and value.isprintable())
    ):
        raise BodyError(where, f"{where} must be a token.")
    return value


async def revoke(call: Call) -> Answer:
    """One credential, by its id."""
    named = call.path["credential"]
    try:
        revoked = await call.parts.write(
            refusing.revoke_credential(call.caller.subject, named, f"revoked by {call.caller.name}", call.now)
        )
    except ProblemError as error:
        known_form = named if _ID.fullmatch(named) else ""
        await note(call, EventType.CREDENTIAL_REVOKE_DENIED, credential_id=known_form, reason=error.problem.code)
        raise
    cluster = call.parts.snapshot().clusters.get(revoked.cluster_id)
    await note(
        call, EventType.CREDENTIAL_REVOKED, cluster=cluster, credential_id=revoked.id, person_id=revoked.person_id
    )
    return Answer(204)


async def revoke_person(call: Call) -> Answer:
    """Every credential the person has got until now."""
    person = people.find(call, call.path["person"])
    refused = await call.parts.write(refusing.refuse_person(call.caller.subject, person.id, call.now))
    await note(
        call,
        EventType.CREDENTIAL_REVOKED,
        all_of="person",
        person=refused.name,
        person_id=refused.id,
        reason=call.body["reason"],
    )
    return Answer(200, {"person_id": refused.id, "refused_until": render.moment(refused.not_before)})


async def revoke_cluster(call: Call) -> Answer:
    """Every credential anyone has got for the cluster until now. Its agents go on."""
    cluster = clusters.find(call, call.path["cluster"])
    refused = await call.parts.write(refusing.refuse_cluster(call.caller.subject, cluster.id, call.now))
    await note(call, EventType.CREDENTIAL_REVOKED, cluster=refused, all_of="cluster", reason=call.body["reason"])
    return Answer(200, {"cluster_id": refused.id, "refused_until": render.moment(refused.not_before)})


async def revoke_shown(call: Call) -> Answer:
    """The credential whose token is shown. One that has expired ends the streams that outlived it."""
    shown = call.parts.prove(call.body["token"].encode(), call.now)
    if isinstance(shown, Problem):
        # One answer for every token that is not ours: which part of it is wrong is nobody's business here.
        refused = problem(Code.INVALID_TOKEN, detail="it is not a kubeconfig credential of this appliance")
        await note(call, EventType.CREDENTIAL_REVOKE_DENIED, by=UNKNOWN, reason=refused.code)
        raise ProblemError(refused)
    snapshot = call.parts.snapshot()
    person = snapshot.people.get(shown.person_id)
    expired = shown.expires_at <= call.now
    now_revoked = await call.parts.write(issuing.revoke_shown(shown, BY_HOLDER, call.now))
    state = "expired" if expired else "revoked" if now_revoked else "already revoked"
    await note(
        call,
        EventType.CREDENTIAL_REVOKED,
        by=(shown.person_id, person.name if person is not None else ""),
        cluster=snapshot.clusters.get(shown.cluster_id),
        credential_id=shown.id,
        person_id=shown.person_id,
        reason=BY_HOLDER,
        state=state,
    )
    return Answer(200, {"id": shown.id, "state": state, "expires_at": render.moment(shown.expires_at)})


ROUTES = (
    Route(
        "DELETE",
        "credentials/<credential>",
        (Permission.CREDENTIALS_REVOKE,),
        revoke,
        scoped=True,
        status=204,
        refuses=(Code.CREDENTIAL_NOT_FOUND,),
    ),
    Route(
        "POST",
        "people/<person>/revoke-credentials",
        (Permission.CREDENTIALS_REVOKE,),
        revoke_person,
        body=(_REASON,),
        gives=shapes.RefusedOfPerson,
        refuses=(Code.USER_NOT_FOUND,),
    ),
    Route(
        "POST",
        "clusters/<cluster>/revoke-credentials",
        (Permission.CREDENTIALS_REVOKE,),
        revoke_cluster,
        body=(_REASON,),
        scoped=True,
        gives=shapes.RefusedOfCluster,
        refuses=(Code.CLUSTER_NOT_FOUND,),
    ),
    Route(
        "POST",
        "credentials/revoke-by-token",
        (),
        revoke_shown,
        body=(Field("token", token),),
        proof=Proof.SHOWN_IN_BODY,
        gives=shapes.Revoked,
        refuses=(Code.INVALID_TOKEN,),
    ),
)
