"""Mangled URLs through the running front, on both lanes: what reaches the agent is, byte for byte, what was decided on.

Each target either opens exactly one exchange whose target is what followed the cluster in the URL, under a record that
says what `wire.kube` reads in it, or opens none and is refused. Nothing is repaired on the way.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.core.events import AuditEvent, EventType
from appliance.front.parts import Lane
from tests.appliance.front.rig import CLUSTER, Rig, answer, fronted
from tests.wire.test_kube_mangled import mangled
from wire.kube import Ask, understand
from wire.session import Exchange

pytestmark = pytest.mark.real_clock

LANES: tuple[Lane, ...] = ("express", "hypercorn")
REFUSALS = {400, 401, 403, 404, 408, 417, 431}

ROUTES = [
    f"/api/proxy/{CLUSTER}",
    f"/api/proxy/{CLUSTER}/",
    f"/api/proxy/{CLUSTER}?watch=1",
    f"/api/proxy/{CLUSTER}?/api/v1/pods",
    f"/api/proxy/{CLUSTER}??x",
    f"/api/proxy/{CLUSTER}//api/v1/pods",
    f"/api/proxy/{CLUSTER}/.",
    f"/api/proxy/{CLUSTER}/../{CLUSTER}/api",
    f"/api/proxy/{CLUSTER}/%2e%2e/other/api",
    f"/api/proxy/{CLUSTER}%2fapi",
    f"/api/proxy/{CLUSTER};x/api",
    f"/api/proxy/{CLUSTER}%00/api",
    f"/api/proxy/{CLUSTER}#/api",
    f"/api/proxy/{CLUSTER.upper()}/api",
    "/api/proxy/%63l_1/api",
    "/api/proxy/prod/api",
    "/api/proxy/PROD/api",
    "/api/proxy/pr%6fd/api",
    "/api/proxy/prod./api",
    "/api/proxy/ prod/api",
    "/api/proxy//api",
    "/api/proxy/",
    "/api/proxy/?x",
    "/api/proxy/./api",
    "/api/proxy/../api",
    f"/api/proxy/..;/{CLUSTER}/api",
    f"//api/proxy/{CLUSTER}/api",
    f"/api//proxy/{CLUSTER}/api",
    f"/api/./proxy/{CLUSTER}/api",
    f"/api/proxy/x/../{CLUSTER}/api",
    f"/api%2fproxy/{CLUSTER}/api",
    f"/%61pi/proxy/{CLUSTER}/api",
    f"/API/proxy/{CLUSTER}/api",
    f"/api/proxy{CLUSTER}/api",
    f"/api/proxy?{CLUSTER}/api",
    f"https://localhost/api/proxy/{CLUSTER}/api",
    f"api/proxy/{CLUSTER}/api",
    f"*/api/proxy/{CLUSTER}/api",
]


class Log:
    """An agent that keeps the method and the target of every exchange."""

    def __init__(self) -> None:
        self.opened: list[tuple[bytes, bytes]] = []

    async def __call__(self, tunnel: Exchange) -> None:
        self.opened.append((tunnel.request.method, tunnel.request.target))
        await answer(tunnel, 200, b"{}")


async def ask(rig: Rig, method: str, target: bytes) -> int:
    """Send a request with exactly this target; the status of its answer."""
    talk = await rig.dial()
    lines = (b"Host: localhost", b"Authorization: Bearer " + rig.token.encode(), b"Connection: close")
    await talk.say(b"\r\n".join((method.encode() + b" " + target + b" HTTP/1.1", *lines, b"", b"")))
    said = await talk.answer(method.encode())
    await talk.stream.aclose()
    return said.status


def recorded(event: AuditEvent) -> tuple[str, ...]:
    return (event.namespace, event.verb, event.api_group, event.resource, event.name, event.subresource, event.path)


def read(found: Ask) -> tuple[str, ...]:
    path = "" if found.is_resource else found.path
    return (found.namespace, found.verb, found.group, found.resource, found.name, found.subresource, path)


async def check(rig: Rig, log: Log, method: str, target: bytes) -> None:
    before = len(log.opened)
    rig.ledger.events.clear()
    counted = rig.ledger.counted
    status = await ask(rig, method, target)
    if len(log.opened) == before:
        assert status in REFUSALS
        assert not any(event.type in {EventType.PROXY_OPENED, EventType.PROXY_CLOSED} for event in rig.ledger.events)
        return
    ((got_method, got_target),) = log.opened[before:]
    assert status == 200
    route = re.fullmatch(rb"/api/proxy/(?:cl_1|prod)([/?].*)?", target)
    assert route is not None, "only these name the cluster"
    tail = route[1] or b""
    assert got_target == (tail if tail.startswith(b"/") else b"/" + tail)
    assert got_method == method.encode()
    with trio.fail_after(10):
        while rig.ledger.counted == counted and not any(
            event.type is EventType.PROXY_CLOSED for event in rig.ledger.events
        ):
            rig.ledger.told = trio.Event()
            await rig.ledger.told.wait()
    for event in rig.ledger.events:
        assert recorded(event) == read(understand(got_method, got_target))


@pytest.mark.parametrize("lane", LANES)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(st.tuples(st.sampled_from(["GET", "DELETE", "OPTIONS"]), mangled()), min_size=1, max_size=40))
def test_mangled_targets(tmp_path: Path, lane: Lane, asked: list[tuple[str, str]]) -> None:
    async def try_all() -> None:
        log = Log()
        async with fronted(tmp_path, log, lane=lane) as rig:
            for method, target in asked:
                raw = target.encode()
                if re.search(rb"[\s]", raw):
                    continue  # that is another request line, or another head: the head parser's own tests have it
                await check(rig, log, method, f"/api/proxy/{CLUSTER}".encode() + raw)

    trio.run(try_all, strict_exception_groups=True)


@pytest.mark.parametrize("lane", LANES)
async def test_where_the_cluster_ends_and_its_target_begins(tmp_path: Path, lane: Lane) -> None:
    log = Log()
    async with fronted(tmp_path, log, lane=lane) as rig:
        for route in ROUTES:
            if " " in route:
                continue
            await check(rig, log, "GET", route.encode())
        assert {target for _, target in log.opened} == {b"/", b"/?watch=1", b"/?/api/v1/pods", b"/??x", b"/api"}


@pytest.mark.parametrize("lane", LANES)
async def test_a_space_in_the_target_is_another_request_line(tmp_path: Path, lane: Lane) -> None:
    log = Log()
    async with fronted(tmp_path, log, lane=lane) as rig:
        for target in (
            b"/api/proxy/ prod/api",
            b"/api/proxy/prod /api",
            b"/api/proxy/prod\t/api",
            b"/api/proxy/prod/\x0b",
        ):
            assert await ask(rig, "GET", target) == 400
        assert log.opened == []
