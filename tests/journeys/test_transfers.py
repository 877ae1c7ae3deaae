"""Much data, slow readers, lost ends: what kubectl hides, a strict client shows."""

from __future__ import annotations

import hashlib
import http.client
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from ops.demo.toy.probes import pattern_sha256, pieces
from tests.journeys.conftest import Demo, Kubectl
from tests.journeys.door import Door, read_to_the_end, reset
from tests.journeys.processes import MIB, Growth, children_by_command, eventually, wait_until

GIB = 1024 * MIB
GROWTH_MIB = 64
PAUSE_SECONDS = 25.0  # longer than anything of ours waits for a client whose kernel answers
PAUSED_BYTES = 64 * MIB  # more than all buffers on the way hold
GONE_SECONDS = 1.0
GOODBYE_SECONDS = 2.5  # a goodbye on a socket that stays open shows at the next sweep, once a second


def growth(demo: Demo) -> Growth:
    """The memory of the three processes from now on; they have served something before."""
    children = children_by_command(demo.process.pid)
    assert sorted(children) == ["agent", "serve", "toy-cluster"]
    return Growth(children.values())


def assert_small(grown: Growth) -> None:
    assert max(grown.mebibytes()) < GROWTH_MIB, grown.mebibytes()


@pytest.fixture(scope="module")
def paused(toy: Demo) -> Iterator[tuple[float, list[ssl.SSLSocket]]]:
    """Readers that take a little and then nothing, opened before everything else here; and since when they pause."""
    door = Door.of(toy.kubeconfig)
    readers = []
    try:
        for framing in ("", "&chunked=1"):
            reader = door.connect()
            readers.append(reader)
            reader.sendall(door.head("GET", f"/toy/bytes?size={PAUSED_BYTES}{framing}", b"Connection: close"))
            assert reader.recv(4096).startswith(b"HTTP/1.1 200 ")
        yield time.monotonic(), readers
    finally:
        for reader in readers:
            reader.close()


@pytest.mark.usefixtures("paused")
@pytest.mark.newest
def test_one_gibibyte_comes_down_in_constant_memory(toy_kubectl: Kubectl, toy: Demo, door: Door) -> None:
    command = toy_kubectl.command("get", "--raw", f"{door.path}/toy/bytes?size={GIB}")
    door.ask("GET", f"/toy/bytes?size={8 * MIB}")
    grown, digest = growth(toy), hashlib.sha256()
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=toy_kubectl.environment) as process:
        assert process.stdout is not None
        while piece := process.stdout.read(8 * MIB):
            digest.update(piece)
            grown.look()
    assert process.returncode == 0
    assert digest.hexdigest() == pattern_sha256(GIB)
    assert_small(grown)


@pytest.mark.parametrize("framing", ["counted", "chunked"])
def test_a_quarter_gibibyte_goes_up_in_constant_memory(framing: str, toy: Demo, door: Door) -> None:
    size = GIB // 4
    grown = growth(toy)

    def watched() -> Iterator[bytes]:
        for number, piece in enumerate(pieces(size)):
            if number % 64 == 0:
                grown.look()
            yield piece

    headers = {"Content-Length": str(size)} if framing == "counted" else {}
    answer = door.ask("POST", "/toy/sink", watched(), headers)
    assert (answer.status, answer.json()) == (200, {"bytes": size, "sha256": pattern_sha256(size)})
    assert_small(grown)


@pytest.mark.parametrize("size", [1000, 200_000, 5 * MIB])
@pytest.mark.parametrize("framing", ["", "&chunked=1"])
def test_a_cut_answer_never_looks_complete(size: int, framing: str, door: Door) -> None:
    target = f"/toy/bytes?size={size}&cut={size // 2}{framing}"
    try:
        with door.asking("GET", target) as response:
            if response.status != 502:  # where nothing was answered yet, an error is the better answer
                assert response.status == 200
                with pytest.raises((http.client.IncompleteRead, ssl.SSLError, ConnectionError)):
                    response.read()
    except http.client.RemoteDisconnected:
        pass  # no answer at all is no complete one


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("framing", ["", "&chunked=1"])
def test_after_a_cut_there_is_no_goodbye(version: str, framing: str, door: Door) -> None:
    """To a client of HTTP/1.0 the missing close_notify is the only sign."""
    with door.connect() as tls:
        tls.sendall(door.head("GET", f"/toy/bytes?size=5000000&cut=2500000{framing}", version=version))
        with pytest.raises((ssl.SSLEOFError, ConnectionError)):
            read_to_the_end(tls)


@pytest.mark.ends
@pytest.mark.parametrize("framing", ["", "&chunked=1"])
def test_kubectl_sees_a_cut(framing: str, toy_kubectl: Kubectl, door: Door) -> None:
    said = toy_kubectl.refused("get", "--raw", f"{door.path}/toy/bytes?size=5000000&cut=2500000{framing}")
    assert "unexpected EOF" in said


