"""When an identity is renewed, on a clock of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from agent import renewal
from agent.enrolment import EnrolmentRefusedError
from agent.identity import Identity
from agent.renewal import Renewal
from agent.reporting import Reporter
from wire.calls import trust_mark

DAY = 86_400.0
LIFE = 30 * DAY


def issued(at: float, ca_pem: str = "one CA") -> Identity:
    return Identity("c", "https://a.example.com", ca_pem, "spent", Path("crt"), Path("key"), at + LIFE, at, LIFE)


@dataclass
class World:
    """An identity, how often it was renewed, and when. Time is Trio's, which the tests turn."""

    stored: Identity | None
    refusals: int = 0
    at: list[float] = field(default_factory=list)
    heard: int = 0
    found: trio.Event = field(default_factory=trio.Event)

    def __post_init__(self) -> None:
        if self.stored is not None:
            self.found.set()

    async def renew(self, identity: Identity) -> Identity:
        await trio.lowlevel.checkpoint()
        self.at.append(trio.current_time())
        if self.refusals:
            self.refusals -= 1
            raise EnrolmentRefusedError("Not now.", final=False)
        self.stored = issued(trio.current_time(), "two CAs")
        return self.stored

    def renewed(self) -> None:
        self.heard += 1


@pytest.fixture
def reporter(monkeypatch: pytest.MonkeyPatch) -> Reporter:
    monkeypatch.setattr(renewal, "wall_seconds", trio.current_time)
    return Reporter(None, version="1", guard="", refused=lambda: 0, look_seconds=1)  # type: ignore[arg-type]  # unused


async def run_for(world: World, reporter: Reporter, seconds: float) -> None:
    with trio.move_on_after(seconds):
        await Renewal(lambda: world.stored, world.renew, reporter, world.renewed, world.found).run()


async def test_it_is_renewed_after_a_third_of_each_life_a_little_later_in_each_agent(reporter: Reporter) -> None:
    world = World(issued(trio.current_time()))
    began = trio.current_time()

    await run_for(world, reporter, 23 * DAY)

    first, second = (at - began for at in world.at)
    assert 10 * DAY <= first <= 11 * DAY + 60
    assert 10 * DAY <= second - first <= 11 * DAY + 60
    assert world.heard == 2


async def test_it_is_tried_until_it_is_done(reporter: Reporter) -> None:
    world = World(issued(trio.current_time() - 10.99 * DAY), refusals=3)

    await run_for(world, reporter, 1.2 * DAY)

    assert len(world.at) == 4
    assert all(1800 <= later - at <= 3600 for at, later in zip(world.at, world.at[1:], strict=False))
    assert world.heard == 1


async def test_it_is_renewed_soon_when_other_authorities_are_to_be_trusted(reporter: Reporter) -> None:
    world = World(issued(trio.current_time()))
    reporter.trust = trust_mark("two CAs")

    await run_for(world, reporter, DAY)

    assert len(world.at) == 1, "once, and then it trusts them"
    assert world.heard == 1


async def test_one_that_is_never_given_the_cas_it_is_to_trust_does_not_ask_without_end(reporter: Reporter) -> None:
    """One appliance names a set of CAs, another gives certificates and has not heard of it."""
    world = World(issued(trio.current_time()))
    reporter.trust = trust_mark("three CAs")

    await run_for(world, reporter, DAY)

    assert 24 <= len(world.at) <= 49, "once or twice an hour"


async def test_nothing_is_renewed_before_there_is_an_identity_nor_one_that_a_new_bundle_replaced(
    reporter: Reporter,
) -> None:
    world = World(None)
    await run_for(world, reporter, 600)
    assert not world.at

    world.stored = issued(trio.current_time())
    world.found.set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_for, world, reporter, 12 * DAY)
        await trio.sleep(9 * DAY)
        world.stored = issued(trio.current_time())
    assert not world.at
    assert world.heard == 1, "other sessions may stand on the older one"
