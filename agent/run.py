"""The agent's start-up story: the only place that names its concrete parts.

The API server; the guard before it; what the agent says of itself; the identity, from disk or a shared Secret or
enrolled with the bundle; the tunnels, through a proxy if there is one; renewal; health. A SIGTERM or SIGINT drains: no
new requests, open ones may end, then the process does.
"""

from __future__ import annotations

import contextlib
import logging
import platform
import signal
from importlib import metadata

import trio

from agent.api_server import ApiServer
from agent.config import Config
from agent.custody import Custody, OwnFiles
from agent.dialling import SESSION_BYTES, Dialler, Tunnels
from agent.enrolment import Enrolment
from agent.guard import Guard
from agent.identity import DataDirectory
from agent.metrics import AgentNumbers
from agent.outbound import Connect, connect
from agent.outgoing import Outbox
from agent.proxied import Proxied
from agent.relay import Relay
from agent.renewal import Renewal
from agent.reporting import LOOK_SECONDS, Reporter
from agent.shared_secret import SharedSecret
from agent.upstream import Upstream
from daemon import interpreter, probes
from daemon.metrics import Numbers
from daemon.probes import Health

_log = logging.getLogger("fairlead.agent")


async def run(
    config: Config,
    *,
    catch_signals: bool = True,
    stop: trio.Event | None = None,
    session_bytes: int = SESSION_BYTES,
    look_seconds: float = LOOK_SECONDS,
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
    guard = Guard(config.bounds)
    relay = Relay(Outbox(guard, upstream.authority), upstream)
    reporter = _reporter(upstream, guard, relay, look_seconds)
    custody = _custody(config, directory, upstream)
    listeners = await trio.open_tcp_listeners(config.health.port, host=config.health.host)
    async with trio.open_nursery() as beside:
        reach: Connect = connect if config.proxy is None else Proxied(config.proxy, beside)
        enrolment = Enrolment(directory, config.bundle, custody, reach)
        dialler = Dialler(
            Tunnels(
                enrolment.identity,
                relay,
                relay.begin,
                name=_name(),
                listening=reporter,
                bundle=config.bundle,
                drain_seconds=config.drain_seconds,
                session_bytes=session_bytes,
                connect=reach,
                readiness=relay.errands.readiness,
            ),
            config.connections,
        )
        renewal = Renewal(directory.sound, enrolment.renew, reporter, dialler.replace, enrolment.found)
        numbers = Numbers(AgentNumbers(dialler, relay, upstream, directory.sound).collect)
        beside.start_soon(probes.serve, _health(upstream, dialler), listeners, numbers.page)
        beside.start_soon(relay.sweep)
        beside.start_soon(reporter.run)
        beside.start_soon(renewal.run)
        if catch_signals:
            await beside.start(_stop_on_signal, dialler)
        if stop is not None:
            beside.start_soon(_stop_on_event, stop, dialler)
        interpreter.settle()
        task_status.started(listeners)
        with contextlib.closing(relay):
            await dialler.run()
        beside.cancel_scope.cancel()


def _reporter(upstream: Upstream, guard: Guard, relay: Relay, look_seconds: float) -> Reporter:
    return Reporter(
        ApiServer(upstream),
        version=metadata.version("fairlead"),
        guard=guard.described(),
        refused=lambda: relay.refused,
        look_seconds=look_seconds,
    )


def _custody(config: Config, directory: DataDirectory, upstream: Upstream) -> Custody:
    if config.identity_secret is None:
        return OwnFiles()
    return SharedSecret(ApiServer(upstream), directory, *config.identity_secret)


def _health(upstream: Upstream, dialler: Dialler) -> Health:
    return Health(
        {
            "tunnel": lambda: (
                "" if dialler.status.sessions else dialler.status.fault or "no try to connect has ended yet"
            ),
            "credential for the API server": lambda: upstream.fault,
            "draining": lambda: "it is ending and takes no new work" if dialler.status.stopping else "",
        }
    )


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
