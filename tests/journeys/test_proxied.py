"""The running appliance behind a load balancer and behind a proxy, as its settings name them."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path

import pytest

from tests.journeys.door import read_answer
from tests.journeys.processes import eventually
from tests.journeys.stack import Stack, running_stack
from tests.support import proxy_header

pytestmark = pytest.mark.journey

BALANCER, PROXY = "127.0.0.2", "127.0.0.3"


def test_the_audit_trail_knows_the_clients_own_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRLEAD_USERS_PROXY_PROTOCOL_FROM", f"{BALANCER}/32")
    monkeypatch.setenv("FAIRLEAD_USERS_TRUSTED_PROXIES", PROXY)
    with running_stack(tmp_path) as stack:
        get(stack, BALANCER, "through-balancer", before=proxy_header.of("2001:db8::7"))
        get(stack, PROXY, "through-proxy", b"X-Forwarded-For: 203.0.113.9, 198.51.100.7")
        get(stack, "127.0.0.4", "through-nobody", b"X-Forwarded-For: 198.51.100.7")
        expected = {
            "through-balancer": "2001:db8::7",
            "through-proxy": "198.51.100.7",
            "through-nobody": "127.0.0.4",
        }
        eventually(lambda: addresses(stack).items() >= expected.items(), what=f"{expected} in {addresses(stack)}")


def get(stack: Stack, source: str, name: str, *lines: bytes, before: bytes = b"") -> None:
    door = stack.door
    plain = socket.create_connection((door.host, door.port), timeout=10, source_address=(source, 0))
    plain.sendall(before)
    context = ssl.create_default_context(cadata=door.ca_pem)
    with context.wrap_socket(plain, server_hostname=door.host) as tls:
        tls.sendall(door.head("GET", f"/api/v1/namespaces/default/configmaps/{name}", *lines))
        assert read_answer(tls).status == 404


def addresses(stack: Stack) -> dict[str, str]:
    """From where each object was asked for."""
    return {event.get("name", ""): event.get("client_address", "") for event in audit(stack)}


def audit(stack: Stack) -> list[dict[str, str]]:
    connection = stack.door.https()
    try:
        connection.request("GET", "/fairlead/v1/audit?limit=50", headers={"Authorization": f"Bearer {stack.token}"})
        items: list[dict[str, str]] = json.loads(connection.getresponse().read())["items"]
        return items
    finally:
        connection.close()
