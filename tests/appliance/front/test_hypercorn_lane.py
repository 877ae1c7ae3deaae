"""The ASGI application behind Hypercorn: what it can do, and what neither it nor a client can do to the process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage
from wsproto.extensions import PerMessageDeflate

from appliance.front import hypercorn_lane
from appliance.front.asgi_proxy import AsgiCaller
from tests.appliance.front.rig import Talk, fronted, until

pytestmark = pytest.mark.real_clock

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """One page for each thing an application may do."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            await send({"type": (await receive())["type"] + ".complete"})
        return
    if scope["type"] == "websocket":
        await websocket(receive, send)
        return
    path = scope["path"]
    if path == "/fails":
        raise RuntimeError("a defect of the application")
    if path == "/stuck":
        await trio.sleep_forever()
    body = b""
    if path == "/echo":
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
    start = {"type": "http.response.start", "status": 200, "headers": [(b"x-scheme", scope["scheme"].encode())]}
    await send(start)
    if path == "/flood":
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    await send({"type": "http.response.body", "body": body or path.encode(), "more_body": True})
    if path == "/breaks":
        raise RuntimeError("a defect of the application, in the middle of an answer")
    await send({"type": "http.response.body", "body": b"", "more_body": False})
    if path == "/lingers":
        await trio.sleep_forever()


