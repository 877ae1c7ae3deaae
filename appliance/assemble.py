"""The composition root: reads as the start-up story, and is the only place that names every part.

Claim the data directory, open the store, take up or make the keys, open the audit ledger, bind, serve, say so. What
always holds: nothing listens for users or agents before store, keys and ledger work; every reason not to start is one
sentence (`StartError`); what was opened is closed in the reverse order. On SIGTERM or SIGINT: accept no more, let
running requests finish for `limits.drain_seconds`, end; a second signal ends at once.
"""

from __future__ import annotations

import json
import resource
import signal
import sqlite3
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

import structlog
import trio
from quart_trio import QuartTrio

from appliance import binding_uses, bridges, database, expiries, logs
from appliance.api.app import make_app
from appliance.api.parts import Parts
from appliance.api.routes import UndeclaredRouteError
from appliance.api.table import ROUTES
from appliance.audit.ledger import AuditUnavailable, Ledger
from appliance.audit.retention import Retention
from appliance.audit.shelf import AuditBroken
from appliance.audit_place import audit_place
from appliance.authorities import Following, keep_agents_current, made
from appliance.certificates import (
    CertificateError,
    GivenFiles,
    OwnAuthority,
    Source,
    first_context,
    keep_current,
)
from appliance.config import Config
from appliance.core.buckets import Admission, FailedLogins
from appliance.core.credentials import Credential, TokenVerifier, mint
from appliance.core.destinations import HTTPS_PORT, destination
from appliance.core.paces import Paces
from appliance.core.problems import Code
from appliance.core.uses import BindingUses
from appliance.courier import Courier
from appliance.front import listener as front
from appliance.front.parts import FrontParts
from appliance.front.replies import HELP_PREFIX
from appliance.keys import Keys, KeyWatch, open_keys
from appliance.layout import InUseError, Layout, replace_file
from appliance.listening import Bound, StartError, bind, host_of
from appliance.login.dialling import Dialler
from appliance.login.parts import BEGUN_AT_ONCE, BEGUN_PER_SECOND, LoginParts
from appliance.login.rereading import Rereading
from appliance.login.site import mount
from appliance.machine_token import record_new
from appliance.metrics import ApplianceNumbers
from appliance.store.clock import utc_micros
from appliance.store.faults import StoreRefused, StoreUnavailable
from appliance.store.sealing import SealError
from appliance.store.store import Store
from appliance.tunnel import listener as tunnel
from appliance.tunnel.enrolment import Enrolment
from appliance.tunnel.registry import Registry
from appliance.tunnel.trust import Trust
from daemon import interpreter, probes
from daemon.metrics import Numbers
from daemon.probes import Health
from wire.contexts import server_context
from wire.readiness import Readiness
from wire.session import Session

MAX_DESCRIPTORS: Final = 1_048_576  # more than any connection limit needs; some systems allow a billion
LINGER_SECONDS: Final = 5.0  # beyond the drain: the last answers leave, then whatever hangs is cut


FAULTS: Final[Mapping[type[Exception], Code]] = MappingProxyType(
    {
        AuditUnavailable: Code.AUDIT_UNAVAILABLE,
        AuditBroken: Code.AUDIT_UNAVAILABLE,
        StoreUnavailable: Code.STORE_STALE,
    }
)
"""What store and ledger suffer, and what a caller is told then."""


def run(config: Config) -> None:
    """Run the appliance until a signal."""
    logs.configure(config.log.level, config.log.format)
    try:
        _raise_descriptor_limit()
        trio.run(_main, config, strict_exception_groups=True)
    except (StoreRefused, StoreUnavailable, SealError, InUseError, CertificateError, UndeclaredRouteError) as error:
        raise StartError(str(error)) from None
    except AuditUnavailable as error:
        raise StartError(f"The audit file cannot be written: {error}.") from None
    except sqlite3.Error as error:
        raise StartError(f"A database in {config.data_dir} cannot be used: {error}.") from None
    except OSError as error:
        raise StartError(f"{error.filename or config.data_dir}: {error.strerror or error}.") from None


