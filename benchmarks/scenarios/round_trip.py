"""round_trip: one exchange over a tunnel with 100 ms round trip: MB/s once it is steady.

Means: an agent on another continent. Appliance and client are in one network namespace, agent and upstream in another,
and every IP packet between the two takes 50 ms each way (benchmarks.far_link: nothing lost, no limit of bandwidth but
the carrier's own speed). One download of 64 MiB counts from its 17th MiB on; one upload counts whole, its ramp
included. Once with the kernel's settings as they come (STOCK), once with larger socket buffers (TUNED): at 100 ms a
connection moves at most its window every 100 ms, and the kernel's part of that window is these settings.

Could mislead: no loss, so congestion control never backs off, as on a good private line and unlike the Internet; it is
the machine's own (its name is in the results) and its packets are of 64 KB. The carrier is a Python process on the same
two cores: when they are busy packets come in bursts. Where there is no TUN device or no right to make namespaces, a
relay holds the bytes back instead and figures begin with "credit only": then the kernel's windows never matter, and a
number says nothing but that our own windows grow far enough.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from benchmarks import far_link
from benchmarks.far_end import ROUND_TRIP_SECONDS
from benchmarks.goals import Figure, figure
from benchmarks.processes import PartFailedError, running, tail, until
from benchmarks.scenarios import Options

ROUNDS = 3
LONGEST_SECONDS = 120.0
STOCK = {"net.ipv4.tcp_rmem": "4096 131072 6291456", "net.ipv4.tcp_wmem": "4096 16384 4194304"}
TUNED = {"net.ipv4.tcp_rmem": "4096 131072 67108864", "net.ipv4.tcp_wmem": "4096 65536 67108864"}


async def run(options: Options) -> dict[str, Any]:
    """Measure with both settings, or with the relay."""
    reason = far_link.missing()
    if reason:
        print(f"{reason}: a relay holds bytes back instead")
        found = {"credit only": await _measured(options, "late", None)}
    else:
        found = {name: await _measured(options, name, its) for name, its in (("tuned", TUNED), ("stock", STOCK))}
    return {"figures": _figures(found), "rounds": found}


def _figures(found: dict[str, list[dict[str, float]]]) -> list[Figure]:
    made = []
    for name, rounds in found.items():
        before = f"{name}: " if name == "credit only" else f"100 ms, {name} kernel: "
        goal = "far" if name == "tuned" else ""
        made.append(figure(before + "download after 16 MiB", "MB/s", [it["down"] for it in rounds], goal))
        made.append(figure(before + "whole upload of 64 MiB", "MB/s", [it["up"] for it in rounds]))
    return made


async def _measured(options: Options, name: str, sysctls: Mapping[str, str] | None) -> list[dict[str, float]]:
    """Let a process at the near end do it: a socket belongs to the namespace of whoever makes it."""
    directory = options.directory / name
    directory.mkdir(mode=0o700)
    out, log = directory / "found.json", directory / "end.log"
    words = [sys.executable, "-m", "benchmarks.leash", sys.executable, "-m", "benchmarks.far_end"]
    words += [str(directory), str(options.rounds), str(out)]
    async with AsyncExitStack() as stack:
        if sysctls is not None:
            link = await stack.enter_async_context(far_link.far_link(directory, ROUND_TRIP_SECONDS, sysctls))
            words = [*link.near, *words, link.far[-1]]
        end = await stack.enter_async_context(running("near end", words, log))
        try:
            await until("the far transfers", out.exists, end, log, seconds=LONGEST_SECONDS)
        except PartFailedError as error:
            said = "\n".join(f"{path.name}:\n{tail(path)}" for path in sorted(directory.rglob("*.log")))
            raise PartFailedError(f"{error}\n{said}") from None
    found: list[dict[str, float]] = json.loads(out.read_text())
    return found
