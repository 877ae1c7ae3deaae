"""The audit trail, its latest records first."""

from __future__ import annotations

from appliance.api.bodies import BodyError
from appliance.api.routes import Answer, Call, Route
from appliance.core.roles import Permission

DEFAULT_RECORDS = 100
MAX_RECORDS = 500  # about half a MB of JSON; more is an export


async def recent(call: Call) -> Answer:
    limit = call.query.get("limit", str(DEFAULT_RECORDS))
    if not limit.isascii() or not limit.isdigit() or len(limit) > 9 or not 1 <= int(limit) <= MAX_RECORDS:
        raise BodyError("?limit", f"limit must be a whole number from 1 to {MAX_RECORDS}.")
    return Answer(200, {"items": list(await call.parts.recent(int(limit)))})


ROUTES = (Route("GET", "audit", (Permission.AUDIT_READ,), recent, query=frozenset({"limit"})),)
