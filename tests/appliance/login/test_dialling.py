"""The one way out, over real sockets: what may not be reached is not even knocked at."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from appliance.core.networks import NOBODY, Networks
from appliance.login.dialling import MAX_ANSWER_BYTES, DialError, Dialler, Fault
from tests.appliance.login.https import Web, answer, web
from tests.support.certificates import TestCA

pytestmark = pytest.mark.real_clock

LOOPBACK = Networks.parse(("127.0.0.0/8", "::1/128"))


def names(*addresses: str) -> Dialler:
    """A dialler that may reach this machine, where every name has these addresses."""

    async def resolve(_host: str) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        return addresses

    return Dialler(LOOPBACK, resolve=resolve)


async def refused(dialler: Dialler, url: str, served: Web, fault: Fault = Fault.REFUSED) -> str:
    with pytest.raises(DialError) as raised:
        await dialler.get(url, ca=served.ca)
    assert raised.value.fault is fault, raised.value
    return str(raised.value)


async def test_an_allowed_address_answers(tmp_path: Path) -> None:
    async with web(tmp_path) as served:
        for url in (f"https://127.0.0.1:{served.port}/keys?x", f"https://localhost:{served.port}/keys?x"):
            reply = await Dialler(LOOPBACK).get(url, ca=served.ca)
            assert (reply.status, reply.body) == (200, b"hello")
        reply = await Dialler(LOOPBACK).ask(
            "POST", url, ca=served.ca, headers=[("Content-Type", "text/plain")], body=b"code=1"
        )
        assert reply.status == 200
        assert served.asked[0].startswith(f"GET /keys?x HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n")
        assert "Content-Type: text/plain\r\nContent-Length: 6\r\n" in served.asked[2]


async def test_the_name_in_the_url_is_what_the_certificate_is_checked_for(tmp_path: Path) -> None:
    async with web(tmp_path) as served:
        assert (await names("127.0.0.1").get(f"https://localhost:{served.port}/", ca=served.ca)).status == 200
        for dialler, url, ca in (
            (names("127.0.0.1"), f"https://idp.example.com:{served.port}/", served.ca),  # another name
            (Dialler(LOOPBACK), f"https://127.0.0.2:{served.port}/", served.ca),  # nobody is there
            (Dialler(LOOPBACK), f"https://127.0.0.1:{served.port}/", None),  # the system does not know its CA
        ):
            with pytest.raises(DialError) as raised:
                await dialler.get(url, ca=ca)
            assert raised.value.fault is Fault.UNREACHABLE, raised.value
        assert served.asked == [served.asked[0]]  # nothing was said to any of them


VECTORS = (
    "https://127.0.0.1:{port}/",
    "https://localhost:{port}/",
    "https://127.0.0.2:{port}/",
    "https://[::1]:{port}/",
    "https://[::ffff:127.0.0.1]:{port}/",
    "https://[::ffff:7f00:1]:{port}/",
    "https://[::127.0.0.1]:{port}/",
    "https://[64:ff9b::127.0.0.1]:{port}/",
    "https://[2002:7f00:1::]:{port}/",
    "https://[::]:{port}/",
    "https://0.0.0.0:{port}/",
    "https://0:{port}/",
    "https://127.1:{port}/",
    "https://2130706433:{port}/",
    "https://0x7f000001:{port}/",
    "https://0x7f.0.0.1:{port}/",
    "https://0177.0.0.1:{port}/",
    "https://017700000001:{port}/",
    "https://127.0.0.1.:{port}/",
    "https://[fe80::1%25lo]:{port}/",
    "https://user@127.0.0.1:{port}/",
    "https://idp.example.com@127.0.0.1:{port}/",
    "https://127.0.0.1:{port}#@idp.example.com/",
    "http://127.0.0.1:{port}/",
)


@pytest.mark.parametrize("vector", VECTORS)
async def test_no_spelling_of_this_machine_is_reached(vector: str, tmp_path: Path) -> None:
    """The server would take any of them: it listens on every address of both families."""
    async with web(tmp_path, host="::") as served:
        await refused(Dialler(NOBODY), vector.format(port=served.port), served)
        assert served.knocks == 0


async def test_the_server_of_these_vectors_can_be_reached(tmp_path: Path) -> None:
    async with web(tmp_path, host="::") as served:
        for host in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
            async with await trio.open_tcp_stream(host, served.port):
                pass


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("::1",),
        ("::ffff:127.0.0.1",),
        ("64:ff9b::7f00:1",),
        ("93.184.216.34", "127.0.0.1"),  # one public, one not
        ("127.0.0.1", "93.184.216.34"),
        ("169.254.169.254",),
        ("fe80::1%lo",),
        ("10.0.0.1",),
        ("no address",),
        (),
        tuple(f"8.8.8.{number}" for number in range(17)),
    ],
)
async def test_a_name_is_as_good_as_the_worst_of_its_addresses(addresses: tuple[str, ...], tmp_path: Path) -> None:
    async with web(tmp_path, host="::") as served:
        dialler = names(*addresses)
        dialler.allowed = NOBODY
        await refused(dialler, f"https://idp.example.com:{served.port}/", served)
        assert served.knocks == 0


async def test_a_name_server_that_changes_its_answer_changes_nothing(tmp_path: Path) -> None:
    """First an allowed address, then one that is not: the look-up happens once, and its answer is what is dialled."""
    answers = [("127.0.0.2",), ("127.0.0.1",)]
    asked = []

    async def resolve(host: str) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    async with web(tmp_path) as served:  # on 127.0.0.1 only
        dialler = Dialler(Networks.parse(("127.0.0.2/32",)), resolve=resolve)
        url = f"https://localhost:{served.port}/"
        await refused(dialler, url, served, Fault.UNREACHABLE)  # nobody listens on 127.0.0.2
        assert asked == ["localhost"]
        await refused(dialler, url, served)  # the second answer is refused, as it is one of its own
        assert served.knocks == 0


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_an_answer_and_is_not_followed(status: str, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    async with web(tmp_path) as served, web(tmp_path / "inside") as inside:
        served.says = answer(b"", f"Location: https://localhost:{inside.port}/", status=status)
        reply = await Dialler(LOOPBACK).get(f"https://localhost:{served.port}/", ca=served.ca)
        assert (reply.status, inside.knocks) == (int(status[:3]), 0)


async def test_our_own_listeners_are_not_dialled_even_where_the_network_is_allowed(tmp_path: Path) -> None:
    async with web(tmp_path, host="::") as served:
        own = Dialler(Networks.parse(("0.0.0.0/0", "::/0")), own_ports=frozenset({served.port}))
        here = {str(entry[4][0]) for entry in socket.getaddrinfo(socket.gethostname(), None)}
        for host in sorted({"127.0.0.1", "127.9.9.9", "[::1]", "localhost", *(it for it in here if ":" not in it)}):
            said = await refused(own, f"https://{host}:{served.port}/", served)
            assert "this appliance itself" in said
        named = Dialler(LOOPBACK, own_names=frozenset({("fairlead.example.com", 443)}))
        assert "this appliance itself" in await refused(named, "https://Fairlead.example.com/x", served)
        assert served.knocks == 0


async def test_an_answer_has_a_largest_size(tmp_path: Path) -> None:
    async with web(tmp_path) as served:
        url = f"https://localhost:{served.port}/"
        served.says = answer(b"x" * MAX_ANSWER_BYTES)
        assert len((await Dialler(LOOPBACK).get(url, ca=served.ca)).body) == MAX_ANSWER_BYTES
        served.says = answer(b"x" * (MAX_ANSWER_BYTES + 1))
        assert "more than 1024 KiB" in await refused(Dialler(LOOPBACK), url, served, Fault.BROKEN)
        served.says, served.floods = b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536  # until the end of the connection
        await refused(Dialler(LOOPBACK), url, served, Fault.BROKEN)
        for endless in (b"X-Line: y\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"):
            served.says, served.floods = b"HTTP/1.1 200 OK\r\n" if endless[:1] == b"X" else b"", endless * 1024
            await refused(Dialler(LOOPBACK, total_seconds=1.0), url, served, Fault.BROKEN)


async def test_what_is_packed_is_not_unpacked(tmp_path: Path) -> None:
    async with web(tmp_path) as served:
        served.says = answer(b"\x1f\x8b", "Content-Encoding: gzip")
        await refused(Dialler(LOOPBACK), f"https://localhost:{served.port}/", served, Fault.BROKEN)
        assert "Accept-Encoding: identity" in served.asked[0]


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", b"HTTP/1.1 200"])
async def test_a_silent_server_has_a_deadline(says: bytes, tmp_path: Path) -> None:
    async with web(tmp_path) as served:
        served.says, served.holds = says, trio.Event()
        dialler = Dialler(LOOPBACK, total_seconds=0.3)
        with trio.fail_after(10):
            await refused(dialler, f"https://localhost:{served.port}/", served, Fault.BROKEN)


async def test_a_cut_answer_is_none(tmp_path: Path) -> None:
    async with web(tmp_path) as served:
        for says in (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", b"\x00\x01\x02", b"HTTP/1.1 200 OK\r\n"):
            served.says = says
            await refused(Dialler(LOOPBACK), f"https://localhost:{served.port}/", served, Fault.BROKEN)


async def test_a_listener_that_never_shakes_hands_and_one_that_speaks_no_tls(tmp_path: Path) -> None:
    async with web(tmp_path) as served:
        with socket.socket() as mute:
            mute.bind(("127.0.0.1", 0))
            mute.listen()
            dialler = Dialler(LOOPBACK, total_seconds=0.3)
            with trio.fail_after(10):
                await refused(dialler, f"https://127.0.0.1:{mute.getsockname()[1]}/", served, Fault.BROKEN)
        async with trio.open_nursery() as nursery:
            (plain,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

            async def greet(stream: trio.SocketStream) -> None:
                await stream.send_all(b"SSH-2.0-x\r\n")

            nursery.start_soon(trio.serve_listeners, greet, [plain])
            url = f"https://127.0.0.1:{plain.socket.getsockname()[1]}/"
            said = await refused(Dialler(LOOPBACK), url, served, Fault.UNREACHABLE)
            assert "SSH" not in said
            nursery.cancel_scope.cancel()


async def test_proxies_of_the_environment_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with web(tmp_path) as served:
        reply = await Dialler(LOOPBACK).get(f"https://localhost:{served.port}/", ca=served.ca)
        assert reply.status == 200


async def test_a_certificate_file_that_is_none(tmp_path: Path) -> None:
    async with web(tmp_path, ca=TestCA.make()) as served:
        for content in (None, "no certificate"):
            file = tmp_path / "other.pem"
            if content is not None:
                file.write_text(content)
            url = f"https://localhost:{served.port}/"
            for dialler, only in ((Dialler(LOOPBACK), file), (Dialler(LOOPBACK, more_ca=file), None)):
                with pytest.raises(DialError, match=r"other\.pem"):
                    await dialler.get(url, ca=only)
        assert served.knocks == 0
        assert (await Dialler(LOOPBACK, more_ca=served.ca).get(url)).status == 200
