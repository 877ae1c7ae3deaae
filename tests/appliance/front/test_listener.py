"""The listener against peers that are malformed, slow, silent, many, or all at once. Others must not notice."""

from __future__ import annotations

import resource
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from appliance.front import client, listener
from tests.appliance.front.rig import Rig, answer, fronted, revoke, until
from wire.heads import ResponseHead
from wire.session import Exchange

pytestmark = [pytest.mark.real_clock, pytest.mark.usefixtures("way")]

HOST = b"Host: x\r\n"

MALFORMED = {
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST * 2 + b"\r\n",
    "absolute form": b"GET http://x/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "connect": b"CONNECT x:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "both framings": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
    "two lengths": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a signed length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +3\r\n\r\nabc",
    "another coding": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "a hidden coding": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding : chunked\r\n\r\n",
    "chunked in 1.0": b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n",
    "upgrade with a body": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
    "folding": b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n",
    "bare line feed": b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
    "only line feeds": b"GET / HTTP/1.1\nHost: x\n\n",
    "nul": b"GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n",
    "h2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "noise": b"\x16\x03\x01 noise\r\n\r\n",
}


async def still_serves(rig: Rig) -> None:
    assert (await rig.ask("/api/v1/pods")).status == 200


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_head_is_refused_and_its_connection_ends(tmp_path: Path, name: str) -> None:
    async with fronted(tmp_path) as rig:
        talk = await rig.dial()
        await talk.say(MALFORMED[name] + b"GET /api/proxy/cl_1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        said = await talk.answer()
        assert (said.status, said["X-Fairlead-Error-Code"], said["Connection"]) == (400, "BAD_REQUEST", "close")
        assert await talk.ended() == "goodbye"
        assert not rig.ledger.events, "nothing behind a malformed head is a request"
        await still_serves(rig)


async def test_the_cached_form_of_a_head_does_not_hide_a_bad_request_line(tmp_path: Path) -> None:
    async with fronted(tmp_path) as rig:
        talk = await rig.dial()
        good = rig.get("/api/v1/pods")
        await talk.say(good)
        assert (await talk.answer()).status == 200
        await talk.say(good.replace(b"/api/v1/pods ", b"/api/v1/pods#x "))
        assert (await talk.answer()).status == 400


@pytest.mark.parametrize("filler", [b"A: " + b"x" * 70_000, b"A: x\r\n" * 200 + b"\r\n"])
async def test_large_heads_are_refused(tmp_path: Path, filler: bytes) -> None:
    async with fronted(tmp_path) as rig:
        talk = await rig.dial()
        await talk.say(b"GET / HTTP/1.1\r\n" + HOST + filler)
        assert (await talk.answer()).status == 431
        assert await talk.ended() == "goodbye"


async def test_malformed_chunks_are_refused_before_an_answer(tmp_path: Path) -> None:
    async def agent(tunnel: Exchange) -> None:
        while await tunnel.receive_some():
            pass

    async with fronted(tmp_path, agent) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/x", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhello\r\nzz\r\n")
        said = await talk.answer()
        assert (said.status, said["X-Fairlead-Error-Code"]) == (400, "BAD_REQUEST")
        assert await talk.ended() == "goodbye"


@pytest.mark.interpreted
async def test_a_slow_head_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "HEAD_SECONDS", 0.1)
    async with fronted(tmp_path) as rig:
        talk = await rig.dial()
        await talk.say(b"GET / HTTP/1.1\r\nHost:")
        said = await talk.answer()
        assert (said.status, said["X-Fairlead-Error-Code"]) == (408, "REQUEST_TIMEOUT")
        assert await talk.ended() == "goodbye"


@pytest.mark.interpreted
async def test_an_idle_connection_is_closed_politely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "IDLE_SECONDS", 0.1)
    async with fronted(tmp_path) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods"))
        assert (await talk.answer()).status == 200
        assert await talk.ended() == "goodbye"


async def test_who_does_not_speak_tls_is_dropped(tmp_path: Path) -> None:
    async with fronted(tmp_path) as rig:
        stream = await trio.open_tcp_stream("127.0.0.1", rig.port)
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with trio.fail_after(listener.HANDSHAKE_SECONDS - 2):
            try:
                while await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass  # reset, because we said more than was read
        await stream.aclose()
        await still_serves(rig)


async def test_silent_connections_hold_no_handshake_slot(tmp_path: Path) -> None:
    async with fronted(tmp_path) as rig:
        silent = [await trio.open_tcp_stream("127.0.0.1", rig.port) for _ in range(listener.HANDSHAKES * 2)]
        with trio.fail_after(listener.HANDSHAKE_SECONDS - 2):
            await still_serves(rig)
        for stream in silent:
            await stream.aclose()


async def test_one_address_cannot_hold_every_handshake(tmp_path: Path) -> None:
    """A byte of a ClientHello from each of many connections, all of one address; others come in at once."""
    async with fronted(tmp_path) as rig:
        hoarders = [await dial_from("127.0.0.2", rig.port) for _ in range(listener.HANDSHAKES * 2)]
        for stream in hoarders:
            await stream.send_all(b"\x16")
        await until(lambda: len(rig.front.handshakes))
        with trio.fail_after(listener.HANDSHAKE_SECONDS / 2):
            await still_serves(rig)
        for stream in hoarders:
            await stream.aclose()
        await until(lambda: not len(rig.front.handshakes))


async def test_who_gave_up_in_the_queue_takes_no_turn(tmp_path: Path) -> None:
    async with fronted(tmp_path) as rig, AsyncExitStack() as held:
        for number in range(listener.HANDSHAKES):
            await held.enter_async_context(rig.front.handshakes.held(str(number)))
        async with await dial_from("127.0.0.2", rig.port) as impatient:
            await impatient.send_all(b"\x16")
            await until(lambda: len(rig.front.handshakes) > listener.HANDSHAKES)
        begun = rig.handshakes
        await held.aclose()
        await until(lambda: not len(rig.front.handshakes))
        assert rig.handshakes == begun


