"""The agent's numbers: each of them moves with what it counts."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio

from agent.config import Bounds
from tests.agent.test_run import start, world
from tests.appliance.tunnel.rig import CLUSTER
from tests.support.meter import Meter
from tests.support.pair import ALICE, get
from wire.session import ExchangeReset

pytestmark = pytest.mark.real_clock

STILL = {"fairlead_agent_build_info"}


async def test_every_number_of_the_agent_moves(tmp_path: Path) -> None:
    async with world(tmp_path) as it, trio.open_nursery() as nursery:
        it.config = replace(it.config, bounds=Bounds(namespaces=frozenset({"shop"})))
        await start(it, nursery)
        meter = Meter("127.0.0.1", it.probe)
        before = await trio.to_thread.run_sync(meter.read)
        assert before["fairlead_agent_certificate_expiry_timestamp_seconds"] > 0
        meter.proven.add("fairlead_agent_certificate_expiry_timestamp_seconds")  # 0 before it is enrolled

        async def moved(*samples: str) -> None:
            for sample in samples:
                with trio.fail_after(10):
                    while not await trio.to_thread.run_sync(partial(meter.moved, before, sample)):  # noqa: ASYNC110
                        await trio.sleep(0.01)

        assert await it.fetch(b"/api") == b"pods"
        await moved(
            "fairlead_agent_requests_total",
            "fairlead_agent_tunnel_bytes_total",
            "fairlead_agent_api_server_idle_connections",
            'fairlead_agent_api_server_dials_total{result="connected"}',
        )
        session = it.here.registry.session_for(CLUSTER)
        assert session is not None
        async with session.open(get(b"/api/slow"), ALICE, has_body=False):
            await moved("fairlead_agent_open_requests")
        with pytest.raises(ExchangeReset):
            await it.fetch(b"/api/v1/namespaces/other/pods")
        await moved("fairlead_agent_refused_requests_total")

        carried = (await trio.to_thread.run_sync(meter.read))["fairlead_agent_tunnel_bytes_total"]
        session.abort()
        await moved('fairlead_agent_dials_total{result="connected"}')
        now = await trio.to_thread.run_sync(meter.read)
        assert now["fairlead_agent_tunnel_bytes_total"] >= carried  # what is over still counts

        assert it.config.upstream.token_file is not None
        it.config.upstream.token_file.unlink()
        it.here.stop.set()  # the appliance leaves, and nobody listens from now on
        for _, live in it.here.registry.sessions():
            live.abort()
        await moved(
            "fairlead_agent_tunnel_sessions",
            'fairlead_agent_dials_total{result="failed"}',
            "fairlead_agent_credential_usable",
            "fairlead_agent_tunnel_round_trip_seconds",
        )
        assert await trio.to_thread.run_sync(meter.unproven) == STILL
        nursery.cancel_scope.cancel()
