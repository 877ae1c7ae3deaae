"""What opens nothing any more, and what is recorded when a cluster turns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

from appliance.core.clusters import AgentCertificate, Cluster
from appliance.core.events import AuditEvent, EventType
from appliance.core.snapshot import Entity, Snapshot
from appliance.tunnel.authority import AgentName
from appliance.tunnel.registry import Registry
from appliance.tunnel.watch import end_revoked, fault_of, record_changes
from tests.appliance.tunnel.test_registry import Line


def snapshot_of(*, generation: int = 2, serials: tuple[tuple[str, str, int], ...] = (("s", "c", 2),)) -> Snapshot:
    snapshot = Snapshot()
    snapshot.put(Entity.CLUSTER, "c", Cluster("c", "alpha", generation=generation))
    for serial, cluster_id, issued_for in serials:
        snapshot.put(Entity.AGENT_CERTIFICATE, serial, AgentCertificate(serial, cluster_id, issued_for, 10**18))
    return snapshot


@dataclass
class Kept:
    """The part of the store that watching needs."""

    snapshot: Snapshot = field(default_factory=snapshot_of)

    async def redeem(self, *_: Any) -> Any:
        raise AssertionError

    async def keep_certificate(self, *_: Any) -> bool:
        raise AssertionError


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (AgentName("c", 2, "s"), ""),
        (AgentName("gone", 2, "s"), "its cluster does not exist"),
        (AgentName("c", 1, "s"), "its generation was revoked"),
        (AgentName("c", 3, "s"), "its generation was revoked"),
        (AgentName("c", 2, "other"), "its serial is not known"),
    ],
)
def test_what_a_certificate_needs(name: AgentName, fault: str) -> None:
    assert fault_of(name, snapshot_of()) == fault


@pytest.mark.parametrize("serial", [("s", "d", 2), ("s", "c", 1)])
def test_a_serial_belongs_to_one_cluster_and_generation(serial: tuple[str, str, int]) -> None:
    assert fault_of(AgentName("c", 2, "s"), snapshot_of(serials=(serial,))) == "its serial is not known"


async def test_a_deleted_cluster_is_forgotten_once_its_last_session_has_ended() -> None:
    registry, kept = Registry[Line](), Kept()
    registry.add("c", Line("1"), generation=2, serial="s", now=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_revoked, registry, kept)
        await trio.sleep(1)
        kept.snapshot.put(Entity.CLUSTER, "c", None)
        await trio.sleep(1)
        assert registry.states().keys() == {"c"}, "it is ending"
        registry.remove("c", "1", reason="revoked", now=2)
        await trio.sleep(1)
        assert not registry.states()
        nursery.cancel_scope.cancel()


async def test_sessions_end_within_a_second_of_the_change() -> None:
    store, line = Kept(), Line("1")
    registry: Registry[Line] = Registry()
    registry.add("c", line, generation=2, serial="s", now=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_revoked, registry, store)
        await trio.sleep(5)
        assert not line.aborted

        store.snapshot.put(Entity.CLUSTER, "c", Cluster("c", "alpha", generation=3))
        await trio.sleep(1)

        assert vars(line)["aborted"]
        nursery.cancel_scope.cancel()


async def test_turns_are_recorded_and_a_ledger_in_trouble_stops_nothing() -> None:
    store, events = Kept(), list[AuditEvent]()
    registry: Registry[Line] = Registry()

    async def record(event: AuditEvent) -> None:
        events.append(event)
        await trio.lowlevel.checkpoint()
        if len(events) == 1:
            raise RuntimeError("the disk is full")

    async with trio.open_nursery() as nursery:
        await nursery.start(record_changes, registry, store, record, lambda: 7)
        registry.add("c", Line("1"), generation=2, serial="s", now=1)
        await trio.sleep(1)
        registry.remove("c", "1", reason="silent", now=2)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()

    whose = (("serial", "s"), ("generation", "2"))
    assert [(event.type, event.cluster, event.tunnel_session, event.details) for event in events] == [
        (EventType.AGENT_SESSION_OPENED, "alpha", "1", whose),
        (EventType.CLUSTER_CONNECTED, "alpha", "", ()),
        (EventType.AGENT_SESSION_ENDED, "alpha", "1", (*whose, ("reason", "silent"))),
        (EventType.CLUSTER_DISCONNECTED, "alpha", "", (("reason", "silent"),)),
    ]
