"""session: exchanges a second and CPU per exchange of the bare tunnel; bulk MB/s of one exchange.

Means: the cost of wire/ itself, each end in a process of its own, over real TLS 1.3 on loopback: OPEN with kubectl's
headers and an identity, an answer of 2 KiB in one frame. What a change of the wire core saves or costs shows here
first. Bulk is one exchange of 256 MiB in pieces of 64 KiB.

Could mislead: at concurrency 1 each exchange pays for every wake-up and system call alone, at 32 and 256 the writer
gathers many frames into one; a real request meets both worlds. Two processes on two cores leave nothing for the rest
of a chain, so exchanges a second are an upper bound. The appliance's CPU includes the asking loop (one Trio task per
concurrent exchange) that stands for the front. The agent's CPU comes from /proc in ticks of 10 ms.
"""

from __future__ import annotations

import json
import statistics
import sys
from typing import Any

from benchmarks.goals import figure
from benchmarks.processes import running, until
from benchmarks.scenarios import Options
from tests.support.certificates import TestCA

CONCURRENCY = (1, 32, 256)
JUDGED = 32
SECONDS = 3.0
ROUNDS = 3
REST_SECONDS = 60.0  # for the start, the warm-up and 256 MiB: many times what they take


async def run(options: Options) -> dict[str, Any]:
    """Measure in fresh processes each round."""
    rounds = [await _round(options, number) for number in range(options.rounds)]
    summary: list[dict[str, Any]] = []
    for position, first in enumerate(rounds[0]):
        keys = [key for key in first if key not in {"kind", "concurrency"}]
        row: dict[str, Any] = {key: statistics.median(done[position][key] for done in rounds) for key in keys}
        row |= {key: first[key] for key in ("kind", "concurrency") if key in first}
        summary.append(row)
        if first["kind"] == "bulk":
            print(
                f"bulk {row['mb_per_second']:.0f} MB/s, CPU s per GiB: "
                f"appliance {row['appliance_cpu_per_gib']:.2f}, agent {row['agent_cpu_per_gib']:.2f}"
            )
        else:
            print(
                f"concurrency {row['concurrency']:>3}: {row['per_second']:>6.0f} exchanges/s, CPU µs per exchange: "
                f"appliance {row['appliance_us']:.0f}, agent {row['agent_us']:.0f}"
            )
    found = []
    for position, row in enumerate(summary):
        mine = [done[position] for done in rounds]
        if row["kind"] == "bulk":
            found.append(figure("bare tunnel, one exchange", "MB/s", [it["mb_per_second"] for it in mine]))
        elif row["concurrency"] == JUDGED:
            for end in ("appliance", "agent"):
                values = [it[f"{end}_us"] for it in mine]
                found.append(figure(f"bare tunnel, CPU of one exchange, {JUDGED} at once: {end}", "µs", values))
    return {"figures": found, "summary": summary, "rounds": rounds}


async def _round(options: Options, number: int) -> list[dict[str, Any]]:
    directory = options.directory / f"session-{number}"
    directory.mkdir()
    ca = TestCA.make("benchmark CA")
    ca.issue(directory, "server")
    (directory / "ca.pem").write_text(ca.pem)
    (directory / "plan.json").write_text(json.dumps({"seconds": options.seconds, "concurrency": CONCURRENCY}))
    module = [sys.executable, "-m", "benchmarks.leash", sys.executable, "-m", "benchmarks.session_end"]
    log = directory / "appliance.log"
    longest = len(CONCURRENCY) * options.seconds + REST_SECONDS
    async with running("appliance", [*module, "appliance", str(directory)], log) as opener:
        await until("the listener", (directory / "port").exists, opener, log)
        async with running("agent", [*module, "agent", str(directory)], directory / "agent.log"):
            results = directory / "results.json"
            await until("the results", results.exists, opener, log, seconds=longest)
            measured: list[dict[str, Any]] = json.loads(results.read_text())
            return measured
