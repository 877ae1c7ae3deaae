"""`fairlead doctor`: from this machine to a cluster, step by step, and what to do where it fails.

Each check is a function that says how it went; one that needs an earlier one which failed is skipped. What always
holds: nothing is changed but what a call to the appliance changes anyway (a session may be renewed); the exit code is 1
if any check failed, whatever the form of the answer.
"""

from __future__ import annotations

import email.utils
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from ops.cli import keeping, kubeconfig, places, profiles
from ops.cli.client import Client, SessionBearer
from ops.cli.faults import Exit, Fault, plain
from ops.cli.issuing import issue
from ops.cli.lazy import Command
from ops.cli.login import described
from ops.cli.options import given, output_option
from ops.cli.output.kinds import Kind
from ops.cli.output.tables import Column
from ops.cli.profiles import Profile
from ops.cli.showing import form, show
from ops.cli.transport import CONNECT_SECONDS, Transport, proxy_for, unreachable

CONFIGURATION = "/.well-known/fairlead-configuration"
SKEW_SECONDS = 60  # what the appliance forgives itself; more is worth a word, though nothing of ours depends on it
CERTIFICATE_DAYS = 7  # one that is renewed by itself is renewed before

CHECKS = Kind(
    "check",
    "checks",
    (
        Column("CHECK", "check"),
        Column("STATE", "state", tone=True),
        Column("FOUND", "found"),
        Column("TO DO", "do"),
    ),
    named="check",
)


@dataclass(frozen=True, slots=True)
class Found:
    """How one check went: `state` is ok, warning, failed or skipped."""

    state: str
    found: str
    do: str = ""


@dataclass(slots=True)
class Visit:
    """What is looked at, and what the checks before have found."""

    profile: Profile
    account: str
    cluster: str
    transport: Transport
    failed: set[str] = field(default_factory=set)
    clusters: list[dict[str, Any]] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return urlsplit(self.profile.server).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.profile.server).port or 443

    @property
    def api(self) -> Client:
        bearer = SessionBearer(self.profile, self.account, self.transport)
        return Client(self.profile, self.account, bearer, self.transport)


@click.command(cls=Command)
@click.argument("cluster", required=False)
@output_option
def doctor(cluster: str | None) -> None:
    r"""Look for what stands between you and a cluster, and say what to do about it.

    With a CLUSTER, a request is sent all the way to its API server. Exits 1 if a check failed.

    \b
    Example: fairlead doctor
             fairlead doctor prod
    """
    profile = profiles.read().chosen(given().profile)
    account = given().account or profile.account
    transport = Transport(profile.server, profile.ca, debug=given().debug)
    visit = Visit(profile, account, cluster or "", transport)
    found = [{"check": name, "state": it.state, "found": it.found, "do": it.do} for name, it in _looked(visit)]
    transport.close()
    show(CHECKS, found, "")
    if visit.failed:
        if form().for_people:
            click.echo(f"{len(visit.failed)} of {len(found)} checks failed.", err=True)
        raise SystemExit(Exit.FAILED)


def _looked(visit: Visit) -> Iterator[tuple[str, Found]]:
    for name, needed, look in STEPS:
        if needed & visit.failed:
            yield name, Found("skipped", f"needs {', '.join(sorted(needed & visit.failed))}")
            continue
        try:
            found = look(visit)
        except Fault as fault:
            found = Found("failed", str(fault), fault.next_step)
        if found.state == "failed":
            visit.failed.add(name)
        yield name, found


def _configuration(visit: Visit) -> Found:
    home = Path(places.home())
    open_ones = [it for it in (home, *home.rglob("*")) if it.exists() and it.stat().st_mode & 0o077]
    if open_ones:
        return Found("failed", f"{open_ones[0]} is open to others", f"chmod -R go= {home}")
    return Found("ok", f"profile {visit.profile.name}, kept in {home}")


