"""Keeping a tunnel open: dial, run, replace, dial again.

What always holds: the wait between two tries is random below a bound that doubles up to a cap, and the bound falls
back only after a session that held, so a thousand agents do not return in the same second nor hammer an appliance
that drops them; every step has a deadline; each failure is one log line that says what to look at. A session is
replaced before it must be: the new one stands before the old one drains. What runs over a session is not known here.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import trio

from agent.enrolment import BundleError, EnrolmentRefusedError, renew
from agent.identity import DataDirectory, Identity, IdentityError, wall_seconds
from agent.outbound import OutboundError, Place, connect
from wire.calls import CallError, MalformedBodyError
from wire.opening import TunnelRefused, dial_session
from wire.readiness import Readiness
from wire.session import Session, SessionEnded
from wire.tls import client_context
from wire.workers import Begin, OnExchange

FIRST_BOUND_SECONDS: Final = 0.5
CAP_SECONDS: Final = 20.0  # a thousand agents at once are back within 30 s
STABLE_SECONDS: Final = 30.0  # a session that held this long ends a row of failures
HELLO_SECONDS: Final = 10.0
SESSION_SECONDS: Final = 12 * 60 * 60.0  # then it is replaced, so that load and code move
SESSION_JITTER: Final = 0.1
SESSION_BYTES: Final = 256 * 1024**3  # both ways: well before the 2**24.5 full records that one AES-GCM key is good for
VOLUME_LOOK_SECONDS: Final = 1.0  # a session carries a gigabyte in that time at most
RENEWAL_RETRY_SECONDS: Final = 60 * 60.0  # ten days are left for it
CERTIFICATE_LOOK_SECONDS: Final = 60.0

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


@dataclass(slots=True)
class Status:
    """What probes may know."""

    enrolled: bool = False
    sessions: int = 0
    stopping: bool = False


class Dialler:
    """Keeps the agent connected."""

    def __init__(
        self,
        directory: DataDirectory,
        load_identity: Callable[[], Awaitable[Identity]],
        on_exchange: OnExchange,
        begin: Begin | None = None,
        *,
        readiness: Readiness | None = None,
        name: str,
        drain_seconds: float,
        session_bytes: int = SESSION_BYTES,
    ) -> None:
        self._directory = directory
        self._load_identity = load_identity
        self._on_exchange = on_exchange
        self._begin = begin
        self._readiness = readiness
        self._name = name
        self._drain_seconds = drain_seconds
        self._session_bytes = session_bytes
        self._live: set[Session] = set()
        self._stop = trio.Event()
        self.status = Status()

    async def run(self) -> None:
        """Keep connected until `stop`, then drain and return."""
        async with trio.open_nursery() as sessions:
            async with trio.open_nursery() as dialling:
                dialling.start_soon(self._cancel_on_stop, dialling.cancel_scope)
                dialling.start_soon(self._keep_dialling, sessions)
            self.status.stopping = True
            for session in list(self._live):
                session.drain(self._drain_seconds)
            sessions.cancel_scope.deadline = trio.current_time() + self._drain_seconds + 1.0

    def stop(self) -> None:
        """Take no new work; open requests may end within the drain time."""
        self._stop.set()

    async def _cancel_on_stop(self, scope: trio.CancelScope) -> None:
        await self._stop.wait()
        scope.cancel()

    async def _keep_dialling(self, sessions: trio.Nursery) -> None:
        backoff = Backoff()
        while True:
            began = trio.current_time()
            connected = await self._one(sessions)
            lasted = trio.current_time() - began
            if connected:
                backoff.held(lasted)
                if self._live and lasted >= STABLE_SECONDS:
                    continue  # it is being replaced, and serves until the next one stands
            wait = backoff.wait_seconds()
            _log.info("next try to connect in %.1f s", wait)
            await trio.sleep(wait)

    async def _one(self, sessions: trio.Nursery) -> bool:
        """Dial one session and stay with it until it ends or is to be replaced. False: there was none."""
        try:
            identity = await self._load_identity()
            self.status.enrolled = True
            session = await self._dial(identity)
        except (OutboundError, IdentityError, BundleError) as error:
            _log.warning("not connected: %s", error)
        except EnrolmentRefusedError as error:
            _log.error("the appliance refused to enrol this agent: %s", error)
        except (CallError, MalformedBodyError, SessionEnded) as error:
            _log.warning("not connected: the appliance gave no usable answer (%s); is it an appliance?", error)
        except TunnelRefused as error:
            _log.error("the appliance refused the tunnel (status %d): %s", error.status, error.sentence)
        else:
            await self._stay(session, identity, sessions)
            return True
        return False

    async def _dial(self, identity: Identity) -> Session:
        if identity.expired(wall_seconds()):
            raise IdentityError(
                "The agent's certificate has expired: put a new bundle for the cluster in the old one's place."
            )
        context = client_context(
            identity.ca_pem, certificate=(identity.certificate_path, identity.key_path), alpn=["h2"]
        )
        place = Place.parse(identity.url)
        stream = await connect(place, context)
        try:
            with trio.fail_after(HELLO_SECONDS):
                return await dial_session(stream, place.authority, self._name)
        except trio.TooSlowError:
            stream.abort()
            raise SessionEnded(f"no HELLO within {HELLO_SECONDS:.0f} s") from None
        except BaseException:
            stream.abort()
            raise

    async def _stay(self, session: Session, identity: Identity, sessions: trio.Nursery) -> None:
        """Stay until the session ends, the appliance drains it, or it has lived or carried enough.

        It runs on until its next stands.
        """
        done = trio.Event()
        session.on_drain(done.set)
        before = list(self._live)
        self._live.add(session)
        self.status.sessions = len(self._live)
        sessions.start_soon(self._run_session, session, done)
        with trio.move_on_after(HELLO_SECONDS):
            # Until the appliance runs the new session, it has only the old one to send work to.
            if await session.stands():
                for old in before:
                    old.drain(self._drain_seconds)
        _log.info("connected to %s", identity.url)
        life = SESSION_SECONDS * random.uniform(1 - SESSION_JITTER, 1)  # noqa: S311 # spreads load; nothing secret
        with trio.move_on_after(life):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._renew_in_time, identity, done)
                nursery.start_soon(self._wear_out, session, done)
                await done.wait()
                nursery.cancel_scope.cancel()

    async def _run_session(self, session: Session, done: trio.Event) -> None:
        try:
            await session.run(self._on_exchange, self._begin, self._readiness)
        except SessionEnded as error:
            _log.warning("the session ended: %s", error)
        finally:
            self._live.discard(session)
            self.status.sessions = len(self._live)
            done.set()

    async def _wear_out(self, session: Session, worn: trio.Event) -> None:
        """Have a session replaced that has carried as much as one may."""
        while session.carried < self._session_bytes:  # noqa: ASYNC110 # an event a write would cost every write
            await trio.sleep(VOLUME_LOOK_SECONDS)
        _log.info("the session has carried %d bytes and is replaced", session.carried)
        worn.set()

    async def _renew_in_time(self, identity: Identity, renewed: trio.Event) -> None:
        """Renew the certificate once two thirds of its life are over; the session then is replaced with it."""
        while True:
            if not identity.renewal_due(wall_seconds()):
                await trio.sleep(CERTIFICATE_LOOK_SECONDS)
                continue
            try:
                await renew(identity, self._directory)
            except (OutboundError, CallError, MalformedBodyError, EnrolmentRefusedError, IdentityError) as error:
                _log.warning("the certificate was not renewed: %s", error)
                await trio.sleep(RENEWAL_RETRY_SECONDS * random.uniform(0.5, 1))  # noqa: S311 # spreads load
            else:
                _log.info("the certificate was renewed")
                renewed.set()
                return