async def _main(config: Config) -> None:
    layout = Layout(config.data_dir)
    layout.make()
    with layout.claimed():
        layout.ports.unlink(missing_ok=True)
        async with database.opened(config, migrate=config.store.migrate_on_start) as store:
            keys = await open_keys(store, utc_micros)
            async with _open_ledger(keys, config) as ledger:
                try:
                    await _serve(config, layout, store, keys, ledger)
                finally:
                    layout.ports.unlink(missing_ok=True)


@asynccontextmanager
async def _open_ledger(keys: Keys, config: Config) -> AsyncIterator[Ledger]:
    place = audit_place(config)
    ledger = Ledger(place, keys.audit, utc_micros)
    try:
        await ledger.start()
    except (sqlite3.Error, OSError, AuditBroken) as error:
        raise StartError(f"The audit ledger {place} cannot be used: {error}.") from None
    ledger.subscribe(partial(logs.audit_lines, refused_only=config.log.audit == "refused"))
    try:
        yield ledger
    finally:
        await ledger.aclose()


async def _serve(config: Config, layout: Layout, store: Store, keys: Keys, ledger: Ledger) -> None:
    """Everything that runs, in one nursery; the listeners in one inside it, so that they end first."""
    log = structlog.get_logger()
    if not audit_place(config).shared:
        store.on_change.append(record_new(store, ledger, utc_micros))
    async with AsyncExitStack() as opened:
        bound = await bind(config, opened)
        registry: Registry[Session] = Registry()
        users_source = _users_source(config, keys, bound)
        users_context = first_context(users_source, partial(server_context, alpn=["http/1.1"]))
        agents_source = OwnAuthority(keys.trust, [host_of(bound.agents_url)], utc_micros)
        agents_context = first_context(agents_source, partial(_agents_context, keys.trust))
        verifier, failures = TokenVerifier(keys.believed), FailedLogins(ledger.deny)
        following = Following(store, keys.trust, utc_micros)
        courier = Courier(store, ledger, _dialler(config, bound), utc_micros, alone=not audit_place(config).shared)
        uses = BindingUses()
        ledger.subscribe(uses.hear)
        common = _Common(config, store, keys, ledger, registry, bound, verifier, failures, courier, following, uses)
        app, rereading = _app(common)
        users = front.Front(_front_parts(common, app))
        agents = _agents_parts(common, agents_context)
        state = _health(store, ledger, layout.ports)
        stop = trio.Event()
        watch = KeyWatch(store, keys)
        async with trio.open_nursery() as background:
            background.start_soon(_await_signals, stop, background.cancel_scope)
            background.start_soon(_await_new_keys, watch, stop)
            background.start_soon(common.readiness.run)
            background.start_soon(store.run)
            background.start_soon(ledger.run)
            if config.audit.retention_days:
                background.start_soon(_retention(config, keys, ledger).run)
            background.start_soon(expiries.run, store, ledger, utc_micros)
            background.start_soon(binding_uses.run, store, uses)
            background.start_soon(rereading.run)
            background.start_soon(courier.run)
            background.start_soon(keep_current, users_source, users_context)
            background.start_soon(
                keep_agents_current, agents_source, partial(_agents_context, keys.trust), partial(_use, agents)
            )
            background.start_soon(following.run, lambda: replace_file(layout.ca, keys.trust.pem))
            numbers = _numbers(common, users, agents, {"users": users_source, "agents": agents_source})
            background.start_soon(probes.serve, state, bound.health, numbers.page)
            async with trio.open_nursery() as serving:
                await serving.start(partial(front.serve, users, bound.users, users_context))
                await serving.start(partial(tunnel.serve, agents, bound.agents, stop=stop))
                replace_file(layout.ca, keys.trust.pem)
                replace_file(layout.ports, json.dumps(bound.ports()))
                interpreter.settle()
                log.info("ready", public_url=bound.public_url, agents_url=bound.agents_url, **bound.ports())
                await stop.wait()
                log.info("stopping", drain_seconds=config.limits.drain_seconds)
                state.draining = True
                layout.ports.unlink(missing_ok=True)
                users.stop(config.limits.drain_seconds)
                serving.cancel_scope.deadline = trio.current_time() + config.limits.drain_seconds + LINGER_SECONDS
            background.cancel_scope.cancel()
    log.info("stopped")
    if watch.replaced:
        raise StartError("The keys for credentials were replaced meanwhile. Start the appliance again.")


