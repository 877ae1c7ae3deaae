"""What the clock ends is recorded once, and not while records cannot be kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance import expiries
from appliance.audit.ledger import AuditUnavailable, Ledger
from appliance.core.access import PENDING_SECONDS, SECOND, RequestState
from appliance.core.events import AuditEvent, EventType
from appliance.core.roles import EVERYWHERE
from appliance.store import requests
from tests.appliance.store import cast
from tests.appliance.store.cast import ADMIN, BLUE, NOW
from tests.appliance.store.homes import in_file

pytestmark = pytest.mark.real_clock


async def test_what_has_ended_is_recorded_once_and_only_when_it_can_be(tmp_path: Path) -> None:
    recorded: list[AuditEvent] = []
    ledger = Ledger(tmp_path / "audit.db", Ed25519PrivateKey.generate(), lambda: NOW)
    await ledger.start()
    ledger.subscribe(lambda events: recorded.extend(it for it in events if it.type is EventType.ACCESS_EXPIRED))
    async with in_file(tmp_path / "store").opened() as store:
        await cast.cast(store)
        admin = await cast.machine(store, "admin", (ADMIN, EVERYWHERE))
        eve = await cast.machine(store, "eve", (ADMIN, EVERYWHERE))
        policy = cast.policy()
        await store.write(requests.add_policy(admin.subject, policy, NOW))
        asked = await store.write(requests.ask(cast.wish(policy, admin), NOW))
        granted = await store.write(requests.approve(eve, asked.id, NOW, seconds=None, binding_id="binding_1"))
        await store.write(requests.ask(cast.wish(policy, admin, scope=BLUE), NOW))
        assert granted.until is not None

        await expiries.look(store, ledger, granted.until - 1)
        assert store.snapshot.access_requests[granted.id] == granted
        taken = 0
        while ledger.try_reserve():
            taken += 1
        with pytest.raises(AuditUnavailable):
            await expiries.look(store, ledger, granted.until)
        assert store.snapshot.access_requests[granted.id] == granted
        for _ in range(taken):
            ledger.release()
        for _ in range(2):
            await expiries.look(store, ledger, granted.until)
        assert store.snapshot.access_requests[granted.id].decided is RequestState.EXPIRED
        async with in_file(tmp_path / "store").opened() as other:  # another appliance, which comes first
            late = NOW + PENDING_SECONDS * SECOND
            await expiries.look(other, ledger, late)
            await expiries.look(store, ledger, late)
    await ledger.aclose()
    about = [dict(it.details) for it in recorded]
    assert [(it["what"], it["requester"], it["role"]) for it in about] == [
        ("grant", "ann@example.com", "viewer"),
        ("request", "ann@example.com", "viewer"),
    ]
    assert [it.cluster for it in recorded] == ["prod", "prod"]
