"""The audit trail: searched newest first, page by page, and one record by its id."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from appliance.api.bodies import BodyError
from appliance.api.routes import Answer, Call, Route
from appliance.core.audit_query import FILTERS, QueryFault, read_query
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import EVERYWHERE, Permission

_ID: Final = re.compile(r"([1-9]\d{0,17})-([1-9]\d{0,17})", re.ASCII)


async def search(call: Call) -> Answer:
    """The records that fit all filters; `next` is the cursor of what follows, null at the end."""
    try:
        query = read_query(call.query)
    except QueryFault as fault:
        raise BodyError(f"?{fault.name}", str(fault)) from None
    return Answer(200, await call.parts.search_audit(replace(query, clusters=_clusters(call))))


async def one(call: Call) -> Answer:
    match = _ID.fullmatch(call.path["record"])
    record = await call.parts.audit_record(int(match[1]), int(match[2])) if match else None
    clusters = _clusters(call)
    if record is None or (clusters is not None and record.get("cluster_id") not in clusters):
        raise ProblemError(problem(Code.AUDIT_EVENT_NOT_FOUND))
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