async def websocket(receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"].upper()})


def page(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


async def get(talk: Talk, raw: bytes) -> tuple[int, bytes]:
    await talk.say(raw)
    said = await talk.answer()
    return said.status, said.body


async def test_pages_follow_each_other_on_one_connection(tmp_path: Path) -> None:
    async with fronted(tmp_path, app=application) as rig:
        talk = await rig.dial()
        for path in ("/one", "/two"):
            await talk.say(page(path))
            said = await talk.answer()
            assert (said.status, said.body, said["X-Scheme"]) == (200, path.encode(), "https")
        assert await get(talk, page("/echo", "Content-Length: 5", method="POST") + b"hello") == (200, b"hello")
        chunks = b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"
        raw = page("/echo", "Transfer-Encoding: chunked", method="POST") + chunks
        assert await get(talk, raw) == (200, b"hello!")


async def test_a_defect_of_the_application_is_500_and_ends_nothing_else(tmp_path: Path) -> None:
    async with fronted(tmp_path, app=application) as rig:
        other = await rig.dial()
        assert (await get(await rig.dial(), page("/fails")))[0] == 500
        assert await get(other, page("/one")) == (200, b"/one")


async def test_an_answer_that_breaks_off_looks_cut(tmp_path: Path) -> None:
    async with fronted(tmp_path, app=application) as rig:
        talk = await rig.dial()
        await talk.say(page("/breaks"))
        await talk.until(b"/breaks\r\n")
        assert await talk.ended() == "cut"


async def test_a_body_nobody_reads_does_not_block_the_answer(tmp_path: Path) -> None:
    """The application's queue holds ten pieces; more would wait for ever, and the answer with them."""
    async with fronted(tmp_path, app=application) as rig:
        talk = await rig.dial()
        status, body = await get(talk, page("/unread", "Content-Length: 200000", method="POST") + b"x" * 200_000)
        assert (status, body) == (200, b"/unread")


async def test_malformed_chunks_are_refused(tmp_path: Path) -> None:
    async with fronted(tmp_path, app=application) as rig:
        talk = await rig.dial()
        raw = page("/echo", "Transfer-Encoding: chunked", method="POST") + b"zz\r\n"
        assert (await get(talk, raw))[0] == 400
        assert await talk.ended() == "goodbye"


async def test_a_slow_body_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypercorn_lane, "BODY_SECONDS", 0.1)
    async with fronted(tmp_path, app=application) as rig:
        talk = await rig.dial()
        assert (await get(talk, page("/echo", "Content-Length: 5", method="POST") + b"he"))[0] == 408
        assert await talk.ended() == "goodbye"


async def test_h2c_is_not_offered(tmp_path: Path) -> None:
    async with fronted(tmp_path, app=application) as rig:
        raw = page("/one", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
        assert await get(await rig.dial(), raw) == (200, b"/one")


async def test_a_websocket_speaks_and_bytes_after_its_request_are_no_threat(tmp_path: Path) -> None:
    """Stock Hypercorn ends the process on the first byte after the upgrade request."""
    async with fronted(tmp_path, app=application) as rig:
        talk = await rig.dial()
        peer = WSConnection(ConnectionType.CLIENT)
        hello = peer.send(Request(host="localhost", target="/ws", extensions=[PerMessageDeflate()]))
        await talk.say(hello + b"\x81\x85\x00\x00\x00\x00early")
        said: list[str] = []
        with trio.fail_after(15):
            while said != ["EARLY", "LATER"]:
                peer.receive_data(await talk.stream.receive_some())
                for event in peer.events():
                    if isinstance(event, AcceptConnection):
                        assert event.extensions == [], "compression is never agreed to"
                        await talk.say(peer.send(TextMessage("later")))
                    elif isinstance(event, TextMessage):
                        said.append(event.data)
            await talk.say(peer.send(CloseConnection(1000)))
            while True:
                data = await talk.stream.receive_some()
                if not data:
                    break
        assert await get(await rig.dial(), page("/one")) == (200, b"/one")


async def test_noise_on_a_websocket_ends_that_websocket(tmp_path: Path) -> None:
    async with fronted(tmp_path, app=application) as rig:
        talk = await rig.dial()
        await talk.say(WSConnection(ConnectionType.CLIENT).send(Request(host="localhost", target="/ws")))
        assert (await talk.head()).status == 101
        await talk.say(b"\xff" * 1000)
        with trio.fail_after(15):
            try:
                while await talk.stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass
        assert await get(await rig.dial(), page("/one")) == (200, b"/one")


async def test_connections_that_close_do_not_linger(tmp_path: Path) -> None:
    async with fronted(tmp_path, app=application) as rig:
        for _ in range(20):
            talk = await rig.dial()
            await get(talk, page("/one"))
            await talk.stream.aclose()
        with trio.fail_after(15):
            await until(lambda: not rig.front.connections)


@pytest.mark.parametrize("path", ["/stuck", "/flood"])
async def test_a_client_that_leaves_ends_the_application(tmp_path: Path, path: str) -> None:
    async with fronted(tmp_path, app=application) as rig:
        talk = await rig.dial()
        await talk.say(page(path))
        await until(lambda: any(it.serving for it in rig.front.watcher.clients()))
        talk.stream.abort()
        with trio.fail_after(15):
            await until(lambda: not rig.front.connections)


async def test_stopping_does_not_wait_for_a_client_that_does_not_read(tmp_path: Path) -> None:
    async with fronted(tmp_path, app=application) as rig:
        talk = await rig.dial()
        await talk.say(page("/flood"))
        await trio.sleep(0.2)
        with trio.fail_after(15):
            rig.front.stop(0)
            await until(lambda: not rig.front.connections)


async def test_an_application_that_lingers_does_not_hold_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hypercorn_lane, "APPLICATION_SECONDS", 0.1)
    async with fronted(tmp_path, app=application) as rig:
        talk = await rig.dial()
        assert await get(talk, page("/lingers")) == (200, b"/lingers")
        assert await get(talk, page("/one")) == (200, b"/one")


async def test_a_kubeconfig_credential_outside_the_proxy_path_learns_the_two_forms_that_work(tmp_path: Path) -> None:
    async with fronted(tmp_path, app=application) as rig:
        talk = await rig.dial()
        status, body = await get(talk, page("/api/v1/pods", f"Authorization: Bearer {rig.token}"))
        assert status == 403
        assert b"kubectl get --raw /api/proxy/cl_1/" in body
        assert b"kubectl proxy --" in body
        assert await get(talk, page("/one", "Authorization: Bearer some-machine-token")) == (200, b"/one")


async def test_the_help_link_leads_somewhere(tmp_path: Path) -> None:
    async with fronted(tmp_path, app=application) as rig:
        talk = await rig.dial()
        status, body = await get(talk, page("/help/errors/TUNNEL_LOST"))
        assert status == 200
        assert b"may have been carried out" in body
        assert (await get(talk, page("/help/errors/NOTHING")))[0] == 404


async def test_quart_trio_answers_here(tmp_path: Path) -> None:
    from quart_trio import QuartTrio

    app = QuartTrio("test")

    @app.route("/hello")
    async def hello() -> str:
        return "hello"

    async with fronted(tmp_path, app=app) as rig:
        talk = await rig.dial()
        assert await get(talk, page("/hello")) == (200, b"hello")
        assert (await get(talk, page("/nothing")))[0] == 404


async def test_a_body_that_breaks_off_is_not_its_end() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    block = SimpleNamespace(has_body=True)
    client: Any = SimpleNamespace(address="::1", asked=SimpleNamespace(block=block))
    send: Any = None
    caller = AsgiCaller(client, receive, send)
    with pytest.raises(trio.BrokenResourceError):
        await caller.read_body()
    assert not caller.body_ended
