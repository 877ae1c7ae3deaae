"""The agent's start-up story: the only place that names its concrete parts.

Identity from disk, or one enrolled with the bundle; the API server; the guard between them; the tunnel; health. A
SIGTERM or SIGINT drains: no new requests, open ones may end, then the process does.
"""

from __future__ import annotations

import contextlib
import logging
import platform
import signal
from importlib import metadata

import trio

from agent.config import Config
from agent.dialling import SESSION_BYTES, Dialler
from agent.enrolment import Enrolment
from agent.guard import Guard
from agent.identity import DataDirectory
from agent.outgoing import Outbox
from agent.relay import Relay
from agent.upstream import Upstream
from daemon import interpreter, probes
from daemon.probes import Health

_log = logging.getLogger("fairlead.agent")


async def run(
    config: Config,
    *,
    catch_signals: bool = True,
    stop: trio.Event | None = None,
    session_bytes: int = SESSION_BYTES,
    task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the agent until a signal, or `stop`; started with its health listeners.

    Raises:
        IdentityError: data_dir cannot be used.
        OSError: the health listener's address cannot be used.

    """
    directory = DataDirectory(config.data_dir)
    directory.prepare()
    upstream = Upstream(config.upstream)
    relay = Relay(Outbox(Guard(config.bounds), upstream.authority), upstream)

    enrolment = Enrolment(directory, config.bundle)
    dialler = Dialler(
        directory,
        enrolment.identity,
        relay,
        relay.begin,
        readiness=relay.errands.readiness,
        name=_name(),
        drain_seconds=config.drain_seconds,
        session_bytes=session_bytes,
    )

    health = Health(
        {
            "tunnel": lambda: bool(dialler.status.sessions),
            "credential for the API server": lambda: not upstream.fault,
            "draining": lambda: not dialler.status.stopping,
        }
    )
    listeners = await trio.open_tcp_listeners(config.health.port, host=config.health.host)
    async with trio.open_nursery() as beside:
        beside.start_soon(probes.serve, health, listeners)
        beside.start_soon(relay.sweep)
        if catch_signals:
            await beside.start(_stop_on_signal, dialler)
        if stop is not None:
            beside.start_soon(_stop_on_event, stop, dialler)
        interpreter.settle()
        task_status.started(listeners)
        with contextlib.closing(relay):
            await dialler.run()
        beside.cancel_scope.cancel()


async def _stop_on_signal(dialler: Dialler, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
        task_status.started()
        async for number in received:
            _log.info("stopping on %s", signal.Signals(number).name)
            dialler.stop()
            return


async def _stop_on_event(stop: trio.Event, dialler: Dialler) -> None:
    await stop.wait()
    dialler.stop()


def _name() -> str:
    """What the agent calls itself in HELLO and in the appliance's log."""
    return f"fairlead-agent/{metadata.version('fairlead')} ({platform.system()} {platform.machine()})"
