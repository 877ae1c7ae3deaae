"""What the clock ends, recorded: requests nobody answered, and grants that ran out.

Expiry itself needs nobody: every decision looks at the clock. This only writes down that it happened, once, and puts
it into the audit trail. What always holds: of several appliances on one store, exactly one records it; while records
cannot be kept, nothing is written down either, and it is tried again.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from appliance.audit.ledger import Ledger
from appliance.core.access import AccessRequest, RequestState, settled
from appliance.core.events import AuditEvent, EventType
from appliance.core.snapshot import Snapshot
from appliance.store import requests
from appliance.store.store import Store

LOOK_SECONDS = 5.0  # how late a record of an expiry may be; the expiry itself is never late


async def run(store: Store, ledger: Ledger, clock: Callable[[], int]) -> None:
    """Looks until cancelled. A failure is logged once and tried again."""
    failing = False
    while True:
        try:
            await look(store, ledger, clock())
            failing = False
        except Exception as error:  # noqa: BLE001 -- the store or the ledger; both come back or are replaced
            if not failing:
                structlog.get_logger().error("expired access could not be recorded", error=str(error))
            failing = True
        await trio.sleep(LOOK_SECONDS)


async def look(store: Store, ledger: Ledger, now: int) -> None:
    """Writes down and records what has ended by `now`."""
    due = [it.id for it in store.snapshot.access_requests.values() if settled(it, now) is not None]
    for request_id in due:
        await ledger.reserve()
        ended = None
        try:
            ended = await store.write(requests.settle(request_id, now))
        finally:
            if ended is None:
                ledger.release()
            else:
                ledger.close(_event(ended, store.snapshot, now))


def _event(ended: AccessRequest, snapshot: Snapshot, now: int) -> AuditEvent:
    assert ended.decided is RequestState.EXPIRED
    cluster = snapshot.clusters.get(ended.scope.cluster_id)
    person, role = snapshot.people.get(ended.subject.id), snapshot.roles.get(ended.role_id)
    details = {
        "request_id": ended.id,
        "requester_id": ended.subject.id,
        "requester": person.name if person is not None else "",
        "role_id": ended.role_id,
        "role": role.name if role is not None else "",
        "what": "grant" if ended.binding_id else "request",
    }
    return AuditEvent(
        now,
        EventType.ACCESS_EXPIRED,
        actor="clock",
        cluster_id=cluster.id if cluster is not None else "",
        cluster=cluster.name if cluster is not None else "",
        details=tuple(details.items()),
    )
