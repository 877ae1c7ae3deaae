"""What must follow from a change while sessions run: revoked ones end, and connecting is recorded.

Two small loops beside the listener. What always holds: a session whose cluster, generation or serial the snapshot no
longer holds ends within a second of the snapshot's change; a record that cannot be kept is logged and never stops a
session, because no request depends on it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import trio

from appliance.core.events import AuditEvent, EventType
from appliance.core.problems import Problem
from appliance.core.snapshot import Snapshot
from appliance.core.wordings import Wording, worded
from appliance.tunnel.authority import AgentName
from appliance.tunnel.ports import Clock, EnrolmentStore, Record
from appliance.tunnel.registry import Change, Registry, SessionChange
from appliance.tunnel.trust import Trust

LOOK_SECONDS: Final = 0.25  # a comparison of two numbers; well inside the second a revocation may take
MAX_WAITING: Final = 8192  # changes not yet recorded: four for each of a thousand agents that come back at once

_log = logging.getLogger("fairlead.tunnel")


def fault_of(name: AgentName, snapshot: Snapshot) -> str:
    """Return why a certificate no longer opens anything; empty: it does."""
    cluster = snapshot.clusters.get(name.cluster_id)
    if cluster is None:
        return "its cluster does not exist"
    if name.generation != cluster.generation:
        return "its generation was revoked"
    known = snapshot.serials.get(name.serial)
    if known is None or known.cluster_id != name.cluster_id or known.generation != name.generation:
        return "its serial is not known"
    if snapshot.authorities and known.issued_at < min(it.created_at for it in snapshot.authorities.values()):
        return "its authority is trusted no more"
    return ""


def refused(fault: str) -> Problem:
    """Return what an agent is told whose certificate opens nothing."""
    return worded(Wording.CERTIFICATE_REFUSED, fault=fault)


async def end_revoked(registry: Registry[Any], store: EnrolmentStore) -> None:
    """End sessions whose certificate the snapshot no longer supports, until cancelled."""
    seen = -1
    while True:
        snapshot = store.snapshot
        if snapshot.version != seen:
            seen = snapshot.version
            ended = registry.end_where(partial(_condemned, snapshot))
            if ended:
                _log.warning("agent sessions ended by revocation", extra={"sessions": ended})
        await trio.sleep(LOOK_SECONDS)


def _condemned(snapshot: Snapshot, cluster_id: str, generation: int, serial: str) -> bool:
    return bool(fault_of(AgentName(cluster_id, generation, serial), snapshot))


async def tell_trust(registry: Registry[Any], note: Callable[[], bytes], trust: Trust) -> None:
    """Tell every agent at once when the authorities change, until cancelled."""
    while True:
        await trust.changed.wait()
        said = note()
        for _, session in registry.sessions():
            session.note(said)


async def record_changes(
    registry: Registry[Any],
    store: EnrolmentStore,
    record: Record,
    clock: Clock,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Keep an audit record of each session, and of each cluster that connects or disconnects, until cancelled."""
    send, receive = trio.open_memory_channel[Change | SessionChange](MAX_WAITING)

    def take(change: Change | SessionChange) -> None:
        try:
            send.send_nowait(change)
        except trio.WouldBlock:
            _log.error("a change of connection was not recorded: too many wait", extra={"cluster": change.cluster_id})

    registry.on_change(take)
    task_status.started()
    async for change in receive:
        cluster = store.snapshot.clusters.get(change.cluster_id)
        name = cluster.name if cluster is not None else ""
        try:
            await record(_event(change, name, clock()))
        except Exception:  # noqa: BLE001 # the ledger's trouble is logged, and access fails closed elsewhere
            _log.exception("a change of connection was not recorded", extra={"cluster": change.cluster_id})


def _event(change: Change | SessionChange, cluster: str, now: int) -> AuditEvent:
    if isinstance(change, Change):
        connected = change.state.connected
        return AuditEvent(
            now,
            EventType.CLUSTER_CONNECTED if connected else EventType.CLUSTER_DISCONNECTED,
            cluster_id=change.cluster_id,
            cluster=cluster,
            details=() if connected else (("reason", change.state.reason),),
        )
    whose = (("serial", change.serial), ("generation", str(change.generation)))
    return AuditEvent(
        now,
        EventType.AGENT_SESSION_OPENED if change.began else EventType.AGENT_SESSION_ENDED,
        client_address=change.address,
        cluster_id=change.cluster_id,
        cluster=cluster,
        details=whose if change.began else (*whose, ("reason", change.reason)),
        tunnel_session=change.session_id,
    )
