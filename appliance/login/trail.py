"""What sign-in leaves in the audit trail, and whom it hears no more after too many failed tries."""

from __future__ import annotations

from typing import Final

from appliance.core.events import AuditEvent, EventType
from appliance.core.people import Machine, Person
from appliance.core.problems import Problem, ProblemError
from appliance.login.parts import LoginParts
from appliance.login.visits import Visit

MAX_SHOWN_CHARS: Final = 256  # of what a token says, in a record


async def note(
    parts: LoginParts, kind: EventType, visit: Visit | None, who: Person | Machine | None = None, /, **details: object
) -> None:
    """One record; the answer waits for it. Without a visit the appliance acted by itself."""
    await parts.record(
        AuditEvent(
            visit.now if visit is not None else parts.clock(),
            kind,
            actor_id=who.id if who is not None else "",
            actor=who.name if who is not None else "",
            client_address=visit.address if visit is not None else "",
            correlation_id=visit.correlation_id if visit is not None else "",
            details=_texts(details),
        )
    )


async def refused(parts: LoginParts, kind: EventType, visit: Visit, found: Problem, /, **details: object) -> None:
    """A refusal, with its code; of whom, nobody has proved."""
    await parts.record(
        AuditEvent(
            visit.now,
            kind,
            client_address=visit.address,
            status=found.status,
            code=found.code,
            correlation_id=visit.correlation_id,
            details=_texts(details),
        )
    )


def limit(parts: LoginParts, visit: Visit, account: str = "") -> None:
    """Raises ProblemError while the address, or the account, has failed too often."""
    limited = parts.failures.refuse(visit.address, visit.now, account)
    if limited is not None:
        raise ProblemError(limited)


def account_of(issuer: str, subject: str) -> str:
    """Under which failed tries of whoever proved to be this subject are counted."""
    return f"{issuer} {shown(subject)}"


def shown(value: object) -> str:
    """What somebody else says, as it may stand in a record."""
    text = str(value)[:MAX_SHOWN_CHARS]
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def _texts(details: dict[str, object]) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in details.items())
