"""The audit trail: searched newest first, page by page, and one record by its id.

Whoever reads it leaves a record, without which there is no answer; see readings.py for the pages that follow.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final
from urllib.parse import urlencode

from appliance.api.bodies import BodyError
from appliance.api.journal import note
from appliance.api.routes import Answer, Call, Route
from appliance.core.audit_query import FILTERS, QueryFault, read_query
from appliance.core.events import EventType
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import EVERYWHERE, Permission

_ID: Final = re.compile(r"([1-9]\d{0,17})-([1-9]\d{0,17})", re.ASCII)


async def search(call: Call) -> Answer:
    """The records that fit all filters; `next` is the cursor of what follows, null at the end."""
    try:
        query = read_query(call.query)
    except QueryFault as fault:
        raise BodyError(f"?{fault.name}", str(fault)) from None
    found = await call.parts.search_audit(replace(query, clusters=_clusters(call)))
    readings = call.parts.readings
    if not readings.follows(call.caller.id, call.query):
        await note(call, EventType.AUDIT_READ, filters=urlencode(sorted(call.query.items())))
    readings.give(call.caller.id, call.query, found["next"])
    return Answer(200, found)


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


ROUTES = (
    Route("GET", "audit", (Permission.AUDIT_READ,), search, query=FILTERS, scoped=True),
    Route("GET", "audit/<record>", (Permission.AUDIT_READ,), one, scoped=True),
)
