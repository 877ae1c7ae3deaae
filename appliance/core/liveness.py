"""Whether a cluster can be worked with, from what its live sessions and their agents say. Pure.

Three facts are kept apart: an agent is registered (it holds a certificate that opens something), the link is up (a
session lives here), the API server answers (each agent says so of its own way to it). The phase is what they come to.
All times are microseconds UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SECOND: Final = 1_000_000
MAX_SKEW_SECONDS: Final = 60  # certificates are backdated by five minutes; one minute off is worth a word before that
RENEWAL_OVERDUE: Final = 0.25  # of a life left: agents renew after a third of it, so this one has failed for long
MAX_SENTENCE_CHARS: Final = 512


class Phase(StrEnum):
    PENDING = "pending"  # no agent holds a certificate that opens anything
    CONNECTED = "connected"
    DEGRADED = "degraded"  # a session lives, and something is wrong
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True)
class Report:
    """What an agent said of itself last. `fault`: why the API server does not answer it; empty: it does."""

    version: str = ""
    kubernetes: str = ""
    fault: str = ""
    guard: str = ""
    refused: int = 0
    skew_seconds: int = 0  # its clock minus ours


def report(said: Mapping[str, str | int], now: int) -> Report:
    """Read an agent's note. What it leaves out, or says in another form, is as if it had not been said."""

    def text(key: str) -> str:
        value = said.get(key)
        return value[:MAX_SENTENCE_CHARS] if isinstance(value, str) and value.isprintable() else ""

    def number(key: str, otherwise: int) -> int:
        value = said.get(key)
        return value if isinstance(value, int) else otherwise

    ours = now // SECOND
    return Report(
        text("version"),
        text("kubernetes"),
        text("api_server"),
        text("guard"),
        number("refused", 0),
        number("clock", ours) - ours,
    )


@dataclass(frozen=True, slots=True)
class AgentLink:
    """One session of an agent's. `report`: None until it has said one; `said_at`: since when the fault in it holds."""

    session_id: str
    name: str
    address: str
    since: int
    serial: str = ""
    issued_at: int = 0
    expires_at: int = 0
    round_trip_seconds: float | None = None
    in_flight: int = 0
    leaving: bool = False
    report: Report | None = None
    said_at: int = 0

    def days_left(self, now: int) -> float:
        """Of its certificate."""
        return round(max(0, self.expires_at - now) / SECOND / 86_400, 2)


@dataclass(frozen=True, slots=True)
class ClusterState:
    """Whether a cluster is connected, since when, and why it is not. `agents`: its sessions, the oldest first."""

    connected: bool
    since: int
    sessions: int
    reason: str = ""
    agents: tuple[AgentLink, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """A phase, since when it holds and why; a reason is a sentence that says what to do."""

    phase: Phase
    since: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Whether the cluster's API server answers its agents. `answers`: None while none of them has said."""

    answers: bool | None
    since: int | None = None
    reason: str = ""


def condition(state: ClusterState | None, *, registered: bool, now: int) -> Condition:
    """The phase of a cluster. `registered`: an agent of it holds a certificate that opens something."""
    if state is None or not state.connected:
        since = None if state is None else state.since
        if not registered:
            reason = "No agent of this cluster is enrolled. Install its agent with a bundle."
            return Condition(Phase.PENDING, since, reason)
        reason = "No agent has connected to this appliance since it started." if state is None else state.reason
        return Condition(Phase.DISCONNECTED, since, reason)
    troubles = [trouble for link in state.agents for trouble in _troubles(link, now)]
    if troubles:
        worst = min(troubles)
        return Condition(Phase.DEGRADED, worst[0], worst[1])
    return Condition(Phase.CONNECTED, state.since)


def api_server(state: ClusterState | None) -> ApiServer:
    """What the agents say of the API server: it answers if it answers one of them."""
    said = [(link, link.report) for link in (state.agents if state is not None else ()) if link.report is not None]
    if not said:
        return ApiServer(None)
    answered = [link.said_at for link, it in said if not it.fault]
    if answered:
        return ApiServer(True, min(answered))
    first = min(link.said_at for link, _ in said)
    return ApiServer(False, first, next(it.fault for _, it in said))


def _troubles(link: AgentLink, now: int) -> list[tuple[int, str]]:
    """Since when, and what, is wrong with one agent."""
    found = []
    if link.report is not None and link.report.fault:
        found.append((link.said_at, link.report.fault))
    if link.report is not None and abs(link.report.skew_seconds) > MAX_SKEW_SECONDS:
        ahead = "ahead of" if link.report.skew_seconds > 0 else "behind"
        seconds = abs(link.report.skew_seconds)
        found.append((link.since, f"An agent's clock is {seconds} s {ahead} the appliance's. Check both hosts' NTP."))
    late_at = int(link.expires_at - (link.expires_at - link.issued_at) * RENEWAL_OVERDUE)
    if link.expires_at and not link.leaving and now >= late_at:
        found.append((late_at, "An agent has not renewed its certificate. Read its log; it says why."))
    return found
