"""Hosts of their own on one machine: network namespaces around a router that can be told to drop whatever one sends.

Dropped is dropped: no reset, no ICMP, nothing for either end to hear, as behind a firewall that lost its state or a
cable that was cut somewhere far away. What always holds: every host reaches every other through the router, this
machine too; everything is gone afterwards. Needs the right to make namespaces (root) and `ip`.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tests.support.missing import cannot

HERE = "here"
"""The host that the test itself is."""

COMMAND_SECONDS = 10.0


@dataclass
class Network:
    """The router and the hosts around it."""

    tag: str
    subnet: int  # of 198.18.0.0/16, which RFC 2544 keeps for tests
    hosts: Mapping[str, int] = field(default_factory=dict)

    def address(self, host: str) -> str:
        return self._end(host, 2)

    def inside(self, host: str) -> tuple[str, ...]:
        """What to put before a command to run it on a host."""
        return ("ip", "netns", "exec", self._namespace(host))

    def drop(self, host: str) -> None:
        """Let the router drop everything from and to a host."""
        for direction in ("from", "to"):
            self._in_router("rule", "add", direction, self.address(host), "blackhole")

    def restore(self, host: str) -> None:
        """Let everything through again."""
        for direction in ("from", "to"):
            self._in_router("rule", "del", direction, self.address(host), "blackhole")

    def _end(self, host: str, number: int) -> str:
        return f"198.18.{self.subnet}.{self.hosts[host] * 4 + number}"

    def _namespace(self, host: str) -> str:
        return f"fairlead-{self.tag}-{host}"

    def _in_router(self, *words: str) -> None:
        ip("-n", self._namespace("router"), *words)

    def build(self, ending: ExitStack) -> None:
        router = self._namespace("router")
        for host in ("router", *self.hosts):
            if host != HERE:
                ip("netns", "add", self._namespace(host))
                ending.callback(ip, "netns", "del", self._namespace(host))
                ip("-n", self._namespace(host), "link", "set", "lo", "up")
        for host, number in self.hosts.items():
            there = () if host == HERE else ("-n", self._namespace(host))
            near, far = f"fl{self.tag}{number}r", f"fl{self.tag}{number}"
            ip(*there, "link", "add", far, "type", "veth", "peer", "name", near, "netns", router)
            self._in_router("addr", "add", f"{self._end(host, 1)}/30", "dev", near)
            self._in_router("link", "set", near, "up")
            ip(*there, "addr", "add", f"{self._end(host, 2)}/30", "dev", far)
            ip(*there, "link", "set", far, "up")
            ip(*there, "route", "add", f"198.18.{self.subnet}.0/24", "via", self._end(host, 1))
        _run([*self.inside("router"), "tee", "/proc/sys/net/ipv4/ip_forward"], "1")


@contextmanager
def network(*hosts: str) -> Iterator[Network]:
    """Hosts around a router. Skipped only where that is not possible and the developer allows it."""
    reason = missing()
    if reason:
        cannot(reason)
    made = Network(secrets.token_hex(2), secrets.randbelow(256), {name: at for at, name in enumerate((HERE, *hosts))})
    with ExitStack() as ending:
        made.build(ending)
        yield made


def missing() -> str:
    """Say why there can be no network here; empty: there can."""
    if shutil.which("ip") is None:
        return "`ip` (iproute2) is not installed"
    probe = f"fairlead-{secrets.token_hex(4)}"
    done = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"network namespaces cannot be made: {done.stderr.strip()}"
    ip("netns", "del", probe)
    return ""


def ip(*words: str) -> None:
    _run(["ip", *words])


def _run(command: list[str], given: str = "") -> None:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
