"""A crowd of agents dials in the same moment: all come in, handshakes stay bounded, who is connected is served on."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
import trio

from agent.identity import Identity
from agent.outbound import Place, shake_hands
from appliance.tunnel import listener
from appliance.tunnel.patience import Patience
from tests.appliance.front.test_listener import dial_from
from tests.appliance.tunnel.rig import CLUSTER, Harbour, harbour
from tests.appliance.tunnel.test_listener import run, until, works
from wire.contexts import client_context
from wire.opening import dial_session

pytestmark = pytest.mark.real_clock

CROWD = 60


class Highest(trio.abc.Instrument):
    """The most handshakes that ever went on between two steps of the loop."""

    def __init__(self, here: Harbour) -> None:
        self._here = here
        self.seen = 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.seen = max(self.seen, self._here.parts.handshakes.taken)


class Counted(Patience):
    """Counts the turns."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = 0

    async def turn(self) -> None:
        self.turns += 1
        await super().turn()


async def arrive(here: Harbour, identity: Identity, number: int) -> None:
    tcp = await dial_from(f"127.1.0.{number + 1}", here.port)
    context = client_context(
        here.authority.certificate_pem, certificate=(identity.certificate_path, identity.key_path), alpn=["h2"]
    )
    stream = await shake_hands(tcp.socket, context, Place.parse(here.url))
    await run(await dial_session(stream, b"agents.example.com", f"agent {number}"))


async def test_who_gave_up_in_the_queue_takes_no_turn(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here, AsyncExitStack() as held:
        for number in range(listener.HANDSHAKE_SLOTS):
            await held.enter_async_context(here.parts.handshakes.held(str(number)))
        async with await dial_from("127.1.0.1", here.port) as impatient:
            await impatient.send_all(b"\x16")
            await until(lambda: len(here.parts.handshakes) > listener.HANDSHAKE_SLOTS)
        here.parts.patience = Patience(1000)
        await here.parts.patience.turn()  # the next turn is far away
        await held.aclose()
        await until(lambda: not len(here.parts.handshakes))


async def test_all_that_is_computed_for_a_stranger_has_turns_and_nothing_for_a_session(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here, trio.open_nursery() as nursery:
        identity = await here.enrolled()
        counted = here.parts.patience = Counted()
        nursery.start_soon(run, await here.dial(identity))
        await until(lambda: here.registry.session_for(CLUSTER))
        assert counted.turns == 4, "two for the handshake, one for the request, one for the session"
        assert await works(here)
        assert counted.turns == 4
        nursery.cancel_scope.cancel()


async def test_a_crowd_comes_in_a_few_at_a_time_and_nobody_else_is_held_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.tunnel.registry.MAX_SESSIONS_PER_CLUSTER", CROWD + 1)
    async with harbour(tmp_path) as here, trio.open_nursery() as nursery:
        identity = await here.enrolled()
        nursery.start_soon(run, await here.dial(identity))
        await until(lambda: here.registry.session_for(CLUSTER))
        highest = Highest(here)
        trio.lowlevel.add_instrument(highest)

        for number in range(CROWD):
            nursery.start_soon(partial(arrive, here, identity, number))
        served = 0
        with trio.fail_after(30):
            while len(list(here.registry.sessions())) < CROWD + 1:
                assert await works(here)
                served += 1

        assert served, "whoever is connected is served meanwhile"
        assert highest.seen == listener.HANDSHAKE_SLOTS, "the crowd fills the slots, and never more"
        trio.lowlevel.remove_instrument(highest)
        nursery.cancel_scope.cancel()
