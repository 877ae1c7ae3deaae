"""A change of the certificate authority: begun once, finished when nobody would be cut off, or by force."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.core.clusters import AgentCertificate
from appliance.core.liveness import AgentLink, ClusterState
from appliance.store import units
from tests.appliance.api.rig import NOW, Rig, rig

pytestmark = pytest.mark.real_clock

HOUR = 3600 * 1_000_000


async def certified(api: Rig, cluster: str, serial: str, issued_at: int) -> None:
    certificate = AgentCertificate(serial, cluster, 1, NOW + HOUR, issued_at)
    await api.store.write(units.add_certificate(certificate, "key", "PEM", issued_at))


async def test_it_is_begun_once_and_finished_when_all_agents_have_renewed(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await api.store.secret("authority", lambda: b"{}")
        cluster = (await api.call("POST", "clusters", {"name": "prod"})).body["id"]
        await certified(api, cluster, "01", NOW - HOUR)
        assert (await api.call("GET", "authority")).body["changing"] is False
        assert (await api.call("POST", "authority/change/finish", {})).code == "AUTHORITY_NOT_CHANGING"

        begun = await api.call("POST", "authority/change", {})
        assert (begun.status, begun.body["changing"], begun.body["behind"]) == (201, True, ["prod"])
        assert (await api.call("POST", "authority/change", {})).code == "AUTHORITY_CHANGING"
        refused = await api.call("POST", "authority/change/finish", {})
        assert (refused.status, refused.code) == (409, "AUTHORITY_IN_USE")

        api.now += HOUR // 2
        await certified(api, cluster, "02", api.now)
        api.states[cluster] = ClusterState(True, NOW, 1, agents=(AgentLink("s", "agent", "192.0.2.1", NOW, "01"),))
        shown = (await api.call("GET", "authority")).body
        assert shown["behind"] == ["prod"], "a session still lives on the older certificate"
        api.states[cluster] = ClusterState(True, NOW, 1, agents=(AgentLink("t", "agent", "192.0.2.1", NOW, "02"),))

        finished = await api.call("POST", "authority/change/finish", {})
        assert (finished.status, finished.body["changing"]) == (200, False)
        assert [dict(it.details)["step"] for it in api.recorded if it.type == "CSY010I"] == ["begun", "finished"]
        again = await api.call("POST", "authority/change", {})
        assert again.status == 201, "and once more, from the newer one to the next"
        assert sorted(api.store.snapshot.authorities) == ["authority/2", "authority/3"]


async def test_force_says_who_was_cut_off(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await api.store.secret("authority", lambda: b"{}")
        cluster = (await api.call("POST", "clusters", {"name": "prod"})).body["id"]
        await certified(api, cluster, "01", NOW - HOUR)
        await api.call("POST", "authority/change", {})

        assert (await api.call("POST", "authority/change/finish", {"force": True})).status == 200
        assert dict(api.recorded[-1].details)["cut_off"] == "prod"
