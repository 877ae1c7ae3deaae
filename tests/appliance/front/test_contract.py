"""What a client of the proxy path may rely on, whichever lane serves it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from appliance.core.events import EventType
from appliance.core.safe_headers import SAFE_HEADERS
from appliance.front.parts import Lane
from tests.appliance.front.rig import CLUSTER, JSON, answer, answers_hello, fronted, revoke
from wire.frames import ResetCode
from wire.heads import ResponseHead
from wire.session import Exchange

pytestmark = [
    pytest.mark.real_clock,
    pytest.mark.parametrize("lane", ["express", "hypercorn"]),
    pytest.mark.usefixtures("way"),
]


async def test_a_get_reaches_the_cluster_as_the_person_and_its_answer_comes_back(tmp_path: Path, lane: Lane) -> None:
    seen: list[Exchange] = []

    async def agent(tunnel: Exchange) -> None:
        seen.append(tunnel)
        await answers_hello(tunnel)

    async with fronted(tmp_path, agent, lane=lane) as rig:
        said = await rig.ask("/api/v1/namespaces/web/pods?limit=500", "Accept: application/json", "Cookie: a=b")

        assert (said.status, said.body) == (200, b'{"hello":"world"}')
        assert not [name for name, _ in SAFE_HEADERS if name in said]  # an answer of a cluster is its own
        tunnel = seen[0]
        assert (tunnel.request.method, tunnel.request.target) == (b"GET", b"/api/v1/namespaces/web/pods?limit=500")
        assert tunnel.request.headers == ((b"Accept", b"application/json"),)
        assert (tunnel.identity.user, tunnel.identity.groups) == (b"alice", (b"editors",))
        closed = await rig.event(EventType.PROXY_CLOSED)
        assert (closed.actor, closed.verb, closed.resource, closed.namespace) == ("alice", "list", "pods", "web")
        assert (closed.status, closed.bytes_out, closed.correlation_id) == (200, 17, said["X-Correlation-Id"])


async def test_a_second_request_uses_the_same_connection(tmp_path: Path, lane: Lane) -> None:
    async with fronted(tmp_path, lane=lane) as rig:
        talk = await rig.dial()
        for _ in range(3):
            await talk.say(rig.get("/api/v1/pods"))
            assert (await talk.answer()).status == 200


async def test_pipelined_requests_are_answered_in_order(tmp_path: Path, lane: Lane) -> None:
    async def agent(tunnel: Exchange) -> None:
        await answer(tunnel, 200, tunnel.request.target)

    async with fronted(tmp_path, agent, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(b"".join(rig.get(f"/api/v1/pods/{n}") for n in range(5)))
        assert [(await talk.answer()).body for _ in range(5)] == [b"/api/v1/pods/%d" % n for n in range(5)]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_body_streams_up_and_down(tmp_path: Path, lane: Lane, chunked: bool) -> None:
    async def agent(tunnel: Exchange) -> None:
        await tunnel.send_head(ResponseHead(200, JSON))
        while piece := await tunnel.receive_some():
            await tunnel.send_all(piece)
        await tunnel.send_eof()

    body = bytes(range(256)) * 4096
    async with fronted(tmp_path, agent, lane=lane) as rig:
        talk = await rig.dial()
        got: list[bytes] = []

        async def send() -> None:
            if chunked:
                await talk.say(rig.get("/api/v1/x", "Transfer-Encoding: chunked", method="POST"))
                for start in range(0, len(body), 50_000):
                    piece = body[start : start + 50_000]
                    await talk.say(b"%x\r\n%b\r\n" % (len(piece), piece))
                await talk.say(b"0\r\n\r\n")
            else:
                await talk.say(rig.get("/api/v1/x", f"Content-Length: {len(body)}", method="POST") + body)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            got.append((await talk.answer()).body)

        assert got == [body]
        assert (await rig.event(EventType.PROXY_OPENED)).verb == "create"
        closed = await rig.event(EventType.PROXY_CLOSED)
        assert (closed.bytes_in, closed.bytes_out) >= (len(body), len(body))


async def test_each_watch_event_arrives_when_it_happens(tmp_path: Path, lane: Lane) -> None:
    happened = trio.open_memory_channel[bytes](0)

    async def agent(tunnel: Exchange) -> None:
        await tunnel.send_head(ResponseHead(200, JSON))
        async for event in happened[1]:
            await tunnel.send_all(event)
        await tunnel.send_eof()

    async with fronted(tmp_path, agent, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods?watch=1"))
        for number in range(3):
            await happened[0].send(b"event %d\n" % number)
            assert b"event %d\n" % number in await talk.until(b"event %d\n\r\n" % number)
        happened[0].close()
        assert await talk.until(b"0\r\n\r\n")


async def test_a_session_that_is_left_ends_its_watches_cleanly_and_cuts_the_rest(tmp_path: Path, lane: Lane) -> None:
    async def agent(tunnel: Exchange) -> None:
        await tunnel.send_head(ResponseHead(200, JSON))
        await tunnel.send_all(b"so far\n")
        await trio.sleep_forever()

    async with fronted(tmp_path, agent, lane=lane) as rig:
        watch, log = await rig.dial(), await rig.dial()
        await watch.say(rig.get("/api/v1/pods?watch=1"))
        await log.say(rig.get("/api/v1/namespaces/a/pods/p/log?follow=true"))
        for talk in (watch, log):
            await talk.until(b"so far\n\r\n")
        rig.tunnel.drain(0.1)
        assert await watch.until(b"0\r\n\r\n") == b"0\r\n\r\n"
        assert await log.ended() == "cut"
        ended = [await rig.event(EventType.PROXY_CLOSED) for _ in range(2)]
        assert {event.verb: event.code for event in ended} == {"watch": "", "get": "TUNNEL_LOST"}


@pytest.mark.parametrize(
    ("path", "status", "content"),
    [("/api/v1/namespaces/a/pods", 400, "application/json"), ("/apis/x", 403, "text/plain; charset=utf-8")],
)
async def test_malformed_chunks_get_one_answer(
    tmp_path: Path, lane: Lane, path: str, status: int, content: str
) -> None:
    async def agent(tunnel: Exchange) -> None:
        with suppress(trio.BrokenResourceError):
            while await tunnel.receive_some():
                pass

    async with fronted(tmp_path, agent, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get(path, "Transfer-Encoding: chunked", method="POST") + b"5\r\nhello\r\nzz\r\n")
        said = await talk.answer()
        assert (said.status, said["X-Fairlead-Error-Code"], said["Content-Type"]) == (status, "BAD_REQUEST", content)
        assert b"hexadecimal" in said.body
        assert await talk.ended() == "goodbye"
        closed = await rig.event(EventType.PROXY_CLOSED)
        assert (closed.status, closed.code) == (status, "BAD_REQUEST")
        assert closed.correlation_id == said["X-Correlation-Id"]


async def test_the_head_of_a_watch_does_not_wait_for_its_first_event(tmp_path: Path, lane: Lane) -> None:
    async def agent(tunnel: Exchange) -> None:
        await tunnel.send_head(ResponseHead(200, JSON))
        await trio.sleep_forever()

    async with fronted(tmp_path, agent, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods?watch=1"))
        with trio.fail_after(15):
            assert (await talk.head()).status == 200


WATCH = "/api/v1/pods?watch=1"


@pytest.mark.parametrize(
    ("path", "kind", "sent", "told"),
    [
        (WATCH, b"application/json;as=Table;v=v1;g=meta.k8s.io;stream=watch", b'{"type":"ADDED"}\n', True),
        (WATCH, b"application/json", b"", True),
        (WATCH, b"application/json", b'{"type":', False),
        (WATCH, b"application/vnd.kubernetes.protobuf;stream=watch", b"event\n", False),
        ("/api/v1/pods", b"application/json", b"{}\n", False),
        ("/api/v1/namespaces/a/pods/x/log?follow=true", b"text/plain", b"line\n", False),
    ],
)
async def test_a_watch_in_json_is_told_why_it_ends_and_all_else_is_cut(
    tmp_path: Path, lane: Lane, path: str, kind: bytes, sent: bytes, told: bool
) -> None:
    """Only between two events: what is cut in the middle of one must look cut."""

    async def agent(tunnel: Exchange) -> None:
        await tunnel.send_head(ResponseHead(200, ((b"Content-Type", kind),)))
        if sent:
            await tunnel.send_all(sent)
        await trio.sleep_forever()

    async with fronted(tmp_path, agent, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get(path))
        await talk.until(sent + b"\r\n" if sent else b"\r\n\r\n")
        revoke(rig.store.snapshot)
        if told:
            event = (await talk.until(b"0\r\n\r\n")).split(b"\r\n")[1]
            shown = json.loads(event)
            assert (shown["type"], shown["object"]["kind"], shown["object"]["code"]) == ("ERROR", "Status", 401)
            assert "was revoked" in shown["object"]["message"]
            assert event.endswith(b"\n")
            assert await talk.ended() == "goodbye"
        else:
            assert await talk.ended() == "cut"
        closed = await rig.event(EventType.PROXY_CLOSED)
        assert (closed.status, closed.code) == (200, "CREDENTIAL_REVOKED")


async def test_a_stopping_appliance_ends_a_watch_with_its_last_chunk(tmp_path: Path, lane: Lane) -> None:
    async def agent(tunnel: Exchange) -> None:
        await tunnel.send_head(ResponseHead(200, JSON))
        await tunnel.send_all(b"event\n")
        await trio.sleep_forever()

    async with fronted(tmp_path, agent, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get(WATCH))
        await talk.until(b"event\n\r\n")
        rig.front.stop(0)
        assert await talk.until(b"0\r\n\r\n") == b"0\r\n\r\n"
        assert await talk.ended() == "goodbye"


async def test_head_keeps_the_length_and_has_no_body(tmp_path: Path, lane: Lane) -> None:
    async def agent(tunnel: Exchange) -> None:
        assert tunnel.answer_nowait(ResponseHead(200, ((b"Content-Length", b"1234"),)), b"")

    async with fronted(tmp_path, agent, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods", method="HEAD"))
        said = await talk.answer(b"HEAD")
        assert said["Content-Length"] == "1234"
        await talk.say(rig.get("/api/v1/pods", method="HEAD"))
        assert (await talk.answer(b"HEAD")).status == 200


@pytest.mark.parametrize(("promised", "sent"), [(b"10", b"12345"), (None, b"12345")])
async def test_a_truncated_answer_looks_truncated(tmp_path: Path, lane: Lane, promised: bytes, sent: bytes) -> None:
    """No last chunk, no close_notify."""
    cut = trio.Event()

    async def agent(tunnel: Exchange) -> None:
        headers = ((b"Content-Length", promised),) if promised else ()
        await tunnel.send_head(ResponseHead(200, headers))
        await tunnel.send_all(sent)
        await cut.wait()
        tunnel.reset(ResetCode.TRUNCATED, "the API server closed early")

    async with fronted(tmp_path, agent, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods"))
        await talk.until(sent if promised else sent + b"\r\n")
        cut.set()
        assert await talk.ended() == "cut"
        closed = await rig.event(EventType.PROXY_CLOSED)
        assert (closed.status, closed.code) == (200, "UPSTREAM_LOST")


async def test_an_answer_that_ends_before_its_length_looks_truncated(tmp_path: Path, lane: Lane) -> None:
    """Although its agent says that it has ended."""
    go = trio.Event()

    async def agent(tunnel: Exchange) -> None:
        await tunnel.send_head(ResponseHead(200, ((b"Content-Length", b"10"),)))
        await tunnel.send_all(b"12345")
        await go.wait()
        await tunnel.send_eof()

    async with fronted(tmp_path, agent, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods"))
        await talk.until(b"12345")
        go.set()
        assert await talk.ended() == "cut"


async def test_set_cookie_from_a_cluster_stops_here(tmp_path: Path, lane: Lane) -> None:
    async def agent(tunnel: Exchange) -> None:
        await answer(tunnel, 200, b"x", ((b"Set-Cookie", b"a=b"), (b"Warning", b'299 - "old"')))

    async with fronted(tmp_path, agent, lane=lane) as rig:
        said = await rig.ask("/api/v1/pods")
        assert "Set-Cookie" not in said
        assert said["Warning"] == '299 - "old"'


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [("/api/v1/pods", 502, "application/json"), ("/apis", 502, "text/plain; charset=utf-8")],
)
async def test_without_an_agent_the_user_is_told_in_a_form_kubectl_shows(
    tmp_path: Path, lane: Lane, path: str, status: int, kind: str
) -> None:
    async with fronted(tmp_path, lane=lane, connected=False) as rig:
        said = await rig.ask(path)
        assert (said.status, said["Content-Type"]) == (status, kind)
        assert said["X-Fairlead-Error-Code"] == "AGENT_NOT_CONNECTED"
        assert said["X-Fairlead-Error-Meta-clusterId"] == CLUSTER
        assert b"The agent of cluster prod is not connected" in said.body


async def test_no_credential_is_401_with_everything_a_client_needs(tmp_path: Path, lane: Lane) -> None:
    async with fronted(tmp_path, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(b"GET /api/proxy/cl_1/api/v1/pods HTTP/1.1\r\nHost: x\r\nCookie: token=x\r\n\r\n")
        said = await talk.answer()
        assert (said.status, said["WWW-Authenticate"]) == (401, 'Bearer realm="fairlead"')
        assert json.loads(said.body)["reason"] == "Unauthorized"
        assert said["Link"] == '<https://fairlead.example.com/help/errors/AUTHENTICATION_REQUIRED>; rel="help"'
        assert said["traceresponse"].split("-")[1] == said["X-Correlation-Id"]


async def test_revoked_is_refused_and_recorded(tmp_path: Path, lane: Lane) -> None:
    async with fronted(tmp_path, lane=lane) as rig:
        revoke(rig.store.snapshot)
        said = await rig.ask("/api/v1/pods")
        assert (said.status, said["X-Fairlead-Error-Code"]) == (401, "CREDENTIAL_REVOKED")
        denied = await rig.event(EventType.PROXY_DENIED)
        assert (denied.code, denied.actor, denied.verb) == ("CREDENTIAL_REVOKED", "alice", "list")


async def test_impersonation_is_refused_with_a_sentence_that_helps(tmp_path: Path, lane: Lane) -> None:
    async with fronted(tmp_path, lane=lane) as rig:
        said = await rig.ask("/api/v1/pods", "Impersonate_User: admin")
        assert (said.status, said["X-Fairlead-Error-Code"]) == (400, "RESERVED_HEADER")
        assert "drop --as" in json.loads(said.body)["message"]


async def test_another_expectation_is_refused(tmp_path: Path, lane: Lane) -> None:
    async with fronted(tmp_path, lane=lane) as rig:
        assert (await rig.ask("/api/v1/pods", "Expect: the-unexpected")).status == 417


async def test_100_continue_follows_the_decision(tmp_path: Path, lane: Lane) -> None:
    async def agent(tunnel: Exchange) -> None:
        body = b""
        while piece := await tunnel.receive_some():
            body += piece
        await answer(tunnel, 201, body)

    async with fronted(tmp_path, agent, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/x", "Content-Length: 5", "Expect: 100-continue", method="POST"))
        assert await talk.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await talk.say(b"hello")
        said = await talk.answer()
        assert (said.status, said.body) == (201, b"hello")

        revoke(rig.store.snapshot)
        await talk.say(rig.get("/api/v1/x", "Content-Length: 5", "Expect: 100-continue", method="POST"))
        assert (await talk.answer()).status == 401, "no 100 before a refusal"


async def test_an_early_answer_arrives_although_the_body_goes_on(tmp_path: Path, lane: Lane) -> None:
    async def agent(tunnel: Exchange) -> None:
        await tunnel.receive_some()
        tunnel.stop()
        await answer(tunnel, 413, b"too much")

    async with fronted(tmp_path, agent, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/x", "Content-Length: 100000000", method="POST"))
        got = []

        async def flood() -> None:
            try:
                while True:
                    await talk.say(b"x" * 65536)
            except trio.BrokenResourceError:
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            got.append(await talk.answer())
            nursery.cancel_scope.cancel()
        assert (got[0].status, got[0].body) == (413, b"too much")


@pytest.mark.parametrize(
    ("code", "status", "name"),
    [
        (ResetCode.REFUSED, 403, "AGENT_REFUSED"),
        (ResetCode.UPSTREAM_UNREACHABLE, 502, "UPSTREAM_UNREACHABLE"),
        (ResetCode.UPSTREAM_TLS, 502, "UPSTREAM_TLS_FAILED"),
        (ResetCode.UPSTREAM_TIMEOUT, 504, "UPSTREAM_TIMEOUT"),
        (ResetCode.UPSTREAM_LOST, 502, "UPSTREAM_LOST"),
        (ResetCode.UPSTREAM_CREDENTIAL, 502, "AGENT_CREDENTIAL_REFUSED"),
        (ResetCode.BUSY, 503, "TUNNEL_BUSY"),
        (ResetCode.INTERNAL, 502, "TUNNEL_LOST"),
    ],
)
async def test_each_reset_is_told_in_its_own_words(
    tmp_path: Path, lane: Lane, code: ResetCode, status: int, name: str
) -> None:
    async def agent(tunnel: Exchange) -> None:
        tunnel.reset(code, "a reason")

    async with fronted(tmp_path, agent, lane=lane) as rig:
        said = await rig.ask("/api/v1/pods")
        assert (said.status, said["X-Fairlead-Error-Code"]) == (status, name)
        closed = await rig.event(EventType.PROXY_CLOSED)
        assert (closed.status, closed.code) == (status, name)


async def test_a_client_that_leaves_ends_its_request_at_the_agent(tmp_path: Path, lane: Lane) -> None:
    asked, ended = trio.Event(), trio.Event()

    async def agent(tunnel: Exchange) -> None:
        asked.set()
        try:
            await tunnel.head()
        except trio.BrokenResourceError:
            ended.set()

    async with fronted(tmp_path, agent, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods?watch=1"))
        with trio.fail_after(10):
            await asked.wait()
            talk.stream.abort()
            with trio.fail_after(15):
                await ended.wait()
        closed = await rig.event(EventType.PROXY_CLOSED)
        assert closed.verb == "watch"


async def test_losing_a_right_ends_a_running_stream(tmp_path: Path, lane: Lane) -> None:
    async def agent(tunnel: Exchange) -> None:
        await tunnel.send_head(ResponseHead(200))
        await tunnel.send_all(b"first")
        await trio.sleep_forever()

    async with fronted(tmp_path, agent, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods?watch=1"))
        await talk.until(b"first\r\n")
        revoke(rig.store.snapshot)
        with trio.fail_after(15):
            assert await talk.ended() == "cut"
        closed = await rig.event(EventType.PROXY_CLOSED)
        assert (closed.status, closed.code) == (200, "CREDENTIAL_REVOKED")


async def test_a_refused_head_request_gets_no_body(tmp_path: Path, lane: Lane) -> None:
    async with fronted(tmp_path, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods", "Audit-ID: x", method="HEAD"))
        assert (await talk.answer(b"HEAD")).status == 400
        await talk.say(rig.get("/api/v1/pods"))
        assert (await talk.answer()).status == 200


async def test_http_1_0_gets_a_streamed_answer_without_chunks(tmp_path: Path, lane: Lane) -> None:
    async def agent(tunnel: Exchange) -> None:
        await tunnel.send_head(ResponseHead(200))
        await tunnel.send_all(b"one")
        await trio.sleep(0.05)
        await tunnel.send_all(b"two")
        await tunnel.send_eof()

    async with fronted(tmp_path, agent, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods").replace(b"HTTP/1.1", b"HTTP/1.0"))
        said = await talk.answer()
        assert (said.status, said.body) == (200, b"onetwo")
