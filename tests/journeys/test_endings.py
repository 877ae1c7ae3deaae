"""Every way to lose a right: what runs on it ends within two seconds, and the very next request is told why.

On either lane, with a watch, a shell (as WebSocket) and a download under way; and with kubectl, old and new.
"""

from __future__ import annotations

import base64
import http.client
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.journeys import host
from tests.journeys.conftest import Kubectl
from tests.journeys.door import Door
from tests.journeys.processes import BUSY_SECONDS, eventually, wait_until
from tests.journeys.stack import Part, running_stack
from tests.journeys.visitors import Harbour, Visitor

ENDED_SECONDS = 2.0
SEEN_SECONDS = 1.0 + BUSY_SECONDS  # another process's change: a look each second
POD = "/api/v1/namespaces/demo/pods/harbour-master"


@pytest.fixture(scope="module", params=["express", "hypercorn"])
def harbour(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    """One stack for each lane."""
    with running_stack(tmp_path_factory.mktemp(request.param), lane=request.param) as stack:
        yield Harbour(stack)


@pytest.fixture
def annex(harbour: Harbour, tmp_path: Path) -> Iterator[str]:
    """A cluster that a test may spoil."""
    name, agent = harbour.annex(tmp_path, {"env": "prod"})
    yield name
    end(agent)


def end(agent: Part) -> None:
    if agent.process.returncode is None:
        agent.kill()


class Stream(threading.Thread):
    """A request that goes on; says when it ended, and whether that looked like a whole answer."""

    def __init__(self, door: Door, what: str, head: bytes, begun: bytes) -> None:
        super().__init__(daemon=True, name=what)
        self._tls = door.connect()
        self._tls.sendall(head)
        self._seen = b""
        try:
            while begun not in self._seen:
                piece = self._tls.recv(65536)
                assert piece, f"{what} did not begin: {self._seen!r}"
                self._seen += piece
        except BaseException:
            self._tls.close()
            raise
        self._tls.settimeout(60)
        self.ended = threading.Event()
        self.ended_at = 0.0
        self.whole = True
        self.start()

    def run(self) -> None:
        try:
            while piece := self._tls.recv(65536):
                self._seen = (self._seen + piece)[-65536:]
            self.whole = self._seen.endswith(b"0\r\n\r\n")
        except (ssl.SSLError, OSError):
            self.whole = False
        self.ended_at = time.monotonic()
        self.ended.set()

    def close(self) -> None:
        """Leave, and wait until nobody reads."""
        if not self.ended.is_set():
            self._tls.shutdown(2)
            self.ended.wait(10)
        self._tls.close()


def streams(visitor: Visitor) -> dict[str, Stream]:
    """One of each kind, begun."""
    door = visitor.door
    key = base64.b64encode(os.urandom(16))
    upgrade = (
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: " + key,
        b"Sec-WebSocket-Protocol: v5.channel.k8s.io",
    )
    heads = {
        "watch": (door.head("GET", "/api/v1/namespaces/demo/pods?watch=1"), b"harbour-master"),
        "shell": (door.head("GET", f"{POD}/exec?command=cat&stdin=true&stdout=true", *upgrade), b"101 "),
        "log": (door.head("GET", f"{POD}/log?follow=true"), b"\n\r\n"),
    }
    return {what: Stream(door, what, *head) for what, head in heads.items()}


@dataclass(frozen=True)
class Cause:
    """What takes the right away, and what the next request is told."""

    name: str
    act: Callable[[Harbour, Visitor], float]
    """Does it; gives the moment it was answered."""
    code: str
    status: int
    ended: str = ""  # what the records of the streams may say, when it is another code
    by_api: bool = True
    cluster: str = "toy"  # or "annex"
    visit: tuple[tuple[str, Any], ...] = ()


def api(method: str, path: str, body: dict[str, Any] | None = None) -> Callable[[Harbour, Visitor], float]:
    """A call of the admin API; {words} are the visitor's."""

    def act(harbour: Harbour, visitor: Visitor) -> float:
        harbour.call(method, path.format_map(vars(visitor)), body)
        return time.monotonic()

    return act


def by_token(harbour: Harbour, visitor: Visitor) -> float:
    path, body = "/fairlead/v1/credentials/revoke-by-token", {"token": visitor.door.token}
    status, answer = harbour.raw("POST", path, "", body)
    assert (status, answer["state"]) == (200, "revoked"), answer
    return time.monotonic()


def on_host(deed: str, *names: str) -> Callable[[Harbour, Visitor], float]:
    """Another process writes to the same database."""

    def act(harbour: Harbour, visitor: Visitor) -> float:
        filled = [name.format_map(vars(visitor)) for name in names]
        return host.do(harbour.stack.home.appliance, deed, *filled)[0]

    return act


NAMESPACES = (("scope", {"kind": "namespaces", "namespaces": ["demo", "default"]}),)
CAUSES = (
    Cause("credential revoked", api("DELETE", "credentials/{credential_id}"), "CREDENTIAL_REVOKED", 401),
    Cause("credential revoked by its token", by_token, "CREDENTIAL_REVOKED", 401),
    Cause("person's credentials", api("POST", "people/{person_id}/revoke-credentials", {}), "CREDENTIAL_REVOKED", 401),
    Cause("person disabled", api("POST", "people/{person_id}/disable", {}), "PERSON_DISABLED", 403),
    Cause("person deleted", api("DELETE", "people/{person_id}"), "CREDENTIAL_REVOKED", 401),
    Cause(
        "binding deleted", api("DELETE", "bindings/{binding_id}"), "NO_ROLE_ASSIGNMENT", 403, ended="ACCESS_WITHDRAWN"
    ),
    Cause(
        "cluster's credentials",
        api("POST", "clusters/{cluster_id}/revoke-credentials", {}),
        "CREDENTIAL_REVOKED",
        401,
        cluster="annex",
    ),
    Cause(
        "cluster deleted",
        api("DELETE", "clusters/{cluster_id}"),
        "CLUSTER_NOT_FOUND",
        404,
        ended="CLUSTER_NOT_FOUND TUNNEL_LOST",  # its agents' sessions end at the same time
        cluster="annex",
    ),
    Cause("revoked elsewhere", on_host("revoke", "{credential_id}"), "CREDENTIAL_REVOKED", 401, by_api=False),
    Cause("not_before raised", on_host("refuse_person", "{person_id}"), "CREDENTIAL_REVOKED", 401, by_api=False),
    Cause(
        "role narrowed", on_host("narrow_role", "{role_id}"), "FORBIDDEN", 403, ended="ACCESS_WITHDRAWN", by_api=False
    ),
    Cause("role without a group", on_host("drop_group", "{role_id}"), "", 200, ended="ACCESS_WITHDRAWN", by_api=False),
    Cause(
        "role deleted",
        on_host("remove_role", "{role_id}"),
        "NO_ROLE_ASSIGNMENT",
        403,
        ended="ACCESS_WITHDRAWN",
        by_api=False,
    ),
    Cause(
        "binding narrowed",
        on_host("narrow_binding", "{binding_id}", "default"),
        "NAMESPACE_FORBIDDEN",
        403,
        ended="ACCESS_WITHDRAWN",
        by_api=False,
        visit=NAMESPACES,
    ),
    Cause(
        "group left",
        on_host("leave_groups", "{person_id}"),
        "NO_ROLE_ASSIGNMENT",
        403,
        ended="ACCESS_WITHDRAWN",
        by_api=False,
        visit=(("group", "crew"),),
    ),
    Cause(
        "label gone",
        on_host("unlabel", "{cluster_id}"),
        "NO_ROLE_ASSIGNMENT",
        403,
        ended="ACCESS_WITHDRAWN",
        by_api=False,
        cluster="annex",
        visit=(("scope", {"kind": "labels", "labels": {"env": "prod"}}),),
    ),
)


@pytest.mark.parametrize("cause", CAUSES, ids=lambda it: it.name)
def test_what_runs_on_a_right_ends_with_it(cause: Cause, harbour: Harbour, request: pytest.FixtureRequest) -> None:
    cluster = request.getfixturevalue("annex") if cause.cluster == "annex" else "toy"
    visitor = harbour.visitor(cluster, **dict(cause.visit))
    bystander = harbour.visitor()
    assert visitor.ask().status == 200
    with ExitStack() as ending:
        running = streams(visitor)
        others = streams(bystander)
        for stream in (*running.values(), *others.values()):
            ending.callback(stream.close)

        answered = cause.act(harbour, visitor)

        if cause.by_api:
            refused = visitor.ask()  # the very next request
        else:
            eventually(lambda: visitor.ask().code == cause.code, SEEN_SECONDS)
            refused = visitor.ask()
        assert (refused.status, refused.code) == (cause.status, cause.code), refused.body
        if not cause.by_api and cause.code:
            assert time.monotonic() - answered < SEEN_SECONDS

        for what, stream in running.items():
            assert stream.ended.wait(ENDED_SECONDS + BUSY_SECONDS), f"the {what} goes on"
            assert stream.ended_at - answered < ENDED_SECONDS + BUSY_SECONDS, f"the {what} ended late"
            # A watch ends whole, with an event that says why, unless its tunnel was gone before.
            assert stream.whole == (what == "watch") or (what == "watch" and "TUNNEL_LOST" in cause.ended), what
        assert not any(it.ended.is_set() for it in others.values()), "somebody else's stream ended with it"

    codes = closing_codes(harbour, visitor)
    assert codes <= set((cause.ended or cause.code).split()), codes


def closing_codes(harbour: Harbour, visitor: Visitor) -> set[str]:
    """What the audit trail says of how the visitor's three streams ended."""

    def ends() -> list[str]:
        records = harbour.call("GET", "audit?limit=200")["items"]
        mine = [it for it in records if it["type"] == "CPR001I" and it.get("actor_id") == visitor.person_id]
        found = [str(it.get("code", "")) for it in mine if it["verb"] == "watch" or it.get("subresource")]
        return found if len(found) == 3 else []

    return set(eventually(ends, what="three records"))


def test_a_binding_ends_by_the_clock(harbour: Harbour) -> None:
    until = datetime.now(UTC) + timedelta(seconds=5)
    visitor = harbour.visitor(until=until.isoformat().replace("+00:00", "Z"))
    running = streams(visitor)
    began, now = time.monotonic(), datetime.now(UTC)
    ends = began + (until - now).total_seconds()
    with ExitStack() as ending:
        for stream in running.values():
            ending.callback(stream.close)
        for what, stream in running.items():
            assert stream.ended.wait(20), f"the {what} goes on"
            assert -0.1 < stream.ended_at - ends < ENDED_SECONDS + BUSY_SECONDS
            assert stream.whole == (what == "watch")
    refused = visitor.ask()
    assert (refused.status, refused.code) == (403, "NO_ROLE_ASSIGNMENT")


def test_a_credential_that_expires_ends_no_stream_until_it_is_revoked(harbour: Harbour) -> None:
    visitor = harbour.visitor()
    data = harbour.stack.home.appliance
    _, token = host.do(data, "short_credential", visitor.person_id, visitor.cluster_id, "6")
    short = harbour.with_token(visitor, token)
    with ExitStack() as ending:
        running = streams(short)
        for stream in running.values():
            ending.callback(stream.close)
        eventually(lambda: short.ask().status != 200, 10)
        refused = short.ask()
        assert (refused.status, refused.code) == (401, "CREDENTIAL_EXPIRED")
        wait_until(time.monotonic() + ENDED_SECONDS)
        assert not any(stream.ended.is_set() for stream in running.values())

        path = "/fairlead/v1/credentials/revoke-by-token"
        status, answer = harbour.raw("POST", path, "", {"token": token})
        assert (status, answer["state"]) == (200, "expired")
        for what, stream in running.items():
            assert stream.ended.wait(ENDED_SECONDS + BUSY_SECONDS), f"the {what} goes on"


def test_an_ordinary_answer_that_is_cut_is_an_error(harbour: Harbour) -> None:
    """Of known length, and without one."""
    visitor = harbour.visitor()
    with ExitStack() as ending:
        downloads = [
            ending.enter_context(visitor.door.asking("GET", f"/toy/bytes?size=100000000&rate=100000{framing}"))
            for framing in ("", "&chunked=1")
        ]
        assert all(it.read(1000) for it in downloads)
        harbour.call("DELETE", f"credentials/{visitor.credential_id}")
        answered = time.monotonic()
        for download in downloads:
            with pytest.raises((http.client.IncompleteRead, ssl.SSLError, ConnectionError)):
                download.read()
            assert time.monotonic() - answered < ENDED_SECONDS + BUSY_SECONDS


def test_a_credential_used_while_it_is_revoked(harbour: Harbour) -> None:
    """Each request is answered whole or refused; after the answer to the revocation, none is answered any more."""
    visitor = harbour.visitor()
    seen: list[tuple[float, int, str]] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            asked = time.monotonic()
            answer = visitor.door.ask("GET", "/api/v1/namespaces/demo/pods")
            assert answer.json()["kind"] == ("PodList" if answer.status == 200 else "Status")
            seen.append((asked, answer.status, answer.code))

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    eventually(lambda: len(seen) > 20)
    harbour.call("DELETE", f"credentials/{visitor.credential_id}")
    answered = time.monotonic()
    eventually(lambda: sum(1 for asked, _, _ in seen if asked > answered) > 20)
    stop.set()
    for asker in askers:
        asker.join(30)
    assert {(status, code) for _, status, code in seen} == {(200, ""), (401, "CREDENTIAL_REVOKED")}
    assert {status for asked, status, _ in seen if asked > answered} == {401}

    records = harbour.call("GET", "audit?limit=500")["items"]
    mine = {it["type"] for it in records if it.get("credential_id") == visitor.credential_id}
    assert {"CPR001I", "CPR002W", "CCR001I", "CCR002I"} <= mine


@pytest.mark.ends
def test_kubectl_is_told(harbour: Harbour, kubectl_binary: Path, tmp_path: Path) -> None:
    """What was running ends; what comes next is refused in words."""
    visitor = harbour.visitor()
    kubectl = Kubectl(kubectl_binary, visitor.kubeconfig(tmp_path), tmp_path)
    with ExitStack() as ending:
        watch = ending.enter_context(kubectl.start("get", "pods", "-n", "demo", "-w"))
        log = ending.enter_context(kubectl.start("logs", "-f", "-n", "demo", "harbour-master", "--tail=1"))
        shell = ending.enter_context(
            kubectl.start("exec", "-i", "-n", "demo", "harbour-master", "--", "cat", stdin=True)
        )
        watch.line("harbour-master")
        log.line()
        shell.give("there\n")
        shell.line("there")
        harbour.call("DELETE", f"credentials/{visitor.credential_id}")
        answered = time.monotonic()
        codes = {name: it.end() for name, it in (("watch", watch), ("log", log), ("shell", shell))}
        assert time.monotonic() - answered < ENDED_SECONDS + BUSY_SECONDS  # kubectl takes its time to leave
    assert "Your kubeconfig credential was revoked" in watch.said[-1]  # as a row of its table
    assert "unexpected EOF" in log.complaints[-1]
    assert codes["log"] != 0
    if kubectl.minor >= 31:  # over SPDY kubectl takes any end for a good one, from an API server, too
        assert codes["shell"] != 0
    assert "Your kubeconfig credential was revoked" in kubectl.refused("get", "pods")
