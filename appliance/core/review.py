"""Which bindings somebody should look at: nobody used them for long, they end soon, their holder cannot act. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from appliance.core.credentials import SECOND
from appliance.core.people import Person
from appliance.core.roles import Binding, SubjectKind

DAY: Final = 24 * 3_600 * SECOND


class Finding(StrEnum):
    """Why."""

    UNUSED = "unused"  # it allowed nothing for so long, and is older than that
    EXPIRING = "expiring"
    DISABLED = "disabled"  # of a person who is
    UNCLAIMED = "unclaimed"  # of an e-mail that nobody has shown to be theirs, as long as that is unused


def findings(
    binding: Binding,
    used_at: int | None,
    people: Mapping[str, Person],
    now: int,
    *,
    unused_days: int,
    expiring_days: int,
) -> tuple[Finding, ...]:
    """What there is to say about a live binding; nothing of one that has ended."""
    if not binding.live(now):
        return ()
    found = []
    before = now - unused_days * DAY
    if binding.subject.kind is SubjectKind.EMAIL:
        if binding.created_at <= before:
            found.append(Finding.UNCLAIMED)
    elif max(used_at or 0, binding.created_at) <= before:
        found.append(Finding.UNUSED)
    if binding.until is not None and binding.until <= now + expiring_days * DAY:
        found.append(Finding.EXPIRING)
    person = people.get(binding.subject.id) if binding.subject.kind is SubjectKind.PERSON else None
    if person is not None and not person.enabled:
        found.append(Finding.DISABLED)
    return tuple(found)
