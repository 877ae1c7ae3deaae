"""The role of administrators, made on the appliance's own host and by setup codes: every permission there is."""

from __future__ import annotations

from dataclasses import replace

from appliance.core.roles import ADMINISTRATOR, Permission, Role
from appliance.store import rows, statements, units
from appliance.store.unit import Unit, run


def role(role_id: str, now: int) -> Unit[Role]:
    """The role with every permission; made, under this id, or completed if an earlier version made it."""
    yield run(statements.FEED_LOCK)
    every = tuple(Permission)
    found = yield run(statements.ROLE_NAMED, ADMINISTRATOR, "")
    if not found:
        made = Role(role_id, ADMINISTRATOR, "Everything the admin API offers.", permissions=every, created_at=now)
        yield from units.add_role(made, now)
        return made
    known = rows.role((yield run(statements.ROLE, found[0][0]))[0])
    if set(known.permissions) != set(every):
        return (yield from units.set_role(known.id, lambda it: replace(it, permissions=every), now))
    return known
