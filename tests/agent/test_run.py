"""The whole agent against the agents' listener and an API server: enrol, carry, come back, stop."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import trio

from agent import dialling, identity, reporting
from agent.config import Bounds, Config
from agent.identity import wall_seconds
from agent.run import run
from appliance.core.events import EventType
from appliance.core.liveness import AgentLink
from appliance.store import units
from appliance.store.clock import utc_micros
from daemon.values import Address
from tests.agent.rig import Caller, everything, ok, staged
from tests.appliance.tunnel.rig import CLUSTER, Harbour, harbour
from tests.support.pair import ALICE, get
from wire.heads import RequestHead
from wire.session import ExchangeReset, SessionDraining, SessionLost

pytestmark = pytest.mark.real_clock


@dataclass
class World:
    here: Harbour
    config: Config
    stop: trio.Event
    probe: int = 0

    async def fetch(self, target: bytes = b"/api/v1/pods") -> bytes:
        """A GET as the front makes one: once more on another session if the first one left."""
        try:
            return await self._fetch(target)
        except (SessionLost, ExchangeReset):
            return await self._fetch(target)

    async def _fetch(self, target: bytes) -> bytes:
        session = self.here.registry.session_for(CLUSTER)
        assert session is not None
        async with session.open(get(target), ALICE, has_body=False) as exchange:
            await exchange.head()
            return await exchange.receive_some()

    async def ready(self) -> bool:
        async with await trio.open_tcp_stream("127.0.0.1", self.probe) as stream:
            await stream.send_all(b"GET /readyz HTTP/1.1\r\n\r\n")
            return b"200 OK" in await stream.receive_some()


async def until(condition: Callable[[], object], seconds: float = 30) -> None:
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.01)


REPEATS = 3000  # of a target: an answer of some 50 KiB
posts: list[bytes] = []


class Slow:
    """A request that is answered when the test says so."""

    def __init__(self) -> None:
        self.asked, self.may_answer = trio.Event(), trio.Event()


slow = Slow()


async def api_server(caller: Caller) -> None:
    while head := await caller.head():
        if b"/slow" in head:
            slow.asked.set()
            await slow.may_answer.wait()
        if b"GET /version" in head:
            await caller.say(ok(b'{"gitVersion": "v1.33.1"}'))
            continue
        if head.startswith(b"POST /api/post"):
            await caller.body(4)
            target = head.split(b" ")[1]
            posts.append(target)
            await caller.say(ok(target * REPEATS))
            continue
        await caller.say(ok(b"pods" if b"Impersonate-User: alice@example.com" in head else b"whose?"))


@asynccontextmanager
async def world(tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "upstream").mkdir()
    (tmp_path / "appliance").mkdir()
    slow.asked, slow.may_answer = trio.Event(), trio.Event()
    async with harbour(tmp_path / "appliance") as here, staged(tmp_path / "upstream", api_server) as stage:
        bundle = await here.bundle()
        config = Config(bundle, tmp_path / "data", stage.settings, Bounds(), Address("127.0.0.1", 0), 5)
        yield World(here, config, trio.Event())


async def start(it: World, nursery: trio.Nursery, session_bytes: int = dialling.SESSION_BYTES) -> trio.Event:
    """Run the agent; the event is set when it has returned."""
    done = trio.Event()

    async def running(task_status: trio.TaskStatus[list[trio.SocketListener]]) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(done.set)
            settings = {"catch_signals": False, "stop": it.stop, "session_bytes": session_bytes}
            await run(it.config, **settings, task_status=task_status)  # type: ignore[arg-type]  # of several types

    (probe, *_) = await nursery.start(running)
    it.probe = probe.socket.getsockname()[1]
    await until(lambda: it.here.registry.session_for(CLUSTER))
    return done


async def test_a_damaged_identity_is_said_and_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with world(tmp_path) as it, trio.open_nursery() as nursery:
        it.config.data_dir.mkdir(mode=0o700)
        (it.config.data_dir / "credential.json").write_text("{")
        (probe, *_) = await nursery.start(partial(run, it.config, catch_signals=False, stop=it.stop))
        await until(lambda: "is damaged: remove it, and enrol with a new bundle" in caplog.text)

        async with await trio.open_tcp_stream("127.0.0.1", probe.socket.getsockname()[1]) as stream:
            await stream.send_all(b"GET /metrics HTTP/1.1\r\n\r\n")
            page = b"".join([piece async for piece in stream])
        assert b"fairlead_agent_certificate_expiry_timestamp_seconds 0.0" in page
        nursery.cancel_scope.cancel()


async def test_an_agent_enrols_connects_and_carries_requests(tmp_path: Path) -> None:
    async with world(tmp_path) as it, trio.open_nursery() as nursery:
        await start(it, nursery)

        assert await it.fetch() == b"pods"
        assert await it.ready()
        nursery.cancel_scope.cancel()


async def test_it_says_of_itself_how_it_is_and_whose_clock_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reporting, "wall_seconds", lambda: wall_seconds() + 500)
    async with world(tmp_path) as it, trio.open_nursery() as nursery:
        await start(it, nursery)

        def link() -> AgentLink:
            state = it.here.registry.state(CLUSTER)
            assert state is not None
            return state.agents[0]

        await until(lambda: link().report is not None and "clock" in caplog.text)
        said = link().report
        assert said is not None
        assert (said.kubernetes, said.fault, said.guard, said.refused) == ("v1.33.1", "", "", 0)
        assert 499 <= said.skew_seconds <= 501
        assert "s ahead of the appliance's: check NTP on both" in caplog.text
        assert link().name.startswith("fairlead-agent/")
        assert link().days_left(utc_micros()) == pytest.approx(30, abs=0.1)
        nursery.cancel_scope.cancel()


async def test_it_comes_back_after_its_session_was_lost(tmp_path: Path) -> None:
    async with world(tmp_path) as it, trio.open_nursery() as nursery:
        await start(it, nursery)
        for _, session in it.here.registry.sessions():
            session.abort()
        await until(lambda: it.here.registry.session_for(CLUSTER) is None)

        await until(lambda: it.here.registry.session_for(CLUSTER))

        assert await it.fetch() == b"pods"
        nursery.cancel_scope.cancel()


async def test_it_dials_again_when_the_appliance_drains_its_session(tmp_path: Path) -> None:
    async with world(tmp_path) as it, trio.open_nursery() as nursery:
        await start(it, nursery)
        ((_, old),) = it.here.registry.sessions()
        old.drain(5)

        await until(lambda: any(session is not old for _, session in it.here.registry.sessions()))
        await until(lambda: not old.alive)

        assert await it.fetch() == b"pods"
        nursery.cancel_scope.cancel()


async def test_a_stopping_agent_lets_open_requests_finish(tmp_path: Path) -> None:
    async with world(tmp_path) as it, trio.open_nursery() as nursery:
        done = await start(it, nursery)
        answers: list[bytes] = []

        async def ask() -> None:
            answers.append(await it.fetch(b"/api/slow"))

        nursery.start_soon(ask)
        await slow.asked.wait()
        ((_, session),) = it.here.registry.sessions()
        it.stop.set()
        await until(lambda: session.draining)
        slow.may_answer.set()

        with trio.fail_after(15):
            await done.wait()
        assert answers == [b"pods"]


async def test_a_revoked_agent_comes_back_with_a_new_bundle(tmp_path: Path) -> None:
    async with world(tmp_path) as it, trio.open_nursery() as nursery:
        await start(it, nursery)
        await it.here.store.write(units.raise_generation(CLUSTER, utc_micros()))
        await until(lambda: it.here.registry.session_for(CLUSTER) is None)

        await it.here.bundle()

        await until(lambda: it.here.registry.session_for(CLUSTER), seconds=20)
        assert await it.fetch() == b"pods"
        nursery.cancel_scope.cancel()


async def test_a_session_is_replaced_before_it_ends_and_nobody_notices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialling, "SESSION_SECONDS", 0.6)
    monkeypatch.setattr(dialling, "STABLE_SECONDS", 0.1)
    async with world(tmp_path) as it, trio.open_nursery() as nursery:
        await start(it, nursery)
        seen: set[str] = set()
        with trio.fail_after(10):
            while len(seen) < 3:
                seen.update(session.id for _, session in it.here.registry.sessions())
                assert await it.fetch() == b"pods"
        nursery.cancel_scope.cancel()


async def test_a_session_that_has_carried_enough_is_replaced_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under load, with requests that nobody may repeat: only what was not started goes to the next session."""
    monkeypatch.setattr(dialling, "VOLUME_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(dialling, "STABLE_SECONDS", 0.0)
    posts.clear()
    seen: set[str] = set()
    posted: list[bytes] = []

    async def works(it: World, number: int) -> None:
        count = 0
        while len(seen) < 5:
            count += 1
            mark = b"/api/post/%d/%d" % (number, count)
            assert await posted_once(it, mark) == mark * REPEATS
            posted.append(mark)
            seen.update(session.id for _, session in it.here.registry.sessions())

    async with world(tmp_path) as it, trio.open_nursery() as nursery:
        await start(it, nursery, session_bytes=4 * 1024 * 1024)
        with trio.fail_after(60):
            async with trio.open_nursery() as load:
                for number in range(16):
                    load.start_soon(works, it, number)
        nursery.cancel_scope.cancel()
    assert sorted(posts) == sorted(posted), "each reached the API server exactly once"


async def posted_once(it: World, target: bytes) -> bytes:
    """A POST as the front makes one: elsewhere only if it was not started."""
    while True:
        session = it.here.registry.session_for(CLUSTER)
        assert session is not None
        head = RequestHead(b"POST", target, ((b"Content-Length", b"4"),))
        try:
            async with session.open(head, ALICE, has_body=True) as exchange:
                await exchange.send_all(b"body")
                await exchange.send_eof()
                await exchange.head()
                return await everything(exchange)
        except SessionDraining:
            await trio.sleep(0.01)
        except ExchangeReset as error:
            assert error.not_started


async def test_a_certificate_is_renewed_in_time_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "STABLE_SECONDS", 0.0)
    async with world(tmp_path) as it, trio.open_nursery() as nursery:
        monkeypatch.setattr(identity, "RENEW_AT", 0.0)
        await start(it, nursery)
        ((_, first),) = it.here.registry.sessions()

        await until(lambda: EventType.AGENT_RENEWED in it.here.kinds())
        monkeypatch.setattr(identity, "RENEW_AT", 1.0)
        await until(lambda: not first.alive and it.here.registry.session_for(CLUSTER))

        assert await it.fetch() == b"pods"
        assert len(it.here.store.snapshot.serials) >= 2
        nursery.cancel_scope.cancel()
