"""arrivals: a thousand agents dial one appliance at the same moment, beside kubectl's traffic to a cluster connected.

Means: the product's own dialler for a thousand clusters (real TLS, a client certificate and an address each), all let
go at once with no jitter; an appliance that stays up; and one more cluster, connected by `fairlead agent` and an
upstream, which is asked 100 times a second over kept connections and 10 times a second over a new one each, at planned
moments, latency from those. p99 of a calm stretch, p99 from the moment they are let go until the last is connected,
and their ratio. How many handshakes went on at once is what the appliance's own /metrics says, looked at once in the
storm: a look at a thousand clusters costs the loop some milliseconds, and Prometheus looks every half minute.

Could mislead: the thousand diallers are one process on the same two cores as the appliance, the agent, the upstream and
the asking client. That process has nice 19 (in its autogroup, too), so it gets what the others leave: the ratio speaks
about the appliance, and the time until all are there has the colony's own waiting in it; a thousand machines would be
faster, and would press harder. A storm is some seconds long: its p99 is the slowest dozen of a thousand answers.
"""

from __future__ import annotations

import statistics
import threading
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from benchmarks import fairlead, nginx
from benchmarks.agents import Colony, colony
from benchmarks.fairlead import Chain, Wishes
from benchmarks.goals import figure
from benchmarks.open_loop import answered, dialled
from benchmarks.processes import cpu_seconds
from benchmarks.scenarios import Options
from tests.support.certificates import TestCA
from tests.support.meter import Meter

ROUNDS = 3
SECONDS = 10.0  # of calm before each storm
AGENTS = 1000
PER_SECOND = {"kept": 100, "new": 10}
LOOK_SHARE = 10  # when a tenth is there, the storm is at its height
LOOK_SECONDS = 0.1
IN_PROGRESS = 'fairlead_handshakes_in_progress{listener="agents"}'

Answers = dict[str, list[tuple[float, float]]]


@dataclass(frozen=True, slots=True)
class Storm:
    """One: when it began and was over, what was answered before and meanwhile, and what the appliance showed."""

    began: float
    over: float
    half: float
    cpu_ms: float
    handshakes: float
    answers: Answers

    def p99(self, kind: str, *, calm: bool) -> float:
        """Of the answers that were due in the calm, or in the storm; in ms."""
        taken = [
            took for due, took in self.answers[kind] if (due < self.began if calm else self.began <= due < self.over)
        ]
        return statistics.quantiles(taken, n=100)[98]


async def run(options: Options) -> dict[str, Any]:
    """Connect one cluster; then, round by round, a calm and a storm."""
    return await measured(options, AGENTS)


async def measured(options: Options, agents: int) -> dict[str, Any]:
    """The same, with so many."""
    storms = [await _round(options, agents, number) for number in range(options.rounds)]
    found = []
    for kind in PER_SECOND:
        calm, stormy = ([it.p99(kind, calm=which) for it in storms] for which in (True, False))
        ratios = [one / other for one, other in zip(stormy, calm, strict=True)]
        found.append(figure(f"{kind} connections: p99, calm", "ms", calm))
        found.append(figure(f"{kind} connections: p99 in the storm", "ms", stormy))
        goal = "arrivals-p99" if kind == "kept" else ""
        found.append(figure(f"{kind} connections: p99 in the storm ÷ calm", "× calm", ratios, goal))
    found.append(
        figure(
            f"{agents:,} agents let go at once: all connected", "s", [it.over - it.began for it in storms], "arrivals"
        )
    )
    found.append(figure("half of them", "s", [it.half - it.began for it in storms]))
    found.append(figure("most handshakes at once, as the appliance shows them", "", [it.handshakes for it in storms]))
    found.append(figure("CPU of one arrival, the traffic included: appliance", "ms", [it.cpu_ms for it in storms]))
    return {"figures": found}


async def _round(options: Options, agents: int, number: int) -> Storm:
    async with AsyncExitStack() as stack:
        directory = options.directory / str(number)
        directory.mkdir()
        upstream = await stack.enter_async_context(nginx.upstream(directory, TestCA.make("benchmark CA")))
        chain = await stack.enter_async_context(fairlead.wished(directory, upstream, Wishes(name="arrivals")))
        crowd = await stack.enter_async_context(
            colony(directory / "crowd", chain.serving, clusters=agents, agents=agents, held=True)
        )
        return await storm(chain, crowd, calm_seconds=options.seconds)


async def storm(chain: Chain, crowd: Colony, *, calm_seconds: float) -> Storm:
    """Ask for so long, then let the crowd go and ask until all of it is connected."""
    load = chain.load(nginx.SMALL_PATH)
    done = threading.Event()
    answers: Answers = {}

    plans = {
        "kept": partial(answered, load, per_second=PER_SECOND["kept"], more=lambda _: not done.is_set()),
        "new": partial(dialled, load, per_second=PER_SECOND["new"], done=done),
    }

    async def ask(kind: str) -> None:
        answers[kind] = await trio.to_thread.run_sync(plans[kind])

    meter = Meter("127.0.0.1", chain.serving.ports.health)
    seen = [0.0]
    async with trio.open_nursery() as asking:
        for kind in plans:
            asking.start_soon(ask, kind)
        await trio.sleep(calm_seconds)
        cpu = cpu_seconds(chain.appliance.pid)
        began = crowd.let_go()
        async with trio.open_nursery() as looking:
            looking.start_soon(_look, crowd, meter, seen)
            await crowd.all_there(0.0)
            looking.cancel_scope.cancel()
        spent = cpu_seconds(chain.appliance.pid) - cpu
        done.set()
    return Storm(
        began,
        crowd.moment(0.0),
        crowd.moment(0.0, crowd.agents // 2),
        1e3 * spent / crowd.agents,
        max(seen),
        answers,
    )


async def _look(crowd: Colony, meter: Meter, seen: list[float]) -> None:
    while not crowd.moment(0.0, crowd.agents // LOOK_SHARE):  # noqa: ASYNC110 # a file has no event to wait for
        await trio.sleep(LOOK_SECONDS)
    numbers = await trio.to_thread.run_sync(meter.read)
    seen.append(numbers[IN_PROGRESS])
