"""What sign-in leaves in the audit trail."""

from __future__ import annotations

from appliance.core.events import AuditEvent, EventType
from appliance.core.people import Person
from appliance.core.problems import Problem
from appliance.login.parts import LoginParts
from appliance.login.visits import Visit


async def note(
    parts: LoginParts, kind: EventType, visit: Visit | None, person: Person | None = None, /, **details: object
) -> None:
    """One record; the answer waits for it. Without a visit the appliance acted by itself."""
    await parts.record(
        AuditEvent(
            visit.now if visit is not None else parts.clock(),
            kind,
            actor_id=person.id if person is not None else "",
            actor=person.name if person is not None else "",
            client_address=visit.address if visit is not None else "",
            correlation_id=visit.correlation_id if visit is not None else "",
            details=tuple((name, str(value)) for name, value in details.items()),
        )
    )


async def refused(
    parts: LoginParts, kind: EventType, visit: Visit, found: Problem, person: Person | None = None, /, **details: object
) -> None:
    """A refusal, with its code."""
    await parts.record(
        AuditEvent(
            visit.now,
            kind,
            actor_id=person.id if person is not None else "",
            actor=person.name if person is not None else "",
            client_address=visit.address,
            status=found.status,
            code=found.code,
            correlation_id=visit.correlation_id,
            details=tuple((name, str(value)) for name, value in details.items()),
        )
    )
