"""Kubeconfig credentials: issue one for a person and a cluster, and list them. How they end is in `revocations`.

A credential lies in its cluster: these routes need their permission there. What is not there, and what the caller may
not see, look alike.
"""

from __future__ import annotations

import re
from typing import Any, Final

from appliance.api import bodies, clusters, people, render
from appliance.api.bodies import BodyError, Field
from appliance.api.journal import note
from appliance.api.routes import Answer, Call, Route
from appliance.core.clusters import Cluster
from appliance.core.credentials import MAX_STATIC_SECONDS, CredentialKind
from appliance.core.events import EventType
from appliance.core.problems import ProblemError
from appliance.core.roles import Permission
from appliance.store import ids, issuing
from appliance.store.issuing import FIRST_PAGE, CredentialState, Listed, Wanted

MIN_SECONDS = 60  # shorter is over before a command has run
DEFAULT_LISTED = 100
MAX_LISTED = 500  # about 150 KB of JSON

_CURSOR: Final = re.compile(r"(\d{1,18})\.(cred\w{1,60})", re.ASCII)
_ID: Final = re.compile(r"(?:person|cluster)_[0-9a-f]{1,64}")


def kind(where: str, value: Any) -> CredentialKind:
    """How the credential will be kept."""
    try:
        return CredentialKind(value)
    except ValueError:
        known = ", ".join(CredentialKind)
        raise BodyError(where, f"{where} must be one of: {known}.") from None


async def issue(call: Call) -> Answer:
    """The token is shown this once, and kept nowhere."""
    wanted_kind: CredentialKind = call.body["kind"]
    seconds: int | None = call.body["ttl_seconds"]
    most = wanted_kind.most_seconds
    if seconds is not None and seconds > most:
        raise BodyError("ttl_seconds", f"ttl_seconds must be at most {most} for a credential of kind {wanted_kind}.")
    cluster: Cluster | None = None
    try:
        cluster = clusters.find(call, call.body["cluster"])
        person = people.find(call, call.body["person"])
        made = await call.parts.write(
            issuing.issue(
                Wanted(ids.new_id("credential"), person.id, cluster.id, wanted_kind, seconds or most, call.caller.id),
                call.now,
            )
        )
    except ProblemError as error:
        named = {"person": call.body["person"], "cluster_named": call.body["cluster"], "reason": error.problem.code}
        await note(call, EventType.CREDENTIAL_ISSUE_FAILED, cluster=cluster, **named)
        raise
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
        "ca": call.parts.ca_pem,
    }
    return Answer(201, answer)


async def listed(call: Call) -> Answer:
    """The latest first; `next` is the cursor of what follows, null at the end."""
    snapshot = call.parts.snapshot()
    person_id, cluster_id = _person(call), _cluster(call)
    limit = _limit(call.query.get("limit"))
    found = await call.parts.read(issuing.page(person_id, cluster_id, _state(call), _beyond(call), limit + 1, call.now))
    shown = found[:limit]
    items = [
        render.credential(
            it, snapshot.people.get(it.credential.person_id), snapshot.clusters.get(it.credential.cluster_id)
        )
        for it in shown
    ]
    return Answer(200, {"items": items, "next": _cursor(shown[-1]) if len(found) > limit else None})


def _person(call: Call) -> str:
    """The id the filter names, "" without one. Who was deleted is still found by their id."""
    given = call.query.get("person", "")
    if not given or (given not in call.parts.snapshot().people and _ID.fullmatch(given)):
        return given
    return people.find(call, given).id


def _cluster(call: Call) -> str:
    """The same. Whoever may not see every cluster's credentials names one whose they may see."""
    given = call.query.get("cluster", "")
    if all(call.rights.everywhere(permission) for permission in call.needs):
        if not given or (given not in call.parts.snapshot().clusters and _ID.fullmatch(given)):
            return given
    elif not given:
        raise BodyError("?cluster", "name a cluster: you may not see the credentials of all.")
    return clusters.find(call, given).id


def _state(call: Call) -> CredentialState | None:
    given = call.query.get("state")
    try:
        return None if given is None else CredentialState(given)
    except ValueError:
        raise BodyError("?state", f"state must be one of: {', '.join(CredentialState)}.") from None


def _limit(given: str | None) -> int:
    if given is None:
        return DEFAULT_LISTED
    if not given.isascii() or not given.isdigit() or len(given) > 9 or not 1 <= int(given) <= MAX_LISTED:
        raise BodyError("?limit", f"limit must be a whole number from 1 to {MAX_LISTED}.")
    return int(given)


def _cursor(last: Listed) -> str:
    return f"{last.credential.issued_at}.{last.credential.id}"


def _beyond(call: Call) -> tuple[int, str]:
    given = call.query.get("cursor")
    if given is None:
        return FIRST_PAGE
    match = _CURSOR.fullmatch(given)
    if match is None:
        raise BodyError("?cursor", "cursor must be the `next` of an earlier page.")
    return int(match[1]), match[2]


ROUTES = (
    Route(
        "GET",
        "credentials",
        (Permission.CREDENTIALS_READ,),
        listed,
        query=frozenset({"person", "cluster", "state", "limit", "cursor"}),
        scoped=True,
    ),
    Route(
        "POST",
        "credentials",
        (Permission.CREDENTIALS_ISSUE,),
        issue,
        body=(
            Field("cluster", bodies.text),
            Field("person", bodies.text),
            Field("kind", kind, required=False, default=CredentialKind.STATIC),
            Field("ttl_seconds", bodies.whole(MIN_SECONDS, MAX_STATIC_SECONDS), required=False, default=None),
        ),
        scoped=True,
    ),
)
