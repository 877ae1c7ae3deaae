"""What happens to a request when its session, its agent or its answer fails."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from appliance.core.events import EventType
from appliance.core.roles import Role
from appliance.core.snapshot import Entity
from appliance.front.upload import INLINE_BODY_BYTES
from tests.appliance.front.rig import CLUSTER, JSON, Agent, Rig, answers_hello, fronted, now
from tests.support.pair import joined_sessions
from wire.frames import ResetCode
from wire.heads import Headers, Identity, RequestHead, ResponseHead
from wire.session import Exchange

pytestmark = [pytest.mark.real_clock, pytest.mark.usefixtures("way")]


async def loses_its_session(tunnel: Exchange) -> None:
    tunnel._session.abort()
    await trio.lowlevel.checkpoint()


async def is_busy(tunnel: Exchange) -> None:
    tunnel.reset(ResetCode.BUSY, "")


async def with_second_session(rig: Rig, second: Agent, raw: bytes) -> tuple[int, str]:
    """Ask while two sessions are there; the first is less loaded and is taken first."""
    async with joined_sessions(second) as (other, _):
        held = [other.open(_HEAD, _WHO, has_body=False)]
        rig.parts.registry.add(CLUSTER, other, generation=1, serial="2", now=now())
        talk = await rig.dial()
        await talk.say(raw)
        said = await talk.answer()
        held[0].close()
        rig.parts.registry.remove(CLUSTER, other.id, reason="", now=now())
        return said.status, said["X-Fairlead-Error-Code"]


async def second_agent(tunnel: Exchange) -> None:
    if tunnel.request.target == b"/held":
        await trio.sleep_forever()
    await answers_hello(tunnel)


async def test_a_get_without_an_answer_is_tried_once_on_another_session(tmp_path: Path) -> None:
    async with fronted(tmp_path, loses_its_session) as rig:
        assert await with_second_session(rig, second_agent, rig.get("/api/v1/pods")) == (200, "")


async def test_a_get_is_not_tried_a_third_time(tmp_path: Path) -> None:
    async def fails_too(tunnel: Exchange) -> None:
        if tunnel.request.target == b"/held":
            await trio.sleep_forever()
        await loses_its_session(tunnel)

    async with fronted(tmp_path, loses_its_session) as rig:
        assert await with_second_session(rig, fails_too, rig.get("/api/v1/pods")) == (502, "TUNNEL_LOST")


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH"])
async def test_a_change_on_a_lost_session_is_not_repeated(tmp_path: Path, method: str) -> None:
    async with fronted(tmp_path, loses_its_session) as rig:
        raw = rig.get("/api/v1/x", method=method)
        assert await with_second_session(rig, second_agent, raw) == (502, "TUNNEL_LOST")
        assert (await rig.event(EventType.PROXY_CLOSED)).code == "TUNNEL_LOST"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_was_not_started_goes_elsewhere_whatever_it_is(tmp_path: Path, method: str) -> None:
    async with fronted(tmp_path, is_busy) as rig:
        raw = rig.get("/api/v1/x", "Content-Length: 2", method=method) + b"{}"
        assert await with_second_session(rig, second_agent, raw) == (200, "")


@pytest.mark.parametrize(("size", "status"), [(2, 200), (INLINE_BODY_BYTES + 1, 503)])
async def test_a_little_body_goes_along_when_what_was_not_started_goes_elsewhere(
    tmp_path: Path, size: int, status: int
) -> None:
    """It was taken from the client already; a long one is not kept."""
    taken, received = trio.Event(), bytearray()

    async def takes_and_is_busy(tunnel: Exchange) -> None:
        taken.set()
        while await tunnel.receive_some():
            pass
        tunnel.reset(ResetCode.BUSY, "")

    async def receives(tunnel: Exchange) -> None:
        if tunnel.request.target == b"/held":
            await trio.sleep_forever()
        while piece := await tunnel.receive_some():
            received.extend(piece)
        await answers_hello(tunnel)

    async with fronted(tmp_path, takes_and_is_busy) as rig, joined_sessions(receives) as (other, _):
        held = other.open(_HEAD, _WHO, has_body=False)
        rig.parts.registry.add(CLUSTER, other, generation=1, serial="2", now=now())
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/x", f"Content-Length: {size}", method="POST"))
        await taken.wait()
        await talk.say(b"x" * size)
        assert (await talk.answer()).status == status
        assert bytes(received) == (b"x" * size if status == 200 else b"")
        held.close()
        rig.parts.registry.remove(CLUSTER, other.id, reason="", now=now())


async def test_a_lost_session_in_the_middle_of_an_answer_cuts_it(tmp_path: Path) -> None:
    async def agent(tunnel: Exchange) -> None:
        await tunnel.send_head(ResponseHead(200))
        await tunnel.send_all(b"half")
        await trio.sleep_forever()

    async with fronted(tmp_path, agent) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods"))
        await talk.until(b"half\r\n")
        rig.tunnel.abort()
        assert await talk.ended() == "cut"
        assert (await rig.event(EventType.PROXY_CLOSED)).code == "TUNNEL_LOST"


@pytest.mark.parametrize(
    "headers",
    [
        ((b"Content-Length", b"3"),),
        ((b"Content-Length", b"30"),),
        ((b"Content-Length", b"5"), (b"Content-Length", b"5")),
        ((b"Content-Length", b"five"),),
    ],
)
async def test_an_answer_of_another_length_than_it_says_is_no_answer(tmp_path: Path, headers: Headers) -> None:
    async def agent(tunnel: Exchange) -> None:
        assert tunnel.answer_nowait(ResponseHead(200, headers), b"12345")

    async with fronted(tmp_path, agent) as rig:
        said = await rig.ask("/api/v1/pods")
        assert said.status == 502
        assert b"12345" not in said.body


@pytest.mark.parametrize(("status", "code"), [(199, 502), (102, 502)])
async def test_an_interim_answer_is_no_answer(tmp_path: Path, status: int, code: int) -> None:
    async def agent(tunnel: Exchange) -> None:
        tunnel.answer_nowait(ResponseHead(status), b"")

    async with fronted(tmp_path, agent) as rig:
        assert (await rig.ask("/api/v1/pods")).status == code


@pytest.mark.parametrize(("wanted", "sent"), [("TE: trailers", True), ("X: y", False)])
async def test_trailers_reach_only_who_wants_them(tmp_path: Path, wanted: str, sent: bool) -> None:
    async def agent(tunnel: Exchange) -> None:
        await tunnel.send_head(ResponseHead(200, JSON))
        await tunnel.send_all(b"body")
        await tunnel.send_eof(((b"Digest", b"abc"), (b"Content-Length", b"9")))

    async with fronted(tmp_path, agent) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods", wanted))
        tail = await talk.until(b"\r\n\r\n") + await talk.until(b"\r\n\r\n")
        assert tail.endswith(b"0\r\nDigest: abc\r\n\r\n" if sent else b"0\r\n\r\n")


async def test_a_stalled_reader_holds_up_only_itself(tmp_path: Path) -> None:
    async def agent(tunnel: Exchange) -> None:
        if b"big" in tunnel.request.target:
            await tunnel.send_head(ResponseHead(200))
            while True:
                await tunnel.send_all(b"x" * 65536)
        await answers_hello(tunnel)

    async with fronted(tmp_path, agent) as rig:
        stalled = await rig.dial()
        await stalled.say(rig.get("/api/v1/big"))
        for _ in range(20):
            assert (await rig.ask("/api/v1/pods")).status == 200


async def test_a_body_cut_by_its_client_never_looks_whole(tmp_path: Path) -> None:
    begun, cut = trio.Event(), trio.Event()

    async def agent(tunnel: Exchange) -> None:
        try:
            while await tunnel.receive_some():
                begun.set()
        except trio.BrokenResourceError:
            cut.set()

    async with fronted(tmp_path, agent) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/x", "Content-Length: 100000", method="POST") + b"x" * 1000)
        with trio.fail_after(15):
            await begun.wait()
            await talk.stream.aclose()
            await cut.wait()


async def test_a_busy_agent_is_told_as_such(tmp_path: Path) -> None:
    async with fronted(tmp_path, is_busy) as rig:
        said = await rig.ask("/api/v1/pods")
        assert (said.status, said["X-Fairlead-Error-Code"]) == (503, "TUNNEL_BUSY")
        await answer_is_possible_again(rig)


async def answer_is_possible_again(rig: Rig) -> None:
    async with joined_sessions(answers_hello) as (other, _):
        rig.parts.registry.remove(CLUSTER, rig.tunnel.id, reason="", now=now())
        rig.parts.registry.add(CLUSTER, other, generation=1, serial="2", now=now())
        assert (await rig.ask("/api/v1/pods")).status == 200
        rig.parts.registry.remove(CLUSTER, other.id, reason="", now=now())


_HEAD = RequestHead(b"GET", b"/held")
_WHO = Identity(b"alice")


async def test_an_identity_too_large_for_the_tunnel_is_refused_and_costs_no_neighbour(tmp_path: Path) -> None:
    async with fronted(tmp_path) as rig:
        role = Role("ro_1", "edit", groups=tuple(f"group-{number}" for number in range(201)))
        rig.store.snapshot.put(Entity.ROLE, "ro_1", role)
        assert (await rig.ask("/api/v1/pods"))["X-Fairlead-Error-Code"] == "HEADERS_TOO_LARGE"
        assert rig.tunnel.alive
        assert rig.tunnel.in_flight == 0
