"""The live tunnel sessions: the only truth about which cluster is connected.

Keyed by (cluster, session id); several sessions of one cluster are normal. What always holds: an entry is put in when
its session runs and taken out by the task that ran it, so no cleanup of an old session touches a newer one. Nothing
here waits, stores or decides who may use a session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Generic, Protocol, TypeVar

from appliance.core.liveness import AgentLink, ClusterState, Report

MAX_SESSIONS_PER_CLUSTER: Final = 16
"""Two agents with one spare session each need four; more is a fault of the cluster's that must not cost the others."""


class LiveSession(Protocol):
    """What the registry needs to know of a `wire.session.Session`."""

    id: str
    carried: int

    @property
    def alive(self) -> bool: ...
    @property
    def draining(self) -> bool: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def exchanges(self) -> int: ...
    @property
    def round_trip_seconds(self) -> float | None: ...
    def abort(self) -> None: ...
    def drain(self, seconds: float) -> None: ...


S = TypeVar("S", bound=LiveSession)


class TooManySessionsError(Exception):
    """A cluster holds as many sessions as it may."""


@dataclass(frozen=True, slots=True)
class Change:
    """A cluster became connected or disconnected."""

    cluster_id: str
    state: ClusterState


@dataclass(frozen=True, slots=True)
class SessionChange:
    """One session began, or ended for a reason. `address`: the agent's."""

    cluster_id: str
    session_id: str
    began: bool
    generation: int
    serial: str
    address: str
    reason: str = ""


@dataclass(slots=True)
class _Entry(Generic[S]):
    session: S
    generation: int
    link: AgentLink

    @property
    def serial(self) -> str:
        return self.link.serial

    @property
    def address(self) -> str:
        return self.link.address


@dataclass(slots=True)
class Past:
    """What sessions have done that are over: how many, bytes both ways, exchanges."""

    sessions: int = 0
    carried: int = 0
    exchanges: int = 0


class Registry(Generic[S]):
    """Sessions by cluster."""

    def __init__(self) -> None:
        self.past = Past()
        self._sessions: dict[str, dict[str, _Entry[S]]] = {}
        self._states: dict[str, ClusterState] = {}
        self._listeners: list[Callable[[Change | SessionChange], None]] = []

    def on_change(self, listener: Callable[[Change | SessionChange], None]) -> None:
        """Have `listener` called for each session that comes or goes, and then if its cluster turned by that.

        It must not wait or raise.
        """
        self._listeners.append(listener)

    def add(
        self,
        cluster_id: str,
        session: S,
        *,
        generation: int,
        serial: str,
        now: int,
        address: str = "",
        name: str = "",
        issued_at: int = 0,
        expires_at: int = 0,
    ) -> None:
        """Put in a session that is about to run. `name`: what the agent calls itself; the rest is its certificate's.

        Raises:
            TooManySessionsError: the cluster has too many already.

        """
        entries = self._sessions.setdefault(cluster_id, {})
        if len(entries) >= MAX_SESSIONS_PER_CLUSTER:
            raise TooManySessionsError(f"cluster {cluster_id} holds {len(entries)} sessions already")
        link = AgentLink(session.id, name, address, now, serial, issued_at, expires_at)
        entries[session.id] = _Entry(session, generation, link)
        self._tell(SessionChange(cluster_id, session.id, True, generation, serial, address))
        self._settle(cluster_id, now, "")

    def remove(self, cluster_id: str, session_id: str, *, reason: str, now: int) -> None:
        """Take out exactly this session; others of the cluster stay."""
        entries = self._sessions.get(cluster_id, {})
        entry = entries.pop(session_id, None)
        if entry is None:
            return
        self.past.sessions += 1
        self.past.carried += entry.session.carried
        self.past.exchanges += entry.session.exchanges
        self._tell(SessionChange(cluster_id, session_id, False, entry.generation, entry.serial, entry.address, reason))
        if not entries:
            del self._sessions[cluster_id]
        self._settle(cluster_id, now, reason)

    def heard(self, cluster_id: str, session_id: str, report: Report, now: int) -> None:
        """Keep what the agent of this session says of itself, in the place of what it said before."""
        entry = self._sessions.get(cluster_id, {}).get(session_id)
        if entry is not None:
            before = entry.link.report
            same = before is not None and before.fault == report.fault
            entry.link = replace(entry.link, report=report, said_at=entry.link.said_at if same else now)

    def session_for(self, cluster_id: str) -> S | None:
        """Return the healthy session with the least in flight; None: the cluster is not connected."""
        entries = self._sessions.get(cluster_id)
        if entries is None:
            return None
        best: S | None = None
        for entry in entries.values():
            session = entry.session
            if session.alive and not session.draining and (best is None or session.in_flight < best.in_flight):
                best = session
        return best

    def state(self, cluster_id: str) -> ClusterState | None:
        """Return a cluster's state; None: it has not been connected since this appliance started."""
        state = self._states.get(cluster_id)
        return None if state is None else self._with_agents(cluster_id, state)

    def states(self) -> dict[str, ClusterState]:
        """Return the state of every cluster that was connected since this appliance started."""
        return {cluster_id: self._with_agents(cluster_id, state) for cluster_id, state in self._states.items()}

    def sessions(self) -> Iterator[tuple[str, S]]:
        """Yield (cluster, session) of all that run."""
        for cluster_id, entries in list(self._sessions.items()):
            for entry in list(entries.values()):
                yield cluster_id, entry.session

    def end_where(self, condemned: Callable[[str, int, str], bool]) -> int:
        """End at once every session whose (cluster, generation, serial) is condemned; return how many."""
        ended = 0
        for cluster_id, entries in list(self._sessions.items()):
            for entry in list(entries.values()):
                if condemned(cluster_id, entry.generation, entry.serial):
                    entry.session.abort()
                    ended += 1
        return ended

    def forget(self, known: Callable[[str], bool]) -> bool:
        """Drop what is remembered of clusters that are not `known` any more. False: sessions of some still end."""
        gone = [cluster_id for cluster_id in self._states if not known(cluster_id)]
        for cluster_id in gone:
            if cluster_id not in self._sessions:
                del self._states[cluster_id]
        return all(cluster_id not in self._sessions for cluster_id in gone)

    def _with_agents(self, cluster_id: str, state: ClusterState) -> ClusterState:
        links = tuple(
            replace(
                entry.link,
                round_trip_seconds=entry.session.round_trip_seconds,
                in_flight=entry.session.in_flight,
                leaving=entry.session.draining or not entry.session.alive,
            )
            for entry in self._sessions.get(cluster_id, {}).values()
        )
        return replace(state, agents=links)

    def _settle(self, cluster_id: str, now: int, reason: str) -> None:
        count = len(self._sessions.get(cluster_id, {}))
        before = self._states.get(cluster_id)
        turned = before is None or before.connected != bool(count)
        since = now if before is None or turned else before.since
        state = ClusterState(bool(count), since, count, "" if count else reason)
        self._states[cluster_id] = state
        if turned:
            self._tell(Change(cluster_id, state))

    def _tell(self, change: Change | SessionChange) -> None:
        for listener in self._listeners:
            listener(change)
