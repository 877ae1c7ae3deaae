"""A long way between two network namespaces: IP packets carried by hand, each of them later.

netem is the usual tool and many kernels lack it; a TUN device they have. Two of them, one in each namespace, are held
by one process that hands each packet of one to the other after half the round trip. TCP on both sides is the kernel's
own, with its windows and its congestion control; nothing is lost or reordered, and the way is as wide as this process
is fast (packets are large: MTU_BYTES). Needs root.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import select
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.nginx import ToolMissingError
from benchmarks.processes import running, until

MTU_BYTES = 65_000
NEAR, FAR = "198.18.255.1", "198.18.255.2"  # RFC 2544 keeps 198.18.0.0/15 for measurements
COMMAND_SECONDS = 10.0
_TUNSETIFF = 0x400454CA
_TUN_WITHOUT_INFORMATION = 0x1001
_DEVICE = "far"


@dataclass(frozen=True, slots=True)
class FarLink:
    """Words to put before a command so that it runs at one end, with the address it has there."""

    near: tuple[str, ...]
    far: tuple[str, ...]


@asynccontextmanager
async def far_link(directory: Path, round_trip_seconds: float, sysctls: Mapping[str, str]) -> AsyncIterator[FarLink]:
    """Two namespaces so far apart, with these kernel settings in both."""
    tag = secrets.token_hex(3)
    with ExitStack() as ending:
        inside = []
        for end in ("near", "far"):
            name = f"fairlead-{tag}-{end}"
            _run("ip", "netns", "add", name)
            ending.callback(_run, "ip", "netns", "del", name)
            inside.append(("ip", "netns", "exec", name))
            for key, value in sysctls.items():
                _run(*inside[-1], "sysctl", "-q", "-w", f"{key}={value}")
        log, ready = directory / f"far-{tag}.log", directory / f"far-{tag}.ready"
        command = [sys.executable, "-m", "benchmarks.leash", sys.executable, "-m", "benchmarks.far_link"]
        names = [words[-1] for words in inside]
        async with running("far link", [*command, str(round_trip_seconds / 2), str(ready), *names], log) as part:
            await until("the far link", ready.exists, part, log)
            yield FarLink(inside[0], inside[1])


def missing() -> str:
    """Why there can be no far link here; empty: there can."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    if not Path("/dev/net/tun").exists():
        return "this kernel has no TUN device"
    try:
        _run("ip", "-V")
    except ToolMissingError:
        return "`ip` (iproute2) is not installed"
    return ""


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    except OSError as error:
        raise ToolMissingError(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        raise ToolMissingError(f"{' '.join(command)}: {done.stderr.strip()}")


# In the other process


def _device(namespace: str, own: str, other: str) -> int:
    """A TUN device of this process, moved into the namespace and given an address."""
    number = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    name = f"{_DEVICE}{secrets.token_hex(3)}"
    fcntl.ioctl(number, _TUNSETIFF, struct.pack("16sH22s", name.encode(), _TUN_WITHOUT_INFORMATION, b""))
    _run("ip", "link", "set", name, "netns", namespace)
    inside = ("ip", "-n", namespace)
    _run(*inside, "link", "set", "lo", "up")
    _run(*inside, "addr", "add", f"{own}/32", "peer", other, "dev", name)
    _run(*inside, "link", "set", name, "mtu", str(MTU_BYTES), "txqueuelen", "10000", "up")
    return number


class OneWay:
    """Packets on their way from one device to the other, oldest first."""

    def __init__(self, source: int, target: int, delay: float) -> None:
        self._source, self._target, self._delay = source, target, delay
        self._waiting: deque[tuple[float, bytes]] = deque()

    def take(self) -> None:
        """Read what the source has, without waiting."""
        due = time.monotonic() + self._delay
        while True:
            try:
                self._waiting.append((due, os.read(self._source, MTU_BYTES + 100)))
            except BlockingIOError:
                return

    def deliver(self) -> float:
        """Hand over what is due; how long until the next is, in seconds (1.0: nothing waits)."""
        while self._waiting:
            left = self._waiting[0][0] - time.monotonic()
            if left > 0:
                return left
            os.write(self._target, self._waiting.popleft()[1])
        return 1.0


def main(delay: float, ready: Path, near: str, far: str) -> None:
    """Carry packets until ended."""
    devices = _device(near, NEAR, FAR), _device(far, FAR, NEAR)
    ways = OneWay(*devices, delay), OneWay(devices[1], devices[0], delay)
    ready.touch()
    while True:
        wait = min(way.deliver() for way in ways)
        select.select(devices, [], [], wait)  # in microseconds, unlike poll
        for way in ways:
            way.take()


if __name__ == "__main__":
    main(float(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4])
