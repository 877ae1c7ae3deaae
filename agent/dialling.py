"""Keeping tunnels open: dial, run, replace, dial again.

What always holds: the wait between two tries is random below a bound that doubles up to a cap, and the bound falls
back only after a session that held, so a thousand agents do not return in the same second nor hammer an appliance
that drops them; every step has a deadline; each failure is one log line that says what to look at. A session is
replaced before it must be, or when the certificate was: the new one stands before the old one drains. Several sessions
are several lanes, each with one session and its own waits. What runs over a session is not known here.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import trio

from agent.custody import CustodyError
from agent.enrolment import BundleError, EnrolmentRefusedError
from agent.file_mark import file_mark
from agent.identity import Identity, IdentityError, wall_seconds
from agent.outbound import Connect, OutboundError, Place, connect
from wire.calls import CallError, MalformedBodyError
from wire.contexts import client_context
from wire.endings import TunnelRefused
from wire.opening import dial_session
from wire.readiness import Readiness
from wire.session import Session, SessionEnded
from wire.workers import Begin, OnExchange

FIRST_BOUND_SECONDS: Final = 0.5
CAP_SECONDS: Final = 20.0  # a thousand agents at once are back within 30 s
REFUSED_SECONDS: Final = 60.0  # between two tries that the appliance will refuse again; a new bundle ends the wait
BUNDLE_LOOK_SECONDS: Final = 1.0
STABLE_SECONDS: Final = 30.0  # a session that held this long ends a row of failures
HELLO_SECONDS: Final = 10.0
SESSION_SECONDS: Final = 12 * 60 * 60.0  # then it is replaced, so that load and code move
SESSION_JITTER: Final = 0.1
SESSION_BYTES: Final = 256 * 1024**3  # both ways: well before the 2**24.5 full records that one AES-GCM key is good for
VOLUME_LOOK_SECONDS: Final = 1.0  # a session carries a gigabyte in that time at most
REPLACE_SPREAD_SECONDS: Final = 1.0  # one agent's sessions are not replaced in the same moment

_log = logging.getLogger("fairlead.agent")


class Backoff:
    """Full-jitter exponential waits."""

    def __init__(self, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._uniform = uniform
        self._bound = FIRST_BOUND_SECONDS

    def wait_seconds(self) -> float:
        """Return how long to wait now, and double the bound."""
        wait = self._uniform(0.0, self._bound)
        self._bound = min(CAP_SECONDS, self._bound * 2)
        return wait

    def held(self, seconds: float) -> None:
        """A session lasted this long."""
        if seconds >= STABLE_SECONDS:
            self._bound = FIRST_BOUND_SECONDS


class Listening(Protocol):
    """Who is told of the sessions that stand."""

    def begin(self, session: Session, identity: Identity) -> None: ...
    def end(self, session: Session) -> None: ...


@dataclass(slots=True)
class Status:
    """What probes may know. `fault`: why there was no session at the last try."""

    enrolled: bool = False
    sessions: int = 0
    stopping: bool = False
    fault: str = ""
    dialled: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Traffic:
    """What tunnels have carried since the start: bytes both ways, and exchanges. `live`: those that are up."""

    live: tuple[Session, ...]
    carried: int
    exchanges: int


@dataclass(frozen=True, slots=True)
class Tunnels:
    """What a session is made of and what runs over it. `bundle`: the file whose change is worth a try at once."""

    identity: Callable[[], Awaitable[Identity]]
    on_exchange: OnExchange
    begin: Begin | None
    name: str
    listening: Listening
    bundle: Path
    drain_seconds: float
    session_bytes: int = SESSION_BYTES
    connect: Connect = connect
    readiness: Readiness | None = None
    """Where sessions are heard without a task; running for as long as the dialler."""


class Dialler:
    """Keeps the agent connected, in one lane or several."""

    def __init__(self, tunnels: Tunnels, lanes: int = 1) -> None:
        self._tunnels = tunnels
        self._lanes = lanes
        self._live: set[Session] = set()
        self._stop = trio.Event()
        self._replace = trio.Event()
        self._ended = (0, 0)  # bytes and exchanges of sessions that have ended
        self.status = Status()

    async def run(self) -> None:
        """Keep connected until `stop`, then drain and return."""
        async with trio.open_nursery() as sessions:
            async with trio.open_nursery() as dialling:
                dialling.start_soon(self._cancel_on_stop, dialling.cancel_scope)
                for _ in range(self._lanes):
                    dialling.start_soon(self._keep_dialling, sessions)
            self.status.stopping = True
            for session in list(self._live):
                session.drain(self._tunnels.drain_seconds)
            sessions.cancel_scope.deadline = trio.current_time() + self._tunnels.drain_seconds + 1.0

    def stop(self) -> None:
        """Take no new work; open requests may end within the drain time."""
        self._stop.set()

    def traffic(self) -> Traffic:
        """Add up what all sessions have carried."""
        carried, exchanges = self._ended
        live = tuple(self._live)
        return Traffic(live, carried + sum(it.carried for it in live), exchanges + sum(it.exchanges for it in live))

    def replace(self) -> None:
        """Have every session replaced: there is a newer certificate."""
        self._replace.set()
        self._replace = trio.Event()

    async def _cancel_on_stop(self, scope: trio.CancelScope) -> None:
        await self._stop.wait()
        scope.cancel()

    async def _keep_dialling(self, sessions: trio.Nursery) -> None:
        backoff = Backoff()
        before: Session | None = None
        while True:
            began = trio.current_time()
            session, refused = await self._dial_or_say_why()
            if session is not None:
                await self._stay(*session, before, sessions)
                before = session[0]
                lasted = trio.current_time() - began
                backoff.held(lasted)
                if before.alive and (lasted >= STABLE_SECONDS or not before.draining):
                    continue  # it is being replaced, and serves until the next one stands
            wait = backoff.wait_seconds()
            if refused:
                wait = random.uniform(0.5, 1) * REFUSED_SECONDS  # noqa: S311 # spreads load; nothing secret
            _log.info("next try to connect in %.1f s", wait)
            with trio.move_on_after(wait):
                await self._new_bundle()

    async def _new_bundle(self) -> None:
        """Return when another bundle lies where the bundle lies."""
        seen = file_mark(self._tunnels.bundle)
        while file_mark(self._tunnels.bundle) == seen:  # noqa: ASYNC110 # a file has no event to wait for
            await trio.sleep(BUNDLE_LOOK_SECONDS)

    async def _dial_or_say_why(self) -> tuple[tuple[Session, Identity] | None, bool]:
        """Dial one session. Without one, the flag tells whether only a new bundle can help."""
        refused = False
        try:
            identity = await self._tunnels.identity()
            self.status.enrolled = True
            session = await self._dial(identity)
        except (OutboundError, BundleError, CustodyError) as error:
            self._failed(f"not connected: {error}")
        except IdentityError as error:
            refused = True
            self._failed(f"not connected: {error}")
        except EnrolmentRefusedError as error:
            refused = error.final
            self._failed(f"the appliance refused to enrol this agent: {error}", logging.ERROR)
        except (CallError, MalformedBodyError, SessionEnded) as error:
            self._failed(f"not connected: the appliance gave no usable answer ({error}); is it an appliance?")
        except TunnelRefused as error:
            refused = error.status in {401, 403}
            self._failed(f"the appliance refused the tunnel (status {error.status}): {error.sentence}", logging.ERROR)
        else:
            self.status.fault = ""
            self.status.dialled += 1
            return (session, identity), False
        return None, refused

    def _failed(self, sentence: str, level: int = logging.WARNING) -> None:
        self.status.fault = sentence
        self.status.failed += 1
        _log.log(level, "%s", sentence)

    async def _dial(self, identity: Identity) -> Session:
        if identity.expired(wall_seconds()):
            raise IdentityError(
                "The agent's certificate has expired: put a new bundle for the cluster in the old one's place."
            )
        context = client_context(
            identity.ca_pem, certificate=(identity.certificate_path, identity.key_path), alpn=["h2"]
        )
        place = Place.parse(identity.url)
        stream = await self._tunnels.connect(place, context)
        try:
            with trio.fail_after(HELLO_SECONDS):
                return await dial_session(stream, place.authority, self._tunnels.name)
        except trio.TooSlowError:
            stream.abort()
            raise SessionEnded(f"no HELLO within {HELLO_SECONDS:.0f} s") from None
        except BaseException:
            stream.abort()
            raise

    async def _stay(self, session: Session, identity: Identity, before: Session | None, sessions: trio.Nursery) -> None:
        """Stay until the session ends, the appliance drains it, it has lived or carried enough, or is to be replaced.

        It runs on until its next stands.
        """
        done = trio.Event()
        replace = self._replace
        session.on_drain(done.set)
        self._live.add(session)
        self.status.sessions = len(self._live)
        sessions.start_soon(self._run_session, session, done)
        with trio.move_on_after(HELLO_SECONDS):
            # Until the appliance runs the new session, it has only the old one to send work to.
            if await session.stands():
                self._tunnels.listening.begin(session, identity)
                if before is not None and before.alive:
                    before.drain(self._tunnels.drain_seconds)
        _log.info("connected to %s", identity.url)
        life = SESSION_SECONDS * random.uniform(1 - SESSION_JITTER, 1)  # noqa: S311 # spreads load; nothing secret
        with trio.move_on_after(life):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._wear_out, session, done)
                nursery.start_soon(_pass_on, replace, done)
                await done.wait()
                nursery.cancel_scope.cancel()

    async def _run_session(self, session: Session, done: trio.Event) -> None:
        try:
            tunnels = self._tunnels
            await session.run(tunnels.on_exchange, tunnels.begin, tunnels.readiness)
        except SessionEnded as error:
            _log.warning("the session ended: %s", error)
        finally:
            self._tunnels.listening.end(session)
            self._live.discard(session)
            carried, exchanges = self._ended
            self._ended = (carried + session.carried, exchanges + session.exchanges)
            self.status.sessions = len(self._live)
            done.set()

    async def _wear_out(self, session: Session, worn: trio.Event) -> None:
        """Have a session replaced that has carried as much as one may."""
        while session.carried < self._tunnels.session_bytes:  # noqa: ASYNC110 # an event would cost every write
            await trio.sleep(VOLUME_LOOK_SECONDS)
        _log.info("the session has carried %d bytes and is replaced", session.carried)
        worn.set()


async def _pass_on(event: trio.Event, to: trio.Event) -> None:
    await event.wait()
    await trio.sleep(random.uniform(0, REPLACE_SPREAD_SECONDS))  # noqa: S311 # spreads load; nothing secret
    to.set()
