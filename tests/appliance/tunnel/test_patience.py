"""Who waits for the loop: until it has nothing else to do, but not for ever, and in order."""

from __future__ import annotations

import math

import pytest
import trio
import trio.testing

from appliance.tunnel.patience import Patience

pytestmark = pytest.mark.real_clock


async def passed(patience: Patience, into: list[str], name: str) -> None:
    await patience.turn()
    into.append(name)


async def checkpoints(number: int) -> None:
    for _ in range(number):
        await trio.lowlevel.checkpoint()


async def test_strangers_wait_while_anybody_can_run_and_come_in_by_turns_then() -> None:
    patience, came = Patience(0, math.inf), list[str]()
    async with trio.open_nursery() as nursery:
        for name in ("first", "second", "third"):
            nursery.start_soon(passed, patience, came, name)
            await checkpoints(2)
        await checkpoints(100)
        assert came == []
        with trio.fail_after(15):
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert came == ["first", "second", "third"]


async def test_a_loop_that_never_rests_lets_them_in_nevertheless() -> None:
    patience, came = Patience(0, 0.001), list[str]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(passed, patience, came, "first")
        nursery.start_soon(passed, patience, came, "second")
        with trio.fail_after(15):
            while len(came) < 2:
                await trio.lowlevel.checkpoint()


async def test_two_have_no_turn_at_once_however_idle_the_loop_is() -> None:
    patience, came = Patience(1000, math.inf), list[str]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(passed, patience, came, "first")
        nursery.start_soon(passed, patience, came, "second")
        await trio.testing.wait_all_tasks_blocked(0.01)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(came) == 1
        nursery.cancel_scope.cancel()


async def test_one_that_gives_up_gives_its_place_to_the_next() -> None:
    patience, came = Patience(0, math.inf), list[str]()
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(0):
            await patience.turn()
        nursery.start_soon(passed, patience, came, "next")
    assert came == ["next"]
