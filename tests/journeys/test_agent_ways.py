"""How an agent reaches its appliance: through a proxy that speaks TLS and asks for credentials, over IPv6, twice
at once, within bounds of its own.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trio

from ops.demo.files import write_private
from tests.journeys.processes import eventually
from tests.journeys.stack import Stack, running_stack
from tests.support.certificates import TestCA
from tests.support.connect_proxy import connect_proxy

pytestmark = pytest.mark.journey

CREDENTIALS = "agents:not-in-any-log"


def test_through_a_proxy_to_ipv6_in_two_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca = TestCA.make()
    (tmp_path / "proxy-ca.pem").write_text(ca.pem)
    write_private(tmp_path / "credentials", CREDENTIALS.encode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ca.issue(tmp_path, "proxy"))
    with connect_proxy(CREDENTIALS, context) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("FAIRLEAD_AGENT_PROXY_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.setenv("FAIRLEAD_AGENT_PROXY_CA", str(tmp_path / "proxy-ca.pem"))
        monkeypatch.setenv("FAIRLEAD_AGENT_CONNECTIONS", "2")
        monkeypatch.setenv("FAIRLEAD_AGENT_GUARD_USERS", "demo@*")
        monkeypatch.setenv("FAIRLEAD_AGENT_GUARD_GROUPS", "toy:admins")
        monkeypatch.setenv("FAIRLEAD_AGENT_GUARD_READ_ONLY", "true")
        with running_stack(tmp_path, host="[::1]") as stack:
            eventually(lambda: len(agents(stack)) == 2, what="two sessions")
            assert set(proxy.asked) == {f"::1:{stack.bound.agents}"}
            assert {it["address"] for it in agents(stack)} == {"::1"}
            size = 8 * 1024 * 1024
            assert len(stack.door.ask("GET", f"/toy/bytes?size={size}").body) == size

            refused = stack.door.ask("DELETE", "/api/v1/namespaces/demo/pods/harbour-master")
            assert (refused.status, refused.code) == (403, "AGENT_REFUSED")
            assert b"only reading is allowed in this cluster" in refused.body
            guards = {it["guard"] for it in agents(stack)}
            assert guards == {"users: demo@*; groups: toy:admins; only reading"}

            proxy.cut()
            eventually(lambda: len(proxy.asked) == 4, 60, "both sessions being dialled again")
            eventually(stack.works, what="a request going all the way")
            assert CREDENTIALS.partition(":")[2] not in "".join(stack.agent.said)
            eventually(lambda: any(it["guard_refused"] for it in agents(stack)), what="the refusal being counted")
        assert not proxy.refused


def agents(stack: Stack) -> list[dict[str, Any]]:
    (cluster,) = trio.run(stack.api().call, "GET", "clusters")["items"]
    found: list[dict[str, Any]] = cluster["agents"]
    return found
