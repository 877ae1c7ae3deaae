"""plugin: milliseconds that the credential plugin takes beyond bare Python, as whole processes.

Means: what `fairlead kube token` adds to each kubectl when the credential it has kept is still good, from the start of
the process to its end. Beside it, in turn, the same interpreter with nothing to do (`python -c pass`): the rest is ours
(imports, two files to read, one to make, one line to print). No appliance runs, because none is asked.

Could mislead: the files of both are in the page cache, as they are for whoever uses kubectl often; the first run after
a boot takes a multiple, and so does bare Python. The plugin is run from an editable installation, whose finder costs
both a few milliseconds. A run in which the credential has to be renewed is a call to the appliance, and not shown.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import trio

from benchmarks.goals import figure
from benchmarks.processes import PartFailedError
from benchmarks.scenarios import Options
from ops.cli import places, plugin, profiles

ROUNDS = 5
PAIRS = 40  # of a round: the median of so many hardly moves
PROFILE, ACCOUNT, CLUSTER = "bench", "someone@example.com", "prod"
COMMAND = ("kube", "token", "--profile", PROFILE, "--cluster", CLUSTER)


async def run(options: Options) -> dict[str, Any]:
    """Both in turn, so that whatever else the machine does meets both."""
    environment = {**os.environ, places.HOME_VARIABLE: str(options.directory / "kept")}
    bare = [sys.executable, "-c", "pass"]
    ours = [str(Path(sys.executable).parent / "fairlead"), *COMMAND]
    samples: list[dict[str, float]] = []
    for number in range(options.rounds):
        directory = await trio.to_thread.run_sync(_keep, options.directory / "kept")
        for _ in range(PAIRS):
            for mark in directory.glob("credential_*"):  # or this very process would be taken for a refused kubectl
                mark.unlink()
            took = await trio.to_thread.run_sync(_pair, bare, ours, environment)
            samples.append({"round": number, **took})
    rounds = [[it for it in samples if it["round"] == number] for number in range(options.rounds)]

    def middle(of: str) -> list[float]:
        return [statistics.median(it[of] for it in mine) for mine in rounds]

    added = [statistics.median(it["plugin_ms"] - it["bare_ms"] for it in mine) for mine in rounds]
    figures = [
        figure("credential plugin, warm, beyond bare Python", "ms", added, "plugin"),
        figure("credential plugin, warm, the whole process", "ms", middle("plugin_ms")),
        figure("bare Python, the whole process", "ms", middle("bare_ms")),
    ]
    return {"figures": figures, "samples": samples}


def _keep(home: Path) -> Path:
    """A credential as `fairlead kube login` leaves it; returns where it is."""
    os.environ[places.HOME_VARIABLE] = str(home)
    try:
        profile = profiles.Profile(PROFILE, "https://fairlead.example.com", account=ACCOUNT)
        profiles.change(lambda book: book.with_profile(profile, use=True))
        directory = plugin.folder(PROFILE, "", CLUSTER)
        now = time.time()
        kept = {"id": "credential_1", "token": "x" * 400, "began": now, "until": now + 900}
        places.write(f"{directory}/current.json", kept)
        return Path(directory)
    finally:
        del os.environ[places.HOME_VARIABLE]


def _pair(bare: list[str], ours: list[str], environment: dict[str, str]) -> dict[str, float]:
    _, bare_ms = _timed(bare, environment)
    said, plugin_ms = _timed(ours, environment)
    try:
        document = json.loads(said)
    except ValueError:
        raise PartFailedError(f"the plugin printed no credential: {said[:200]!r}") from None
    assert document["kind"] == "ExecCredential"
    return {"bare_ms": bare_ms, "plugin_ms": plugin_ms}


def _timed(command: list[str], environment: dict[str, str]) -> tuple[bytes, float]:
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    took = (time.perf_counter() - began) * 1000
    if done.returncode:
        raise PartFailedError(
            f"{command[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')[:500]}"
        )
    return done.stdout, took
