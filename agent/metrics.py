"""What the agent counts, for whoever scrapes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import metadata

from agent.dialling import Dialler
from agent.identity import Identity
from agent.relay import Relay
from agent.upstream import Upstream
from daemon.metrics import Metric, counter, counters, gauge, gauges


class AgentNumbers:
    """Reads them from where they are. `stored`: the identity on the disk, if there is one."""

    def __init__(
        self, dialler: Dialler, relay: Relay, upstream: Upstream, stored: Callable[[], Identity | None]
    ) -> None:
        self._dialler, self._relay, self._upstream, self._stored = dialler, relay, upstream, stored

    def collect(self) -> Iterator[Metric]:
        """Yield every number as it is now."""
        versions = {metadata.version("fairlead"): 1}
        yield gauges("fairlead_agent_build_info", "The version that runs; always 1.", "version", versions)
        yield from self._tunnel()
        yield from self._requests()
        identity = self._stored()
        yield gauge(
            "fairlead_agent_certificate_expiry_timestamp_seconds",
            "When the agent's certificate expires; 0 before it is enrolled.",
            0 if identity is None else identity.not_after,
        )

    def _tunnel(self) -> Iterator[Metric]:
        traffic = self._dialler.traffic()
        trips = [it.round_trip_seconds for it in traffic.live if it.round_trip_seconds is not None]
        yield gauge("fairlead_agent_tunnel_sessions", "Tunnel sessions that are up.", len(traffic.live))
        yield gauge(
            "fairlead_agent_tunnel_round_trip_seconds", "The longest of their round trips.", max(trips, default=0)
        )
        yield counter("fairlead_agent_tunnel_bytes", "Bytes that tunnels have carried, both ways.", traffic.carried)
        status = self._dialler.status
        dials = {"connected": status.dialled, "failed": status.failed}
        yield counters("fairlead_agent_dials", "Tries to reach the appliance, by result.", "result", dials)

    def _requests(self) -> Iterator[Metric]:
        traffic, pool = self._dialler.traffic(), self._relay.pool
        yield counter("fairlead_agent_requests", "Requests that the appliance has sent.", traffic.exchanges)
        yield gauge("fairlead_agent_open_requests", "Of these, open now.", sum(it.in_flight for it in traffic.live))
        yield counter("fairlead_agent_refused_requests", "Of these, refused by the guard.", self._relay.refused)
        yield gauge("fairlead_agent_api_server_idle_connections", "Connections that wait for a request.", len(pool))
        dials = {"connected": pool.connected, "failed": pool.dialled - pool.connected}
        meaning = "Connections to the API server that were begun, by result."
        yield counters("fairlead_agent_api_server_dials", meaning, "result", dials)
        meaning = "1 while the agent's credential for the API server can be read."
        yield gauge("fairlead_agent_credential_usable", meaning, 0 if self._upstream.fault else 1)