def _name(visit: Visit) -> Found:
    if proxy_for(visit.host) is not None:
        return Found("skipped", "a proxy looks it up")
    try:
        found = socket.getaddrinfo(visit.host, visit.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise unreachable(visit.profile.server, error) from None
    return Found("ok", f"{visit.host} is {', '.join(dict.fromkeys(str(it[4][0]) for it in found))}")


def _connection(visit: Visit) -> Found:
    proxy = proxy_for(visit.host)
    where = (urlsplit(proxy).hostname, urlsplit(proxy).port or 80) if proxy else (visit.host, visit.port)
    began = time.monotonic()
    try:
        socket.create_connection(where, CONNECT_SECONDS).close()
    except OSError as error:
        raise unreachable(proxy or visit.profile.server, error) from None
    took = (time.monotonic() - began) * 1000
    return Found("ok", f"port {where[1]} answers in {took:.0f} ms{' (the proxy)' if proxy else ''}")


def _certificate(visit: Visit) -> Found:
    with visit.transport.connected() as opened:
        held = opened.getpeercert() or {}
    until = ssl.cert_time_to_seconds(str(held["notAfter"]))
    days = int((until - time.time()) / 86_400)
    signed = "by the CA you gave" if visit.profile.ca else "by a CA that this machine trusts"
    if days < CERTIFICATE_DAYS:
        return Found("warning", f"signed {signed}, and ends in {days} days", "have it renewed")
    return Found("ok", f"signed {signed}, good for {days} days")


def _appliance(visit: Visit) -> Found:
    described(visit.profile, visit.transport)
    visit.headers = visit.transport.heard
    version = (visit.transport.ask("GET", CONFIGURATION).document() or {}).get("version", "of an unknown version")
    return Found("ok", f"{visit.profile.server} is Fairlead {plain(str(version))}")


def _clock(visit: Visit) -> Found:
    told = email.utils.parsedate_to_datetime(visit.headers["date"]) if "date" in visit.headers else None
    if told is None:
        return Found("skipped", "the appliance does not say what time it is")
    off = time.time() - told.timestamp()
    if abs(off) > SKEW_SECONDS:
        way = "ahead of" if off > 0 else "behind"
        return Found("warning", f"this machine is {abs(off):.0f} s {way} the appliance", "set the clock, e.g. by NTP")
    return Found("ok", f"within {max(1, round(abs(off)))} s of the appliance's")


def _sign_in(visit: Visit) -> Found:
    answer = visit.transport.ask("GET", "/fairlead/sign-in", headers={"Accept": "text/html"})
    if answer.status >= 400:
        return Found("failed", f"the sign-in page answers {answer.status}", "ask your administrator")
    if b"No identity provider is set up" in answer.body:
        return Found("warning", "no identity provider is set up", "an administrator adds one: fairlead providers")
    return Found("ok", "the sign-in page answers")


def _session(visit: Visit) -> Found:
    me = visit.api.get("me")
    where = keeping.where(visit.profile.name, visit.account)
    return Found("ok", f"{me['name']} until {me['session']['ends_at']}; secrets are in {where}")


def _kubeconfig(visit: Visit) -> Found:
    contexts = [it for it in kubeconfig.marked() if it.server == visit.profile.server]
    loose = [it for it in {it.file for it in contexts} if it.stat().st_mode & 0o077]
    if contexts and shutil.which("fairlead") is None:
        return Found("warning", "kubectl may not find fairlead on PATH", "add its directory to PATH")
    if loose:
        return Found("warning", f"{loose[0]} can be read by others", f"chmod go= {loose[0]}")
    if not contexts:
        return Found("ok", "no context of this appliance yet", "fairlead kube login CLUSTER")
    return Found("ok", f"contexts {', '.join(it.context for it in contexts)}")


def _clusters(visit: Visit) -> Found:
    visit.clusters = list(visit.api.pages("me/clusters"))
    away = [it["name"] for it in visit.clusters if not it["connected"]]
    if not visit.clusters:
        return Found("warning", "you can reach none", "ask your administrator, or: fairlead access request")
    if away:
        return Found("warning", f"no agent of {', '.join(away)} is connected", "ask whoever runs that cluster")
    return Found("ok", f"the agents of {', '.join(it['name'] for it in visit.clusters)} are connected")


def _tunnel(visit: Visit) -> Found:
    if not visit.cluster:
        return Found("skipped", "name a cluster to look at it")
    issued = issue(visit.api, visit.cluster, "plugin", 60)
    target = issued.server.removeprefix(visit.profile.server) + "/version"
    began = time.monotonic()
    answer = visit.transport.ask("GET", target, headers={"Authorization": f"Bearer {issued.token}"})
    took = (time.monotonic() - began) * 1000
    if answer.status != 200:
        return Found("failed", answer.body.decode(errors="replace").strip()[:300] or f"status {answer.status}")
    version = (answer.document() or {}).get("gitVersion", "of an unknown version")
    return Found("ok", f"the API server of {visit.cluster} ({version}) answers in {took:.0f} ms")


_REACHED = frozenset({"name", "connection", "certificate"})
#: Each with what must not have failed before it.
STEPS: tuple[tuple[str, frozenset[str], Callable[[Visit], Found]], ...] = (
    ("configuration", frozenset(), _configuration),
    ("name", frozenset(), _name),
    ("connection", frozenset({"name"}), _connection),
    ("certificate", frozenset({"name", "connection"}), _certificate),
    ("appliance", _REACHED, _appliance),
    ("clock", _REACHED | {"appliance"}, _clock),
    ("sign-in", _REACHED | {"appliance"}, _sign_in),
    ("session", _REACHED | {"appliance"}, _session),
    ("kubeconfig", frozenset(), _kubeconfig),
    ("clusters", _REACHED | {"appliance", "session"}, _clusters),
    ("tunnel", _REACHED | {"appliance", "session", "clusters"}, _tunnel),
)
