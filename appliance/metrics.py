"""What the appliance counts, for whoever scrapes it.

What always holds: no number is labelled with a person, a name in a cluster or an address; of labels there are a few
words, the codes of our own closed lists, and the names of clusters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from appliance.audit.ledger import Ledger
from appliance.certificates import Source
from appliance.core.buckets import FailedLogins
from appliance.core.events import NAMES, EventType
from appliance.core.liveness import SECOND, AgentLink
from appliance.front.listener import Front
from appliance.heard import ANSWERS, BOUNDS, Heard
from appliance.store.store import Store
from appliance.tunnel.listener import AgentsListener
from appliance.tunnel.registry import Registry
from daemon.metrics import Metric, counter, counters, gauge, gauges, histogram
from wire.session import Session
from wire.slots import Slots


@dataclass(frozen=True, slots=True)
class ApplianceNumbers:
    """Reads them from where they are. `clock`: microseconds UTC."""

    front: Front
    agents: AgentsListener
    registry: Registry[Session]
    store: Store
    ledger: Ledger
    certificates: tuple[tuple[str, Source], ...]
    clock: Callable[[], int]
    heard: Heard = field(default_factory=Heard)

    def collect(self) -> Iterator[Metric]:
        """Yield every number as it is now."""
        versions = {version("fairlead"): 1}
        yield gauges("fairlead_build_info", "The version that runs; always 1.", "version", versions)
        yield from self._requests()
        yield from sign_ins(self.heard.events, self.front.parts.failed_logins)
        yield from self._tunnels()
        yield from self._clusters()
        yield from self._keeping()
        expiries = {name: source.not_after for name, source in self.certificates}
        meaning = "When a certificate of the appliance expires."
        yield gauges("fairlead_certificate_expiry_timestamp_seconds", meaning, "listener", expiries)

    def _requests(self) -> Iterator[Metric]:
        heard, parts = self.heard, self.front.parts
        meaning = "Requests to clusters that have ended, by their answer; `discovery`: allowed ones, not told apart."
        answers = {**dict(zip(ANSWERS, heard.answers, strict=True)), "discovery": self.ledger.counted}
        yield counters("fairlead_requests", meaning, "answer", answers)
        refused = {code.value: number for code, number in parts.refusals.items()}
        yield counters("fairlead_refusals", "Requests that the appliance answered itself, by code.", "code", refused)
        within, buckets = 0, []
        for bound, number in zip((*map(str, BOUNDS), "+Inf"), heard.buckets, strict=True):
            within += number
            buckets.append((bound, float(within)))
        meaning = "How long requests took that do not last as a watch or a shell does."
        yield histogram("fairlead_request_duration_seconds", meaning, buckets, heard.took / SECOND)
        yield counter("fairlead_user_received_bytes", "Of bodies that users have sent.", heard.received)
        yield counter("fairlead_user_sent_bytes", "Of bodies that users were sent.", heard.sent)
        yield gauge("fairlead_user_connections", "Connections of users that are open.", self.front.connections)

    def _tunnels(self) -> Iterator[Metric]:
        live = [session for _, session in self.registry.sessions()]
        past = self.registry.past
        yield gauge("fairlead_tunnel_sessions", "Agents' sessions that are up.", len(live))
        begun = past.sessions + len(live)
        yield counter("fairlead_tunnel_sessions_begun", "Agents' sessions so far.", begun)
        carried = past.carried + sum(it.carried for it in live)
        yield counter("fairlead_tunnel_bytes", "Bytes that tunnels have carried, both ways.", carried)
        exchanges = past.exchanges + sum(it.exchanges for it in live)
        yield counter("fairlead_exchanges", "Requests sent through tunnels, those tried again included.", exchanges)
        yield gauge("fairlead_open_exchanges", "Of these, open now.", sum(it.in_flight for it in live))
        slots: dict[str, Slots] = {"users": self.front.handshakes, "agents": self.agents.handshakes}
        granted = {name: it.granted for name, it in slots.items()}
        yield counters("fairlead_handshakes", "TLS handshakes begun, by listener.", "listener", granted)
        taken = {name: it.taken for name, it in slots.items()}
        meaning = "TLS handshakes going on; at the limit others wait."
        yield gauges("fairlead_handshakes_in_progress", meaning, "listener", taken)

    def _clusters(self) -> Iterator[Metric]:
        """Four numbers of each cluster: an alert must say which one."""
        clusters, states = self.store.snapshot.clusters, self.registry.states()
        links: dict[str, tuple[AgentLink, ...]] = {
            it.name: states[it.id].agents if it.id in states else () for it in clusters.values()
        }
        name = "cluster"
        sessions = {key: len(them) for key, them in links.items()}
        yield gauges("fairlead_cluster_sessions", "Sessions of a cluster's agents; 0: not connected.", name, sessions)
        answers = {key: _answers(them) for key, them in links.items() if any(it.report for it in them)}
        meaning = "1 while the cluster's API server answers one of its agents at least."
        yield gauges("fairlead_cluster_api_server_up", meaning, name, answers)
        trips = {key: [it.round_trip_seconds for it in them if it.round_trip_seconds] for key, them in links.items()}
        shortest = {key: min(them) for key, them in trips.items() if them}
        yield gauges("fairlead_cluster_round_trip_seconds", "The shortest to one of its agents.", name, shortest)
        ends = {key: [it.expires_at for it in them if it.expires_at] for key, them in links.items()}
        first = {key: min(them) / SECOND for key, them in ends.items() if them}
        meaning = "When the first certificate of a cluster's connected agents expires."
        yield gauges("fairlead_cluster_certificate_expiry_timestamp_seconds", meaning, name, first)

    def _keeping(self) -> Iterator[Metric]:
        ledger = self.ledger
        yield gauge("fairlead_audit_waiting_records", "Audit records on their way to the disk.", ledger.waiting)
        yield gauge(
            "fairlead_audit_reserved_records", "These, and those that open requests will leave.", ledger.reserved
        )
        yield gauge("fairlead_audit_available", "1 while audit records can be kept.", 1 if ledger.available else 0)
        yield counter("fairlead_audit_lost_denials", "Denials that were only logged: too many waited.", ledger.lost)
        meaning = "Since the configuration was last read; beyond 30 requests are refused."
        yield gauge("fairlead_store_age_seconds", meaning, self.store.age())


def _answers(links: tuple[AgentLink, ...]) -> int:
    return 1 if any(it.report is not None and not it.report.fault for it in links) else 0


def sign_ins(events: Mapping[EventType, int], failed: FailedLogins) -> Iterator[Metric]:
    """Yield what is counted of people and machines that prove who they are."""
    results = {"ok": events[EventType.SIGNED_IN], "failed": events[EventType.SIGN_IN_FAILED]}
    yield counters("fairlead_sign_ins", "Sign-ins at an identity provider, by result.", "result", results)
    sessions = {"started": events[EventType.SESSION_STARTED], "ended": events[EventType.SESSION_ENDED]}
    yield counters("fairlead_sessions", "Sessions of people and machines, by what became of them.", "what", sessions)
    meaning = "Tokens and codes that proved nothing."
    yield counter("fairlead_failed_authentications", meaning, failed.failures)
    meaning = "Tries refused unseen, because their address had failed too often."
    yield counter("fairlead_limited_authentications", meaning, failed.refusals)
    kept = {NAMES[it]: number for it, number in events.items()}
    yield counters("fairlead_audit_records", "Audit records made, by event.", "event", kept)
