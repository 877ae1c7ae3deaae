"""One run of wrk: what it was asked, and what it counted.

wrk is a closed loop: a connection sends its next request when the last answer is there. So its latencies are those at
full load and say nothing of a quiet system. It does not check certificates. Path and token reach it in a script of
mode 0600, because a command line can be read by others.
"""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import trio

from benchmarks.nginx import tool
from ops.demo.files import write_private

THREADS = 2
GRACE_SECONDS = 15.0  # what wrk may take beyond its run before it counts as stuck

_SCRIPT = """
wrk.path = {path}
wrk.headers["Accept"] = "application/json"
wrk.headers["User-Agent"] = "kubectl/v1.33.0 (linux/amd64) kubernetes/0000000"
{more}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nCOUNTED {{"requests":%d,"micros":%d,"bytes":%d,"p50_us":%d,"p99_us":%d,"max_us":%d,' ..
    '"socket_errors":%d,"status_errors":%d}}\\n', summary.requests, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(99), latency.max,
    e.connect + e.read + e.write + e.timeout, e.status))
end
"""


_IN_TURN = """
local asked, at = {}, 0
init = function(args)
  for i, path in ipairs(paths) do asked[i] = wrk.format("GET", path) end
end
request = function()
  at = at % #asked + 1
  return asked[at]
end
"""


class LoadFailedError(Exception):
    """wrk met errors: a figure would count answers that are none."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to ask, of whom. `others`: asked in turn with `path`. `ca_pem`: for clients that check; wrk does not."""

    url: str
    path: str
    token: str | None = None
    others: tuple[str, ...] = ()
    ca_pem: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Counted:
    """What wrk saw, and the CPU it took itself (it shares the cores with what it measures)."""

    requests: int
    seconds: float
    bytes: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    own_cpu_seconds: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


async def run(load: Load, directory: Path, *, connections: int, seconds: float) -> Counted:
    """Load `load` for about `seconds` (whole ones: wrk knows no others)."""
    script = directory / "load.lua"
    write_private(script, _SCRIPT.format(path=_lua(load.path), more="\n".join(_more(load))).encode())
    command = [tool("wrk"), "-t", str(min(THREADS, connections)), "-c", str(connections)]
    command += ["-d", f"{max(1, round(seconds))}s", "--timeout", "10s", "-s", str(script), load.url]
    before = _children_cpu()
    try:
        with trio.fail_after(seconds + GRACE_SECONDS):
            done = await trio.run_process(
                command, capture_stdout=True, stderr=subprocess.STDOUT, check=False, cwd=directory
            )
    finally:
        script.unlink(missing_ok=True)
    output = done.stdout.decode(errors="replace")
    counted = next((line for line in output.splitlines() if line.startswith("COUNTED ")), None)
    if counted is None:
        raise LoadFailedError(f"wrk failed:\n{output}")
    found = json.loads(counted.removeprefix("COUNTED "))
    if found["socket_errors"] or found["status_errors"] or not found["requests"]:
        raise LoadFailedError(
            f"{load.url}: of {found['requests']} requests {found['status_errors']} were answered with an error, "
            f"{found['socket_errors']} connections broke"
        )
    return Counted(
        requests=found["requests"],
        seconds=found["micros"] / 1e6,
        bytes=found["bytes"],
        p50_ms=found["p50_us"] / 1e3,
        p99_ms=found["p99_us"] / 1e3,
        max_ms=found["max_us"] / 1e3,
        own_cpu_seconds=_children_cpu() - before,
    )


def _more(load: Load) -> Iterator[str]:
    """The lines of the script that not every load has."""
    if load.token is not None:
        yield f'wrk.headers["Authorization"] = {_lua("Bearer " + load.token)}'
    if load.others:
        yield f"local paths = {{{', '.join(_lua(path) for path in (load.path, *load.others))}}}"
        yield _IN_TURN


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _lua(text: str) -> str:
    """A Lua string; the tokens and paths used here are plain ASCII."""
    if not text.isascii() or not text.isprintable():
        raise ValueError("not a plain text")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
