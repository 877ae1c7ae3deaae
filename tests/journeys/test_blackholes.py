"""Paths on which packets are dropped and nobody is told: each end finds out by itself, in time, and all works again.

Two networks at once, because finding out takes a while: in one the packets between agent and appliance are dropped,
in the other those between kubectl and appliance.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.journeys.conftest import Kubectl, kubectls
from tests.journeys.door import Answer
from tests.journeys.network import Network, network
from tests.journeys.processes import MIB, eventually
from tests.journeys.stack import Stack, running_stack
from tests.journeys.test_faults import BACK_SECONDS, DEAD_SECONDS, OpenWork

pytestmark = pytest.mark.journey

GONE_SECONDS = 45.0  # a user whose host is gone: keepalive 15 s + 3 x 5 s, or 20 s without an acknowledgement; a sweep
PROCESSES_SECONDS = 60.0  # kubectl's own keepalive, once its packets pass again


@contextmanager
def placed(directory: Path) -> Iterator[tuple[Network, Stack]]:
    """An appliance, an agent with its cluster, and a user, each on a host of its own."""
    with network("appliance", "agent", "user") as there:
        inside = {"toy": there.inside("agent")} | {host: there.inside(host) for host in ("appliance", "agent")}
        with running_stack(directory, host=there.address("appliance"), inside=inside) as stack:
            yield there, stack


class Asked(threading.Thread):
    """A request beside the test, and when it was answered."""

    def __init__(self, stack: Stack, method: str, target: str) -> None:
        super().__init__(daemon=True)
        self._stack, self._asked = stack, (method, target)
        self.answer: Answer | None = None
        self.at = 0.0
        self.start()

    def run(self) -> None:
        self.answer = self._stack.door.ask(*self._asked)
        self.at = time.monotonic()


def test_dropped_packets_are_noticed_and_everything_comes_back(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    binary = next(reversed(kubectls()), None)
    assert binary is not None
    with (
        placed(tmp_path / "one") as (agent_cut, one),
        placed(tmp_path / "two") as (user_cut, two),
        ExitStack() as ending,
    ):
        kubectl = Kubectl(binary, one.kubeconfig, tmp_path_factory.mktemp("one"))
        remote = Remote(binary, two.kubeconfig, tmp_path_factory.mktemp("two"), user_cut.inside("user"))
        work = OpenWork(kubectl, one.door, ending)
        asked = [Asked(one, "POST", "/toy/slow?seconds=100"), Asked(one, "GET", "/toy/slow?seconds=100")]
        eventually(lambda: len(open_at(one, "/toy/slow")) == 2, what="both requests at the API server")
        far = FarWork(remote, two, ending)
        began = time.monotonic()
        agent_cut.drop("agent")
        user_cut.drop("user")

        work.ends_with_an_error(DEAD_SECONDS - (time.monotonic() - began))
        for each in asked:
            each.join(DEAD_SECONDS)
            assert each.answer is not None
            assert (each.answer.status, each.answer.code) == (502, "TUNNEL_LOST")
            assert each.at - began < DEAD_SECONDS
        assert one.door.ask("GET", "/api/v1/pods").code == "AGENT_NOT_CONNECTED"
        far.is_forgotten(GONE_SECONDS - (time.monotonic() - began))
        assert two.works(), "others notice nothing"

        agent_cut.restore("agent")
        user_cut.restore("user")
        one.until_it_works(BACK_SECONDS)
        assert not open_at(one, "/toy/"), "the agent has let go of what nobody waits for"
        assert "harbour-master" in remote("get", "pods", "-n", "demo")
        far.ends(PROCESSES_SECONDS)


class Remote(Kubectl):
    """A kubectl on another host."""

    def __init__(self, binary: Path, kubeconfig: Path, home: Path, inside: tuple[str, ...]) -> None:
        super().__init__(binary, kubeconfig, home)
        self.__dict__["inside"] = inside

    def command(self, *arguments: str) -> list[str]:
        return [*self.__dict__["inside"], *super().command(*arguments)]


class FarWork:
    """A watch, a log, a shell and a download of a user whose host is about to be gone."""

    def __init__(self, kubectl: Remote, stack: Stack, ending: ExitStack) -> None:
        self._stack = stack
        path = stack.door.path
        commands = (
            ("get", "pods", "-A", "-w"),
            ("logs", "-f", "-n", "demo", "harbour-master", "--tail=1"),
            ("exec", "-i", "-n", "demo", "harbour-master", "--", "cat"),
            ("get", "--raw", f"{path}/toy/bytes?size={1024 * MIB}&rate=100000"),
        )
        self._running = [ending.enter_context(kubectl.start(*words, stdin=True)) for words in commands]
        eventually(lambda: len(self._open()) == len(commands), what="all of it at the API server")

    def _open(self) -> list[str]:
        marks = ("watch=true", "/log?", "/exec?", "/toy/bytes")
        return [target for mark in marks for target in open_at(self._stack, mark)]

    def is_forgotten(self, seconds: float) -> None:
        """Nothing of it is left at the API server."""
        eventually(lambda: not self._open(), seconds, f"the end of {self._open()}")

    def ends(self, seconds: float) -> None:
        """kubectl hears of it once its packets pass again."""
        for running in self._running:
            running.end(seconds)


def open_at(stack: Stack, mark: str) -> list[str]:
    """The requests that are open at the API server, but the one that asks."""
    shown = stack.door.ask("GET", "/toy/requests").json()
    return [it["target"] for it in shown["open"] if mark in it["target"] and "/toy/requests" not in it["target"]]