async def test_many_clients_behind_one_address_come_in_in_turn(tmp_path: Path) -> None:
    async with fronted(tmp_path) as rig, trio.open_nursery() as nursery:
        for _ in range(listener.HANDSHAKES * 2):
            nursery.start_soon(still_serves, rig)


async def dial_from(address: str, port: int) -> trio.SocketStream:
    sock = trio.socket.socket()
    await sock.bind((address, 0))
    await sock.connect(("127.0.0.1", port))
    return trio.SocketStream(sock)


async def test_a_handshake_that_stops_halfway_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "HANDSHAKE_SECONDS", 0.1)
    async with fronted(tmp_path) as rig:
        stream = await trio.open_tcp_stream("127.0.0.1", rig.port)
        await stream.send_all(b"\x16\x03\x01")
        with trio.fail_after(8):
            assert await stream.receive_some() == b""
        await stream.aclose()


async def test_beyond_the_limit_connections_wait_for_their_turn(tmp_path: Path) -> None:
    async with fronted(tmp_path, max_connections=1) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods"))
        assert (await talk.answer()).status == 200
        served = trio.Event()

        async def second() -> None:
            await still_serves(rig)
            served.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(second)
            with trio.move_on_after(0.1):
                await served.wait()
            assert not served.is_set()
            await talk.stream.aclose()
            with trio.fail_after(15):
                await served.wait()


async def test_running_out_of_descriptors_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The limit is lowered under a running front until accepting fails, and raised again."""
    async with fronted(tmp_path) as rig:
        before = await rig.dial()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        waiting = await trio.open_tcp_stream("127.0.0.1", rig.port)
        spare = trio.socket.socket()
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (spare.fileno() + 1, hard))
            await spare.connect(("127.0.0.1", rig.port))
            await before.say(rig.get("/api/v1/pods"))
            assert (await before.answer()).status == 200, "those who are in notice nothing"
            await until(lambda: "connections cannot be accepted now" in caplog.text)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            spare.close()
            await waiting.aclose()
        await still_serves(rig)
        assert caplog.text.count("connections cannot be accepted now") == 1


async def test_a_flood_on_one_connection_leaves_the_loop_to_others(tmp_path: Path) -> None:
    """Between two turns of another task a flooding connection gets a bounded share."""
    async with fronted(tmp_path) as rig:
        talk = await rig.dial()
        revoke(rig.store.snapshot)  # a refusal costs no tunnel: nothing is cheaper to ask for
        worst = 0

        async def heartbeat() -> None:
            nonlocal worst
            seen = len(rig.ledger.events)
            while True:
                await trio.lowlevel.checkpoint()
                worst = max(worst, len(rig.ledger.events) - seen)
                seen = len(rig.ledger.events)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(heartbeat)
            nursery.start_soon(talk.say, rig.get("/api/v1/pods") * 2000)
            for _ in range(2000):
                assert (await talk.answer()).status in {401, 429}
            nursery.cancel_scope.cancel()
        assert 0 < worst <= 32


@pytest.mark.parametrize("headers", [(), ("Connection: keep-alive",)])
async def test_http_1_0_is_answered_until_the_close(tmp_path: Path, headers: tuple[str, ...]) -> None:
    async def agent(tunnel: Exchange) -> None:
        await tunnel.send_head(ResponseHead(200))
        await tunnel.send_all(b"one ")
        await trio.sleep(0.01)
        await tunnel.send_all(b"two")
        await tunnel.send_eof()

    async with fronted(tmp_path, agent) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods", *headers).replace(b"HTTP/1.1", b"HTTP/1.0"))
        said = await talk.answer()
        assert (said.body, "Transfer-Encoding" in said) == (b"one two", False)


async def test_stopping_ends_a_watch_cleanly_and_refuses_nobody_halfway(tmp_path: Path) -> None:
    async def agent(tunnel: Exchange) -> None:
        if b"watch" in tunnel.request.target:
            await tunnel.send_head(ResponseHead(200))
            await tunnel.send_all(b"event")
        await trio.sleep_forever()

    async with fronted(tmp_path, agent) as rig:
        watch, waiting, resting = await rig.dial(), await rig.dial(), await rig.dial()
        await watch.say(rig.get("/api/v1/pods?watch=1"))
        await watch.until(b"event\r\n")
        await waiting.say(rig.get("/api/v1/pods"))
        await until(lambda: rig.tunnel.in_flight == 2)
        rig.front.stop(0.2)
        assert await resting.ended() == "goodbye"
        assert await watch.until(b"0\r\n\r\n")
        assert await watch.ended() == "goodbye"
        assert (await waiting.answer())["X-Fairlead-Error-Code"] == "SHUTTING_DOWN"


async def test_a_request_behind_a_body_is_heard_though_tls_alone_knows_of_it(tmp_path: Path) -> None:
    """Its head shares a TLS record with the body's end, so the kernel has nothing more to tell."""

    async def agent(tunnel: Exchange) -> None:
        size = 0
        while data := await tunnel.read():
            size += len(data)
        await answer(tunnel, 200, b"%d" % size)

    async with fronted(tmp_path, agent) as rig:
        talk = await rig.dial()
        size = 200_000
        post = rig.get("/api/v1/namespaces/a/configmaps", f"Content-Length: {size}", method="POST")
        await talk.say(post + bytes(size) + rig.get("/api/v1/pods"))
        assert (await talk.answer()).body == b"%d" % size
        assert (await talk.answer()).body == b"0"
