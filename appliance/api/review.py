"""The access review: the rights that somebody should look at, each with what speaks against it.

Seen is what lies in a scope the caller may see bindings in.
"""

from __future__ import annotations

from typing import Any, Final

from appliance.api import pages, readers, render, shapes
from appliance.api.bodies import Field
from appliance.api.routes import Answer, Call, Route
from appliance.core import review
from appliance.core.review import Finding
from appliance.core.roles import Binding, Permission, SubjectKind
from appliance.core.snapshot import Entity
from appliance.store import uses

MAX_DAYS: Final = 3_650
DEFAULT_UNUSED_DAYS: Final = 90  # a quarter: what is done at all is done within it
DEFAULT_EXPIRING_DAYS: Final = 7


async def listed(call: Call) -> Answer:
    """Live bindings that nobody used for `unused_days`, that end within `expiring_days`, or whose holder cannot act.

    Ordered by id; when each was last used is right to an hour. A page looks at `limit` bindings, and may show none.
    """
    snapshot = call.parts.snapshot()
    order = pages.order(call, Entity.BINDING, snapshot.bindings.values(), lambda it: (it.id,))
    ask = pages.asked(call, "access-review", str)
    looked, following = await pages.cut(call, ask, order, lambda it: it.live(call.now) and call.within(it.scope))
    used = await call.parts.read(uses.latest([it.id for it in looked]))
    wanted: Finding | None = call.query["finding"]
    items = []
    for it in looked:
        found = review.findings(
            it,
            used.get(it.id),
            snapshot.people,
            call.now,
            unused_days=call.query["unused_days"],
            expiring_days=call.query["expiring_days"],
        )
        if found and (wanted is None or wanted in found):
            items.append(_shown(call, it, used.get(it.id), found))
    return pages.answer(items, following)


def _shown(call: Call, it: Binding, used_at: int | None, found: tuple[Finding, ...]) -> dict[str, Any]:
    snapshot = call.parts.snapshot()
    role = snapshot.roles.get(it.role_id)
    person = snapshot.people.get(it.subject.id) if it.subject.kind is SubjectKind.PERSON else None
    machine = snapshot.machines.get(it.subject.id) if it.subject.kind is SubjectKind.MACHINE else None
    holder = person or machine
    return {
        **render.binding(it),
        "role": role.name if role is not None else "",
        "holder": holder.name if holder is not None else it.subject.id,
        "used_at": render.moment(used_at),
        "findings": [str(one) for one in found],
    }


ROUTES = (
    Route(
        "GET",
        "access-review",
        (Permission.BINDINGS_READ,),
        listed,
        query=(
            *pages.QUERY,
            Field("unused_days", readers.digits(1, MAX_DAYS), required=False, default=DEFAULT_UNUSED_DAYS),
            Field("expiring_days", readers.digits(0, MAX_DAYS), required=False, default=DEFAULT_EXPIRING_DAYS),
            Field("finding", readers.one_of(Finding), required=False, about="Only those about which this is said."),
        ),
        scoped=True,
        gives=shapes.Reviewed,
    ),
)
