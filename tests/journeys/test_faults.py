"""What breaks, how soon it shows, and that everything works again without anybody's help."""

from __future__ import annotations

import http.client
import signal
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.journeys.conftest import Kubectl, kubectl_for, kubectls
from tests.journeys.door import Door, read_answer
from tests.journeys.processes import MIB, eventually
from tests.journeys.stack import Stack, running_stack

SOON_SECONDS = 10.0  # a connection that breaks shows at once; a busy machine takes a while to tell
DEAD_SECONDS = 25.0  # a path that swallows everything: 10 s of silence, 10 s without an answer, and some
BACK_SECONDS = 25.0  # the agent tries again within 20 s
SLOW_SECONDS = 12  # longer than any deadline of ours before an answer's head, had there been one


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for all faults."""
    with running_stack(tmp_path_factory.mktemp("stack")) as started:
        yield started


@pytest.fixture
def stack(shared: Stack) -> Stack:
    """The stack, working, whatever the test before has left."""
    shared.mend()
    return shared


@pytest.fixture
def kubectl(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """The newest kubectl; it is not what is tried here."""
    return kubectl_for(next(reversed(kubectls()), None), stack.kubeconfig, tmp_path_factory)


class OpenWork:
    """A watch, a log, a shell and a download that are under way."""

    def __init__(self, kubectl: Kubectl, door: Door, ending: ExitStack) -> None:
        self._pod = ("-n", "demo", "harbour-master")
        self.watch = ending.enter_context(kubectl.start("get", "pods", "-A", "-w"))
        self.log = ending.enter_context(kubectl.start("logs", "-f", *self._pod, "--tail=1"))
        self.shell = ending.enter_context(kubectl.start("exec", "-i", *self._pod, "--", "cat", stdin=True))
        self.download = ending.enter_context(door.asking("GET", f"/toy/bytes?size={1024 * MIB}&rate=100000"))
        self.watch.line("harbour-master")
        self.log.line()
        self.shell.give("there\n")
        assert self.shell.line() == "there\n"
        assert self.download.read(1000)

    def ends_with_an_error(self, seconds: float) -> None:
        """Nothing hangs, and nothing looks complete. (kubectl lets a watch that broke end well.)"""
        until = time.monotonic() + seconds
        with pytest.raises((http.client.IncompleteRead, ssl.SSLError, ConnectionError)):
            self.download.read()
        assert time.monotonic() < until
        assert self.shell.end(max(1.0, until - time.monotonic())) != 0
        assert self.log.end(max(1.0, until - time.monotonic())) != 0
        self.watch.end(max(1.0, until - time.monotonic()))


def test_a_killed_agent(stack: Stack, kubectl: Kubectl) -> None:
    with ExitStack() as ending:
        work = OpenWork(kubectl, stack.door, ending)
        stack.agent.kill()
        work.ends_with_an_error(SOON_SECONDS)

    refused = stack.door.ask("GET", "/api/v1/namespaces/default")
    assert (refused.status, refused.code) == (502, "AGENT_NOT_CONNECTED")
    assert "agent of cluster toy is not connected" in kubectl.refused("get", "pods")
    assert "agent of cluster toy is not connected" in kubectl.refused("version")

    stack.start_agent()  # the same data: the same certificate, no new bundle
    stack.until_it_works(BACK_SECONDS)
    assert "harbour-master" in kubectl("get", "pods", "-n", "demo")


def test_a_killed_appliance(stack: Stack, kubectl: Kubectl) -> None:
    with ExitStack() as ending:
        work = OpenWork(kubectl, stack.door, ending)
        stack.appliance.kill()
        work.ends_with_an_error(SOON_SECONDS)

    stack.start_appliance()
    stack.until_it_works(BACK_SECONDS)  # the agent comes back by itself, and the kubeconfig is still good
    assert "harbour-master" in kubectl("get", "pods", "-n", "demo")


def test_an_appliance_that_is_stopped_and_started(stack: Stack, kubectl: Kubectl) -> None:
    with ExitStack() as ending:
        work = OpenWork(kubectl, stack.door, ending)
        assert stack.appliance.stop() == 0
        work.ends_with_an_error(SOON_SECONDS)

    stack.start_appliance()
    stack.until_it_works(BACK_SECONDS)
    assert "harbour-master" in kubectl("get", "pods", "-n", "demo")


def test_an_agent_that_is_stopped(stack: Stack, kubectl: Kubectl) -> None:
    with ExitStack() as ending:
        work = OpenWork(kubectl, stack.door, ending)
        assert stack.agent.stop() == 0
        work.ends_with_an_error(SOON_SECONDS)

    stack.start_agent()
    stack.until_it_works(BACK_SECONDS)


def test_a_cluster_that_is_gone_is_named_and_comes_back(stack: Stack, kubectl: Kubectl) -> None:
    with ExitStack() as ending:
        work = OpenWork(kubectl, stack.door, ending)
        stack.toy.kill()
        work.ends_with_an_error(SOON_SECONDS)

    refused = stack.door.ask("GET", "/api/v1/namespaces/default")
    assert (refused.status, refused.code) == (502, "UPSTREAM_UNREACHABLE")
    assert "cannot reach the API server of cluster toy" in kubectl.refused("get", "namespaces")
    assert "cannot reach the API server of cluster toy" in kubectl.refused("version")

    stack.start_toy()  # with a new certificate authority and a new token, which the agent reads again
    (stack.home.upstream / "ca.pem").write_bytes((stack.home.toy / "ca.pem").read_bytes())
    stack.until_it_works(SOON_SECONDS)
    assert "harbour-master" in kubectl("get", "pods", "-n", "demo")


def test_a_reset_of_the_tunnel(stack: Stack, kubectl: Kubectl) -> None:
    with ExitStack() as ending:
        work = OpenWork(kubectl, stack.door, ending)
        stack.cable.pull()
        work.ends_with_an_error(SOON_SECONDS)

    stack.until_it_works(SOON_SECONDS)


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_request_that_may_have_been_carried_out(method: str, stack: Stack, unique: str) -> None:
    """Its answer is lost with the tunnel: the client is told to look, and nobody repeats it."""
    door = stack.door
    target = f"/api/v1/namespaces/default/configmaps?mark={unique}" if method == "POST" else f"/toy/slow?mark={unique}"
    head = door.head(method, target + "&seconds=20", b"Content-Length: 10" if method == "POST" else b"X: y")
    with door.connect() as tls:
        tls.sendall(head)
        eventually(lambda: door.arrived(unique), what="the request at the API server")
        stack.cable.pull()
        answer = read_answer(tls)
    assert (answer.status, answer.code) == (502, "TUNNEL_LOST")
    assert b"may have been carried out: look before you repeat it" in answer.body
    stack.until_it_works(SOON_SECONDS)
    assert len(door.arrived(unique)) == 1


def test_an_api_server_that_takes_its_time_is_waited_for(stack: Stack) -> None:
    answer = stack.door.ask("GET", f"/toy/slow?seconds={SLOW_SECONDS}")

    assert (answer.status, answer.json()) == (200, {"slept": SLOW_SECONDS})


def test_a_path_that_swallows_everything_is_declared_dead(
    stack: Stack, kubectl: Kubectl, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Twice at once: an agent that is stopped (SIGSTOP) in one stack, a cable that swallows in the other."""
    with running_stack(tmp_path) as other, ExitStack() as ending:
        home = tmp_path_factory.mktemp("other")
        other_kubectl = Kubectl(kubectl.binary, other.kubeconfig, home)
        works = [OpenWork(kubectl, stack.door, ending), OpenWork(other_kubectl, other.door, ending)]
        began = time.monotonic()
        stack.agent.process.send_signal(signal.SIGSTOP)
        other.cable.hold()
        try:
            for work in works:
                work.ends_with_an_error(DEAD_SECONDS - (time.monotonic() - began))
            for one in (stack, other):
                assert one.door.ask("GET", "/api/v1/pods").code == "AGENT_NOT_CONNECTED"
        finally:
            stack.agent.process.send_signal(signal.SIGCONT)
            other.cable.release()
        for one in (stack, other):
            one.until_it_works(BACK_SECONDS)
