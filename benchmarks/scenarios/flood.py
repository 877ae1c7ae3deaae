"""flood: how long a flooding peer keeps the appliance's loop from a task that wants a turn every 10 ms.

Means: sixteen connections that say the same thing as fast as it is taken, one kind after the other: pages and requests
with a good credential, pipelined; TLS handshakes begun and left; HTTP/2 settings from a stranger; frames from an agent
with a good certificate; health probes. The task runs in the appliance itself (benchmarks.launch) and notes the longest
delay on the clock, and the most work the loop did between two of its turns.

Could mislead: the flooders need the same two cores, so the clock also shows how long the kernel let the appliance
wait: with the process's own work beside it, the difference is the machine's. It is the worst of some hundred beats,
and one pause of the whole machine is enough to be it; the median of the rounds is judged.
"""

from __future__ import annotations

import json
import statistics
import time
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import trio

from benchmarks import fairlead, nginx
from benchmarks.fairlead import Chain, Wishes
from benchmarks.goals import figure
from benchmarks.scenarios import Options
from benchmarks.talk import request
from tests.support.certificates import TestCA
from tests.support.flood import HTTP2_OPENING, HTTP2_SETTINGS, Flood, client_hello, flooding, text
from wire import frames

SECONDS = 4.0
ROUNDS = 3
BEGIN_SECONDS = 1.5  # until all connections of a flood have begun

PAGE = b"GET /help/X HTTP/1.1\r\nHost: x\r\n\r\n"
PROBE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
PING = frames.encode_ping(b"1")


async def run(options: Options) -> dict[str, Any]:
    """Flood with each kind in every round, and once with nothing."""
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(nginx.upstream(options.directory, TestCA.make("benchmark CA")))
        wishes = Wishes(name="flooded", module=("benchmarks.launch", "heartbeat"))
        chain = await stack.enter_async_context(fairlead.wished(options.directory, upstream, wishes))
        kinds: dict[str, Flood | None] = {"nothing": None, **_kinds(chain)}
        rounds = [
            {name: await _watched(chain, flood, options.seconds) for name, flood in kinds.items()}
            for _ in range(options.rounds)
        ]
    for name in kinds:
        late, busy = (statistics.median(done[name][key] for done in rounds) for key in ("late", "busy"))
        print(f"{name:<22} delay {late:>6.1f} ms, work of the loop {busy:>6.1f} ms")
    floods = [name for name in kinds if name != "nothing"]
    found = [
        figure("delay of a heartbeat, worst kind of flood", "ms", _worst(rounds, floods, "late"), "flood"),
        figure("work between two turns, worst kind", "ms", _worst(rounds, floods, "busy")),
        figure("delay of a heartbeat without a flood", "ms", [done["nothing"]["late"] for done in rounds]),
    ]
    return {"figures": found, "rounds": rounds}


def _worst(rounds: list[dict[str, dict[str, float]]], kinds: list[str], key: str) -> list[float]:
    return [max(done[name][key] for name in kinds) for done in rounds]


def _kinds(chain: Chain) -> dict[str, Flood]:
    ports, pem, home = chain.serving.ports, chain.ca_pem, chain.serving.home
    good = request(chain.load(nginx.SMALL_PATH))
    agent = str(home / "agent" / "agent.crt"), str(home / "agent" / "agent.key")
    return {
        "pages": Flood(ports.users, burst=text(PAGE * 2000), ca_pem=pem),
        "requests to a cluster": Flood(ports.users, burst=text(good * 500), ca_pem=pem),
        "begun handshakes": Flood(ports.users, opening=text(client_hello("http/1.1")), again=True),
        "a stranger's HTTP/2": Flood(ports.agents, text(HTTP2_OPENING), text(HTTP2_SETTINGS * 4000), pem, alpn="h2"),
        "an agent's frames": Flood(
            ports.agents, "", text(PING * (60_000 // len(PING))), pem, *agent, alpn="h2", tunnel=True
        ),
        "probes": Flood(ports.health, opening=text(PROBE), again=True),
    }


async def _watched(chain: Chain, flood: Flood | None, seconds: float) -> dict[str, float]:
    with ExitStack() as ending:
        if flood is not None:
            ending.enter_context(flooding(flood))
        await trio.sleep(BEGIN_SECONDS)
        began = time.monotonic()
        await trio.sleep(seconds)
        told = _told(chain.serving.home / "appliance-watched", began)
        if not told:
            return {"late": 1e3 * seconds, "busy": 1e3 * seconds}  # it did not even get round to saying so
        return {key: 1e3 * max(line[key] for line in told) for key in ("late", "busy")}


def _told(path: Path, since: float) -> list[dict[str, float]]:
    lines: list[dict[str, float]] = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if line["at"] > since]
