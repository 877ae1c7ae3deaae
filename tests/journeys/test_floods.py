"""Everything floods at once, and whoever asks politely is answered all the same.

The margin is wide: the flooders and the appliance share two cores with whatever else runs here. How much of the loop
floods take is measured where it does not depend on that (tests/appliance, the listeners' own tests).
"""

from __future__ import annotations

import http.client
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.journeys.processes import eventually
from tests.journeys.stack import Stack, running_stack
from tests.support.flood import HTTP2_OPENING, HTTP2_SETTINGS, Flood, client_hello, flooding, text

pytestmark = [pytest.mark.journey, pytest.mark.alone]

POLITE_SECONDS = 2.0
ASKED = 15


def test_floods_on_every_port_leave_everybody_else_served(tmp_path: Path) -> None:
    with running_stack(tmp_path) as stack, ExitStack() as ending:
        bound, door = stack.bound, stack.door
        pages = text(door.head("GET", "/api/v1/pods", token=False) * 500)
        for flood in (
            Flood(bound.users, burst=pages, ca_pem=door.ca_pem),
            Flood(bound.users, opening=text(client_hello("http/1.1")), again=True),
            Flood(bound.agents, text(HTTP2_OPENING), text(HTTP2_SETTINGS * 4000), door.ca_pem, alpn="h2"),
            Flood(bound.health, opening=text(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"), again=True, connections=4),
        ):
            ending.enter_context(flooding(flood))
        eventually(lambda: b" 401 " in refused(stack), what="the floods' first wave")
        took = [seconds(stack) for _ in range(ASKED)]
    assert sorted(took)[ASKED // 2] < POLITE_SECONDS, took


def refused(stack: Stack) -> bytes:
    with stack.door.connect() as tls:
        tls.sendall(stack.door.head("GET", "/api/v1/pods", token=False))
        return tls.recv(100)


def seconds(stack: Stack) -> float:
    """How long a probe and a request to the cluster take together."""
    began = time.monotonic()
    probe = http.client.HTTPConnection("127.0.0.1", stack.bound.health, timeout=30)
    probe.request("GET", "/livez")
    assert probe.getresponse().status == 200
    probe.close()
    assert stack.door.ask("GET", "/api/v1/namespaces/default").status == 200
    return time.monotonic() - began
