"""Kubeconfig credentials: issue one for a person and a cluster, revoke one."""

from __future__ import annotations

from appliance.api import bodies, clusters, people, render
from appliance.api.bodies import Field
from appliance.api.journal import note
from appliance.api.routes import Answer, Call, Route
from appliance.core.credentials import MAX_STATIC_SECONDS, SECOND, Credential
from appliance.core.events import EventType
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Permission
from appliance.store import ids, units

MIN_SECONDS = 60  # shorter is over before a command has run
MAX_REASON_CHARS = 256


async def issue(call: Call) -> Answer:
    """The token is shown this once, and kept nowhere."""
    cluster = clusters.find(call, call.body["cluster"])
    person = people.find(call, call.body["person"])
    if not person.enabled:
        await note(call, EventType.CREDENTIAL_ISSUE_FAILED, cluster=cluster, person=person.name, reason="disabled")
        raise ProblemError(problem(Code.PERSON_DISABLED))
    # Whole seconds, rounded up: a credential issued in the second in which older ones were refused must be newer.
    issued_at = -(-call.now // SECOND) * SECOND
    expires_at = issued_at + call.body["ttl_seconds"] * SECOND
    made = Credential(ids.new_id("credential"), person.id, cluster.id, issued_at, expires_at)
    await call.parts.write(units.add_credential(made, call.caller.id))
    await note(
        call,
        EventType.CREDENTIAL_ISSUED,
        cluster=cluster,
        credential_id=made.id,
        person=person.name,
        person_id=person.id,
        expires_at=render.moment(expires_at) or "",
    )
    answer = {
        "id": made.id,
        "token": call.parts.sign(made),
        "expires_at": render.moment(expires_at),
        "server": f"{call.parts.public_url}/api/proxy/{cluster.name}",
        "ca": call.parts.ca_pem,
    }
    return Answer(201, answer)


async def revoke(call: Call) -> Answer:
    """Refused within a second everywhere; streams that run on it end."""
    revoked = await call.parts.write(units.revoke_credential(call.path["credential"], "revoked by API", call.now))
    cluster = call.parts.snapshot().clusters.get(revoked.cluster_id)
    await note(call, EventType.CREDENTIAL_REVOKED, cluster=cluster, credential_id=revoked.id)
    return Answer(204)


ROUTES = (
    Route(
        "POST",
        "credentials",
        (Permission.CREDENTIALS_ISSUE,),
        issue,
        body=(
            Field("cluster", bodies.text),
            Field("person", bodies.text),
            Field(
                "ttl_seconds", bodies.whole(MIN_SECONDS, MAX_STATIC_SECONDS), required=False, default=MAX_STATIC_SECONDS
            ),
        ),
    ),
    Route("DELETE", "credentials/<credential>", (Permission.CREDENTIALS_REVOKE,), revoke),
)
