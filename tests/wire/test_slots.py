"""Slots of a listener: how many at once, how many of one source, and who is next."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from wire.slots import Slots


class Crowd:
    """Connections that take a slot and keep it until they are let go."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.holding: list[str] = []
        self.most = 0
        self.leave = trio.Event()

    async def come(self, source: str, *, stay: bool = True) -> None:
        async with self.slots.held(source):
            self.holding.append(source)
            self.most = max(self.most, len(self.holding))
            if stay:
                await self.leave.wait()
            else:
                await trio.sleep(1)
            self.holding.remove(source)


async def test_one_source_holds_no_more_than_its_share() -> None:
    crowd = Crowd(Slots(4, 2))
    async with trio.open_nursery() as nursery:
        for source in ("a", "a", "a", "a", "b", "c"):
            nursery.start_soon(crowd.come, source)
            await trio.testing.wait_all_tasks_blocked()
        assert crowd.holding == ["a", "a", "b", "c"]
        crowd.leave.set()
    assert not len(crowd.slots)


async def test_all_of_one_source_get_through_in_turn() -> None:
    crowd = Crowd(Slots(4, 2))
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(lambda: crowd.come("office", stay=False))
    assert trio.current_time() - began == 10
    assert crowd.most == 2


async def test_there_are_no_more_than_there_are() -> None:
    crowd = Crowd(Slots(4, 2))
    async with trio.open_nursery() as nursery:
        for source in range(20):
            nursery.start_soon(crowd.come, str(source))
        await trio.testing.wait_all_tasks_blocked()
        assert crowd.most == 4
        crowd.leave.set()
    assert crowd.most == 4


@pytest.mark.parametrize("waiting", [True, False])
async def test_who_is_cancelled_leaves_nothing_behind(waiting: bool) -> None:
    crowd = Crowd(Slots(2, 1))
    async with trio.open_nursery() as nursery:
        if waiting:
            nursery.start_soon(crowd.come, "a")
            await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1):
            await crowd.come("a")
        crowd.leave.set()
    assert not len(crowd.slots)
    with trio.fail_after(1):
        async with crowd.slots.held("a"), crowd.slots.held("b"):
            pass
