"""What a figure depends on besides the code: facts of the machine and versions of the parts. No names of hosts."""

from __future__ import annotations

import os
import platform
import ssl
import subprocess
from importlib.metadata import version
from pathlib import Path

from wire import session


def facts() -> dict[str, str | int]:
    """For the JSON file of a run."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "kernel": platform.release(),
        "congestion_control": Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "build": "interpreted" if str(session.__file__).endswith(".py") else "compiled",
        "trio": version("trio"),
        "nginx": _first_line("nginx", "-v"),
        "wrk": _first_line("wrk", "-v").partition(" Copyright")[0],
        "load_1m": f"{os.getloadavg()[0]:.2f}",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except OSError:
        return "missing"
    return (done.stdout + done.stderr).splitlines()[0].strip()