def _health(store: Store, ledger: Ledger, ports: Path) -> Health:
    return Health(
        {
            "store": lambda: "" if store.fresh() else f"the database has not answered for {store.age():.0f} s",
            "audit": lambda: "" if ledger.available else ledger.fault() or "too many records wait for the disk",
            "listeners": lambda: "" if ports.exists() else "they are not served yet",
        }
    )


async def _await_new_keys(watch: KeyWatch, stop: trio.Event) -> None:
    await watch.until_replaced()
    structlog.get_logger().error("the keys for credentials were replaced while the database was out of our reach")
    stop.set()


async def _await_signals(stop: trio.Event, everything: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            if stop.is_set():
                everything.cancel()
            stop.set()


# Parts


@dataclass(frozen=True, slots=True)
class _Common:
    """What several parts are made of. `failures`: one count for every door, so who fails at one is slowed at all."""

    config: Config
    store: Store
    keys: Keys
    ledger: Ledger
    registry: Registry[Session]
    bound: Bound
    verifier: TokenVerifier
    failures: FailedLogins
    courier: Courier
    following: Following
    uses: BindingUses
    readiness: Readiness = field(default_factory=Readiness)


def _front_parts(it: _Common, app: QuartTrio) -> FrontParts:
    return FrontParts(
        public_url=it.bound.public_url,
        verifier=it.verifier,
        store=it.store,
        admission=Admission(
            per_second=it.config.limits.requests_per_second,
            burst=it.config.limits.request_burst,
            max_open=it.config.limits.open_exchanges,
        ),
        failed_logins=it.failures,
        ledger=it.ledger,
        registry=it.registry,
        clock=utc_micros,
        app=app,
        lane="hypercorn" if it.config.users.lane == "hypercorn" else "express",
        max_connections=it.config.limits.connections,
        proxy_protocol_from=it.config.users.proxy_protocol_from,
        trusted_proxies=it.config.users.trusted_proxies,
        readiness=it.readiness,
    )


def _app(it: _Common) -> tuple[QuartTrio, Rereading]:
    """Everything behind the users' listener that is not a cluster: the admin API, and the ways to prove who one is."""
    app = make_app(_api_parts(it), ROUTES)
    return app, mount(app, _login_parts(it))


def _dialler(config: Config, bound: Bound) -> Dialler:
    """One for each who dials: slow receivers of webhooks take no room from those who sign in."""
    return Dialler(
        allowed=config.dialling.allow,
        more_ca=config.dialling.ca,
        own_ports=frozenset(bound.ports().values()),
        own_names=frozenset(destination(url).named for url in (bound.public_url, bound.agents_url)),
    )


def _api_parts(it: _Common) -> Parts:
    trail = bridges.AuditTrail(audit_place(it.config))

    return Parts(
        snapshot=lambda: it.store.snapshot,
        write=it.store.write,
        read=it.store.read,
        catch_up=it.store.poll,
        states=it.registry.states,
        record=it.ledger.record,
        search_audit=trail.search,
        audit_record=trail.record,
        make_bundle=bridges.bundle_maker(it.bound.agents_url, it.keys.trust),
        make_authority=made,
        trusted=lambda: it.keys.trust.pem,
        trust_settled=it.following.settled,
        sign=partial(_sign, it.keys),
        seal=it.store.seal,
        send_notice=it.courier.send,
        prove=it.verifier.verify,
        clock=utc_micros,
        public_url=it.bound.public_url,
        help_url=it.bound.public_url + HELP_PREFIX.decode(),
        ca_pem=partial(_ca_for_users, it),
        faults=FAULTS,
        key_set_fault=bridges.key_set_fault,
        failures=it.failures,
        uses=it.uses,
        paces=Paces(per_second=it.config.limits.api_per_second, burst=it.config.limits.api_burst),
        # Browsers hold every port of the host to it, so only where ours is the usual one.
        hsts=it.config.users.certificate is not None and urlsplit(it.bound.public_url).port in {None, HTTPS_PORT},
    )


def _login_parts(it: _Common) -> LoginParts:
    return LoginParts(
        snapshot=lambda: it.store.snapshot,
        write=it.store.write,
        read=it.store.read,
        catch_up=it.store.poll,
        record=it.ledger.record,
        seal=it.store.seal,
        unseal=it.store.unseal,
        dialler=_dialler(it.config, it.bound),
        failures=it.failures,
        beginnings=Admission(per_second=BEGUN_PER_SECOND, burst=BEGUN_AT_ONCE),
        clock=utc_micros,
        public_url=it.bound.public_url,
        help_url=it.bound.public_url + HELP_PREFIX.decode(),
        faults=FAULTS,
        reread_seconds=it.config.login.reread_seconds,
    )


def _retention(config: Config, keys: Keys, ledger: Ledger) -> Retention:
    return Retention(audit_place(config), keys.audit, config.audit.retention_days, ledger.record, utc_micros)


def _sign(keys: Keys, credential: Credential) -> str:
    return mint(credential, keys.credentials)


def _agents_parts(it: _Common, context: ssl.SSLContext) -> tunnel.AgentsListener:
    enrolments = bridges.Enrolments(it.store)
    return tunnel.AgentsListener(
        context=context,
        store=enrolments,
        enrolment=Enrolment(
            it.keys.trust,
            enrolments,
            it.ledger.record,
            utc_micros,
            FailedLogins(it.ledger.deny),
            it.config.agents.certificate_seconds,
        ),
        registry=it.registry,
        record=it.ledger.record,
        clock=utc_micros,
        name=f"fairlead/{version('fairlead')}",
        drain_seconds=float(it.config.limits.drain_seconds),
        proxy_protocol_from=it.config.agents.proxy_protocol_from,
        readiness=it.readiness,
    )


def _agents_context(trust: Trust, chain: Path, key: Path) -> ssl.SSLContext:
    return server_context(chain, key, alpn=["h2"], client_ca_pem=trust.pem, tls13_only=True)


def _use(agents: tunnel.AgentsListener, context: ssl.SSLContext) -> None:
    agents.context = context


def _ca_for_users(it: _Common) -> str | None:
    """What a kubeconfig must trust; None: what everybody trusts anyway."""
    return it.keys.trust.pem if it.config.users.certificate is None else None


def _numbers(
    it: _Common, users: front.Front, agents: tunnel.AgentsListener, certificates: Mapping[str, Source]
) -> Numbers:
    found = ApplianceNumbers(users, agents, it.registry, it.store, it.ledger, tuple(certificates.items()), utc_micros)
    it.ledger.subscribe(found.heard.hear)
    return Numbers(found.collect)


def _users_source(config: Config, keys: Keys, bound: Bound) -> Source:
    if config.users.certificate is not None and config.users.key is not None:
        return GivenFiles(config.users.certificate, config.users.key)
    return OwnAuthority(keys.trust, [host_of(bound.public_url)], utc_micros)


# The process


def _raise_descriptor_limit() -> None:
    """As many descriptors as the system lets this process have: every connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:  # some systems name a limit that they do not grant
        log = structlog.get_logger()
        log.warning("raise the limit of open files (ulimit -n)", soft=soft, wanted=wanted, why=str(error))