def test_a_whole_answer_to_an_old_client_ends_with_a_goodbye(door: Door) -> None:
    for framing in ("", "&chunked=1"):
        with door.connect() as tls:
            tls.sendall(door.head("GET", f"/toy/bytes?size=300000{framing}", version="1.0"))
            received = read_to_the_end(tls)
        head, _, body = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.")
        assert b"transfer-encoding" not in head.lower()
        assert hashlib.sha256(body).hexdigest() == pattern_sha256(300_000)


def gone_within(door: Door, mark: str, leave: Callable[[], None]) -> float:
    """Let a client leave once its request is open; the seconds until the API server has lost it."""
    eventually(lambda: any(it["ended"] is None and it["status"] for it in door.arrived(mark)), what=f"{mark} open")
    left = time.time()
    leave()
    (record,) = eventually(lambda: [it for it in door.arrived(mark) if it["ended"]], what=f"{mark} ended")
    assert record["clientGone"] is not None
    return float(record["ended"]) - left


@pytest.mark.parametrize("way", ["close", "reset", "goodbye"])
@pytest.mark.parametrize("pace", ["trickling", "flooding", "silent"])
def test_a_client_that_leaves_ends_its_request(way: str, pace: str, door: Door, unique: str) -> None:
    target = {
        "trickling": f"/toy/bytes?size={GIB}&rate=50000&mark={unique}",
        "flooding": f"/toy/bytes?size={GIB}&mark={unique}",  # the client reads nothing: all windows are full
        "silent": f"/api/v1/configmaps?watch=1&resourceVersion=0&labelSelector=mark%3D{unique}",
    }[pace]
    tls = door.connect()
    tls.sendall(door.head("GET", target))
    ways: dict[str, Callable[[], None]] = {
        "close": tls.close,
        "reset": partial(reset, tls),
        "goodbye": partial(say_goodbye, tls),
    }
    try:
        assert gone_within(door, unique, ways[way]) < (GOODBYE_SECONDS if way == "goodbye" else GONE_SECONDS)
    finally:
        tls.close()


def say_goodbye(tls: ssl.SSLSocket) -> None:
    """Send close_notify and keep the socket open."""
    tls.setblocking(False)  # the answer's bytes are in the way of the other side's close_notify; do not wait for it
    try:
        tls.unwrap()
    except (ssl.SSLError, OSError):
        pass


def test_a_client_that_leaves_in_the_middle_of_its_upload(door: Door, unique: str) -> None:
    tls = door.connect()
    tls.sendall(door.head("POST", f"/toy/sink?mark={unique}", b"Content-Length: 1000000") + bytes(400_000))
    eventually(lambda: door.arrived(unique), what="the request at the API server")
    left = time.time()
    tls.close()
    (record,) = eventually(lambda: [it for it in door.arrived(unique) if it["ended"]], what="its end")
    assert record["status"] is None
    assert record["ended"] - left < GONE_SECONDS


@pytest.mark.ends
def test_a_killed_kubectl_ends_its_watch(toy_kubectl: Kubectl, door: Door, unique: str) -> None:
    with toy_kubectl.start("get", "configmaps", "-l", f"mark={unique}", "-w") as watching:
        eventually(lambda: any("watch=true" in it["target"] for it in door.arrived(unique)), what="the watch")
        left = time.time()
        watching.kill()
    ended = eventually(lambda: [it for it in door.arrived(unique) if "watch=true" in it["target"] and it["ended"]])
    assert ended[-1]["ended"] - left < GONE_SECONDS


def test_an_early_refusal_reaches_a_client_that_still_sends(door: Door, unique: str) -> None:
    """The API server takes 3 MiB of an object; what is too much gets its 413, not a broken connection."""
    body = (
        b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%b"},"data":{"x":"' % unique.encode()
        + b"x" * 4 * MIB
    )
    answer = door.ask(
        "POST", "/api/v1/namespaces/default/configmaps", body + b'"}}', {"Content-Type": "application/json"}
    )
    assert answer.status == 413


def test_neighbours_of_a_big_download_do_not_wait_for_it(door: Door) -> None:
    """While one client takes all it can, another's small requests are answered."""
    stop = threading.Event()

    def take() -> None:
        with door.asking("GET", f"/toy/bytes?size={4 * GIB}") as response:
            while not stop.is_set() and response.read(MIB):
                pass

    taker = threading.Thread(target=take)
    taker.start()
    try:
        times = []
        for _ in range(20):
            began = time.monotonic()
            assert door.ask("GET", "/api/v1/namespaces/default").status == 200
            times.append(time.monotonic() - began)
    finally:
        stop.set()
        taker.join()
    assert sorted(times)[len(times) // 2] < 0.5


def test_a_reader_that_pauses_is_not_cut(paused: tuple[float, list[ssl.SSLSocket]]) -> None:
    since, readers = paused
    wait_until(since + PAUSE_SECONDS)
    for reader in readers:
        assert len(read_to_the_end(reader)) > PAUSED_BYTES - 4096
