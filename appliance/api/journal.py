"""What the admin API leaves in the audit trail: one record for each change, and for each look at the trail itself."""

from __future__ import annotations

from appliance.api.routes import Call
from appliance.core.clusters import Cluster
from appliance.core.events import AuditEvent, EventType


async def note(
    call: Call,
    kind: EventType,
    /,
    *,
    by: tuple[str, str] | None = None,
    cluster: Cluster | None = None,
    credential_id: str = "",
    **details: object,
) -> None:
    """Record who changed what, to what. The answer to the caller waits for it. `by`: id and name, if not a machine."""
    actor_id, actor = by or (call.caller.id, call.caller.name)
    await call.parts.record(
        AuditEvent(
            call.now,
            kind,
            actor_id=actor_id,
            actor=actor,
            client_address=call.client_address,
            cluster_id=cluster.id if cluster is not None else "",
            cluster=cluster.name if cluster is not None else "",
            correlation_id=call.correlation_id,
            credential_id=credential_id,
            details=tuple((name, str(value)) for name, value in details.items()),
        )
    )
