"""Passes of the loop that are spent, on a clock that only moves when somebody works."""

from __future__ import annotations

import trio
import trio.testing

from wire.passes import PASS_SECONDS, Passes, passes

PIECE_SECONDS = PASS_SECONDS / 2


class WorkClock:
    """Moves by as much as is worked."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float = PIECE_SECONDS) -> None:
        self.now += seconds


def attended() -> tuple[WorkClock, Passes]:
    clock = WorkClock()
    found = Passes(clock)
    found.follow()
    return clock, found


async def test_a_pass_is_spent_by_work_and_begins_anew() -> None:
    clock, found = attended()
    await trio.lowlevel.checkpoint()
    seen = [found.spent]
    clock.work(PASS_SECONDS)
    seen.append(found.spent)
    await trio.lowlevel.checkpoint()
    seen.append(found.spent)
    assert seen == [False, True, False]


async def test_many_hogs_leave_a_pass_short_and_each_gets_its_turn() -> None:
    """What a thousand of them cost between two turns of another task is what two of them cost."""
    clock, found = attended()
    pieces = dict.fromkeys(range(1000), 0)

    async def hog(number: int) -> None:
        while True:
            if found.spent:
                await found.wait()
            clock.work()
            pieces[number] += 1

    worst = 0.0
    async with trio.open_nursery() as nursery:
        for number in pieces:
            nursery.start_soon(hog, number)
        await trio.lowlevel.checkpoint()
        for _ in range(3000):
            before = clock.now
            await trio.lowlevel.checkpoint()
            worst = max(worst, clock.now - before)
        nursery.cancel_scope.cancel()

    assert worst <= 2 * (PASS_SECONDS + 2 * PIECE_SECONDS)
    assert min(pieces.values()) > 0, "nobody starves"
    assert max(pieces.values()) <= 2 * min(pieces.values()) + 2, "nor gets more than others"


async def test_the_queue_moves_on_without_those_who_were_cancelled() -> None:
    _, found = attended()
    passed: list[int] = []

    async def waits(number: int, scope: trio.CancelScope) -> None:
        with scope:
            await found.wait()
            passed.append(number)

    scopes = [trio.CancelScope() for _ in range(5)]
    with trio.fail_after(1):
        async with trio.open_nursery() as nursery:
            for number, scope in enumerate(scopes):
                nursery.start_soon(waits, number, scope)
            for number in (0, 2, 4):  # a first one, one in the middle, the last
                scopes[number].cancel()
    assert sorted(passed) == [1, 3]
    with trio.fail_after(1):
        await found.wait()  # and nobody is left in front


def test_each_run_has_passes_of_its_own() -> None:
    async def both() -> tuple[Passes, Passes]:
        return passes(), passes()

    one, again = trio.run(both)
    other, _ = trio.run(both)
    assert one is again
    assert one is not other
