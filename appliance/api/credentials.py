"""Kubeconfig credentials: issue one for a person and a cluster, and list them. How they end is in `revocations`.

A credential lies in its cluster: nobody issues or sees one outside the scopes in which they hold the permission. To
issue one for somebody else is to give what they hold there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from appliance.api import bodies, clusters, pages, people, readers, render, shapes
from appliance.api.bodies import BodyError, Field
from appliance.api.journal import note
from appliance.api.routes import Answer, Call, Route
from appliance.core.askable import askable
from appliance.core.clusters import Cluster
from appliance.core.credentials import MAX_STATIC_SECONDS, SECOND, CredentialKind
from appliance.core.events import EventType
from appliance.core.people import Person
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import EVERYWHERE, Permission
from appliance.store import granting, ids, issuing
from appliance.store.issuing import CredentialState, Wanted

MIN_SECONDS = 60  # shorter is over before a command has run

_PERSON_ID: Final = re.compile(r"person_[0-9a-f]{1,64}")
_CLUSTER_ID: Final = re.compile(r"cluster_[0-9a-f]{1,64}")


async def issue(call: Call) -> Answer:
    """For anyone, by whoever may."""
    cluster: Cluster | None = None
    try:
        cluster = clusters.find(call, call.body["cluster"])
        person = people.find(call, call.body["person"])
        if call.held is not None and person.id == call.caller.id:  # ends with their session
            return await give(call, cluster, person, call.held[0].id, call.held[1].ends_at)
        return await give(call, cluster, person)
    except ProblemError as error:
        await _note_failed(call, cluster, error, person=call.body["person"])
        raise


async def issue_own(call: Call, holder: Person, no_later: int, session_id: str = "", **named: str) -> Answer:
    """For whoever asks; a cluster on which they hold nothing, and may ask for nothing, looks like one not there."""
    snapshot = call.parts.snapshot()
    cluster = snapshot.cluster(call.body["cluster"])
    try:
        if cluster is None or not (
            any(it.live(call.now) for it in snapshot.bindings_for(holder.id, cluster.id))
            or any(askable(snapshot, holder, cluster))
        ):
            raise ProblemError(problem(Code.CLUSTER_NOT_FOUND, cluster=call.body["cluster"]))
        return await give(call, cluster, holder, session_id, no_later)
    except ProblemError as error:
        await _note_failed(call, cluster, error, **named)
        raise


async def _note_failed(call: Call, cluster: Cluster | None, error: ProblemError, **named: str) -> None:
    details: dict[str, Any] = {**named, "cluster_named": call.body["cluster"], "reason": error.problem.code}
    await note(call, EventType.CREDENTIAL_ISSUE_FAILED, cluster=cluster, **details)


async def give(call: Call, cluster: Cluster, person: Person, session_id: str = "", no_later: int = 1 << 62) -> Answer:
    """The token is shown this once, and kept nowhere. `no_later`: it expires by then, whatever was asked for."""
    wanted_kind: CredentialKind = call.body["kind"]
    seconds: int | None = call.body["ttl_seconds"]
    most = wanted_kind.most_seconds
    if seconds is not None and seconds > most:
        raise BodyError("ttl_seconds", f"ttl_seconds must be at most {most} for a credential of kind {wanted_kind}.")
    lasts = min(seconds or most, max(1, (no_later - call.now) // SECOND))
    wanted = Wanted(ids.new_id("credential"), person.id, cluster.id, wanted_kind, lasts, call.caller.id, session_id)
    made = await call.parts.write(granting.issue_credential(call.caller.subject, wanted, call.now))
    expires_at = render.moment(made.expires_at)
    await note(
        call,
        EventType.CREDENTIAL_ISSUED,
        cluster=cluster,
        credential_id=made.id,
        person=person.name,
        person_id=person.id,
        kind=wanted_kind,
        expires_at=expires_at,
    )
    answer = {
        "id": made.id,
        "token": call.parts.sign(made),
        "kind": str(wanted_kind),
        "issued_at": render.moment(made.issued_at),
        "expires_at": expires_at,
        "server": f"{call.parts.public_url}/api/proxy/{cluster.name}",
        "ca": call.parts.ca_pem(),
    }
    return Answer(201, answer)


async def listed(call: Call) -> Answer:
    """The latest first; `next` is the cursor of what follows, null at the end. What lies in no scope is not there."""
    snapshot = call.parts.snapshot()
    person_id, cluster_ids = _person(call), _clusters(call)
    ask = pages.asked(call, "credentials", int, str)
    limit: int = call.query["limit"]
    beyond = ask.position(call.query["cursor"])
    found = await call.parts.read(
        issuing.page(person_id, cluster_ids, call.query["state"], beyond, limit + 1, call.now)
    )
    shown = found[:limit]
    items = [
        render.credential(
            it, snapshot.people.get(it.credential.person_id), snapshot.clusters.get(it.credential.cluster_id)
        )
        for it in shown
    ]
    following = ask.cursor((shown[-1].credential.issued_at, shown[-1].credential.id)) if len(found) > limit else None
    return pages.answer(items, following)


def _person(call: Call) -> str:
    """The id the filter names, "" without one. Who was deleted is still found by their id."""
    given = call.query["person"]
    if given is None or (given not in call.parts.snapshot().people and _PERSON_ID.fullmatch(given)):
        return given or ""
    return people.find(call, given).id


def _clusters(call: Call) -> Sequence[str] | None:
    """The ids of those whose credentials the caller may see and wants to; None: all, also those that were deleted."""
    given = call.query["cluster"]
    known = call.parts.snapshot().clusters
    if call.within(EVERYWHERE):
        if given is None:
            return None
        if given not in known and _CLUSTER_ID.fullmatch(given):
            return (given,)
    if given is None:
        return [it.id for it in known.values() if call.on(it)]
    return (clusters.find(call, given).id,)


#: How a credential is to be kept, and for how long.
FORM: Final = (
    Field("kind", readers.one_of(CredentialKind), required=False, default=CredentialKind.STATIC),
    Field("ttl_seconds", bodies.whole(MIN_SECONDS, MAX_STATIC_SECONDS), required=False, default=None),
)

ROUTES = (
    Route(
        "GET",
        "credentials",
        (Permission.CREDENTIALS_READ,),
        listed,
        query=(
            *pages.QUERY,
            Field("person", readers.query_text, required=False),
            Field("cluster", readers.query_text, required=False),
            Field("state", readers.one_of(CredentialState), required=False),
        ),
        scoped=True,
        gives=shapes.Credential,
        refuses=(Code.CLUSTER_NOT_FOUND, Code.USER_NOT_FOUND),
    ),
    Route(
        "POST",
        "credentials",
        (Permission.CREDENTIALS_ISSUE,),
        issue,
        body=(
            Field("cluster", bodies.text),
            Field("person", bodies.text),
            *FORM,
        ),
        scoped=True,
        gives=shapes.NewCredential,
        status=201,
        refuses=(Code.CLUSTER_NOT_FOUND, Code.USER_NOT_FOUND, Code.PERSON_DISABLED, Code.ESCALATION_FORBIDDEN),
    ),
)
