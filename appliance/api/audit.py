"""The audit trail: searched newest first, page by page, and one record by its id.

Whoever reads it leaves a record, without which there is no answer; see readings.py for the pages that follow.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final
from urllib.parse import urlencode

from appliance.api import pages, readers, shapes
from appliance.api.bodies import BodyError, Field
from appliance.api.journal import note
from appliance.api.routes import Answer, Call, Route
from appliance.core.audit_query import FILTERS, TOP, Position, QueryFault, read_query
from appliance.core.events import EventType
from appliance.core.paging import DEFAULT_LIMIT
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import EVERYWHERE, Permission

_ID: Final = re.compile(r"([1-9]\d{0,17})-([1-9]\d{0,17})", re.ASCII)


async def search(call: Call) -> Answer:
    """The records that fit all filters; `next` is the cursor of what follows, null at the end."""
    usual = {("limit", DEFAULT_LIMIT), ("follow", False)}
    asked = ((name, value) for name, value in call.query.items() if (name, value) not in usual)
    given = {name: "true" if value is True else str(value) for name, value in asked if value is not None}
    ask = pages.asked(call, "audit", int, int, int)
    after = ask.position(call.query["cursor"])
    try:
        query = read_query({name: value for name, value in given.items() if name in FILTERS})
    except QueryFault as fault:
        raise BodyError(f"?{fault.name}", str(fault)) from None
    place = TOP if after is None else Position(*map(int, after))
    found = await call.parts.search_audit(
        replace(query, clusters=_clusters(call), limit=call.query["limit"], after=place)
    )
    following = None if found["next"] is None else ask.cursor(tuple(found["next"]))
    readings = call.parts.readings
    on_record = readings.follows(call.caller.id, given) or (
        call.query["follow"] and "until" not in given and readings.goes_on(call.caller.id, given, query.since, call.now)
    )
    if not on_record:
        await note(call, EventType.AUDIT_READ, filters=urlencode(sorted(given.items())))
    readings.give(call.caller.id, given, following)
    return pages.answer(found["items"], following)


async def one(call: Call) -> Answer:
    match = _ID.fullmatch(call.path["record"])
    record = await call.parts.audit_record(int(match[1]), int(match[2])) if match else None
    clusters = _clusters(call)
    if record is None or (clusters is not None and record.get("cluster_id") not in clusters):
        raise ProblemError(problem(Code.AUDIT_EVENT_NOT_FOUND))
    await note(call, EventType.AUDIT_READ, record=call.path["record"])
    return Answer(200, record)


def _clusters(call: Call) -> frozenset[str] | None:
    """Whose records the caller may see; None: all, also of what belongs to no cluster, or to one that is gone."""
    if call.within(EVERYWHERE):
        return None
    return frozenset(it.id for it in call.parts.snapshot().clusters.values() if call.on(it))


#: What each filter means, and which values it has, `read_query` says.
_QUERY: Final = (
    *pages.QUERY,
    *(Field(name, readers.query_text, required=False) for name in sorted(FILTERS)),
    Field("follow", readers.flag, required=False, default=False),
)

ROUTES = (
    Route("GET", "audit", (Permission.AUDIT_READ,), search, query=_QUERY, scoped=True, gives=shapes.AuditRecord),
    Route(
        "GET",
        "audit/<record>",
        (Permission.AUDIT_READ,),
        one,
        scoped=True,
        gives=shapes.AuditRecord,
        refuses=(Code.AUDIT_EVENT_NOT_FOUND,),
    ),
)
