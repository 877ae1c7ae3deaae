"""A self-review through the front, on both lanes: answered here, or sent on whole with narrower groups."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.core.events import EventType
from appliance.core.reviews import MAX_REVIEW_BYTES
from appliance.core.roles import Binding, Role, Scope, ScopeKind, Subject, SubjectKind
from appliance.core.snapshot import Entity
from appliance.front import hypercorn_lane, reviews
from appliance.front.parts import Lane
from tests.appliance.front.rig import CLUSTER, Rig, answer, fronted
from wire.session import Exchange

pytestmark = pytest.mark.real_clock

PATH = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
JSON = "Content-Type: application/json"


class Cluster:
    """An agent that keeps what it was asked and says yes."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[bytes, ...], bytes]] = []

    async def __call__(self, tunnel: Exchange) -> None:
        body = b""
        while piece := await tunnel.read():
            body += piece
        self.asked.append((tunnel.identity.groups, body))
        await answer(tunnel, 201, b'{"status":{"allowed":true}}')


def body(verb: str, namespace: str) -> bytes:
    attributes = {"verb": verb, "resource": "pods", "namespace": namespace}
    return json.dumps({"kind": "X", "apiVersion": "v1", "spec": {"resourceAttributes": attributes}}).encode()


def confine(rig: Rig) -> None:
    """The person edits in one namespace and views everywhere else."""
    me = Subject(SubjectKind.PERSON, "pe_1")
    put = rig.store.snapshot.put
    put(Entity.BINDING, "bi_1", Binding("bi_1", me, "ro_1", Scope(ScopeKind.NAMESPACES, CLUSTER, namespaces=("blue",))))


@pytest.fixture(params=["express", "hypercorn"])
def lane(request: pytest.FixtureRequest) -> Lane:
    return "express" if request.param == "express" else "hypercorn"


async def test_a_no_is_answered_here_and_recorded(tmp_path: Path, lane: Lane) -> None:
    cluster = Cluster()
    async with fronted(tmp_path, cluster, lane=lane) as rig:
        confine(rig)
        said = await rig.ask(PATH, JSON, method="POST", body=body("get", "red"))
        assert (said.status, said["Content-Type"]) == (201, "application/json")
        status: Any = json.loads(said.body)["status"]
        assert not status["allowed"]
        assert "only in the namespace blue" in status["reason"]
        assert cluster.asked == []
        assert (await rig.event(EventType.PROXY_OPENED)).resource == "selfsubjectaccessreviews"
        closed = await rig.event(EventType.PROXY_CLOSED)
        assert (closed.status, closed.bytes_in, closed.code) == (201, len(body("get", "red")), "")


async def test_a_yes_is_the_clusters_to_give(tmp_path: Path, lane: Lane) -> None:
    cluster = Cluster()
    async with fronted(tmp_path, cluster, lane=lane) as rig:
        confine(rig)
        rig.store.snapshot.put(Entity.ROLE, "ro_2", Role("ro_2", "none", groups=("others",)))
        scope = Scope(ScopeKind.NAMESPACES, CLUSTER, namespaces=("red",))
        other = Binding("bi_2", Subject(SubjectKind.PERSON, "pe_1"), "ro_2", scope)
        rig.store.snapshot.put(Entity.BINDING, "bi_2", other)
        said = await rig.ask(PATH, JSON, method="POST", body=body("get", "blue"))
        assert said.body == b'{"status":{"allowed":true}}'
        assert cluster.asked == [((b"editors",), body("get", "blue"))]
        assert (await rig.event(EventType.PROXY_CLOSED)).groups == ("editors",)


async def test_it_may_come_in_pieces(tmp_path: Path, lane: Lane) -> None:
    cluster = Cluster()
    async with fronted(tmp_path, cluster, lane=lane) as rig:
        confine(rig)
        for namespace, asked in (("blue", 1), ("red", 1)):
            whole = body("get", namespace)
            talk = await rig.dial()
            await talk.say(rig.get(PATH, JSON, "Transfer-Encoding: chunked", method="POST"))
            for piece in (whole[:20], whole[20:]):
                await talk.say(b"%x\r\n%b\r\n" % (len(piece), piece))
            await talk.say(b"0\r\n\r\n" + rig.get("/version"))  # and the next request behind it
            assert (await talk.answer()).status == 201
            assert (await talk.answer()).status == 201
            assert [it for it in cluster.asked if it[1]] == [((b"editors",), body("get", "blue"))][:asked]


async def test_a_client_that_waits_is_asked_for_its_body(tmp_path: Path, lane: Lane) -> None:
    async with fronted(tmp_path, Cluster(), lane=lane) as rig:
        whole = body("get", "blue")
        talk = await rig.dial()
        await talk.say(rig.get(PATH, JSON, f"Content-Length: {len(whole)}", "Expect: 100-continue", method="POST"))
        await talk.until(b"100 Continue\r\n\r\n")
        await talk.say(whole)
        assert (await talk.answer()).body == b'{"status":{"allowed":true}}'


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_long_one_goes_on_unread(tmp_path: Path, lane: Lane, chunked: bool) -> None:
    cluster = Cluster()
    async with fronted(tmp_path, cluster, lane=lane) as rig:
        confine(rig)
        whole = body("get", "red") + b" " * 3 * MAX_REVIEW_BYTES
        talk = await rig.dial()
        if chunked:
            await talk.say(rig.get(PATH, JSON, "Transfer-Encoding: chunked", method="POST"))
            await talk.say(b"%x\r\n%b\r\n0\r\n\r\n" % (len(whole), whole))
        else:
            await talk.say(rig.get(PATH, JSON, f"Content-Length: {len(whole)}", method="POST") + whole)
        assert (await talk.answer()).body == b'{"status":{"allowed":true}}'
        assert cluster.asked == [((b"editors",), whole)]


@pytest.mark.parametrize(
    "headers", [("Content-Type: application/yaml",), (JSON, "Accept: application/vnd.kubernetes.protobuf")]
)
async def test_what_cannot_be_read_or_answered_goes_on_as_it_is(
    tmp_path: Path, lane: Lane, headers: tuple[str, ...]
) -> None:
    cluster = Cluster()
    async with fronted(tmp_path, cluster, lane=lane) as rig:
        confine(rig)
        said = await rig.ask(PATH, *headers, method="POST", body=body("get", "red"))
        assert said.body == b'{"status":{"allowed":true}}'
        assert cluster.asked == [((b"editors",), body("get", "red"))]


async def test_a_client_that_stops_in_the_middle_does_not_stay(
    tmp_path: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviews, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(hypercorn_lane, "BODY_SECONDS", 0.2)
    async with fronted(tmp_path, Cluster(), lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get(PATH, JSON, "Content-Length: 300", method="POST") + b'{"kind"')
        said = await talk.answer()
        assert (said.status, said["X-Fairlead-Error-Code"]) == (408, "REQUEST_TIMEOUT")
        assert rig.parts.admission.open_exchanges("pe_1", CLUSTER) == 0
        assert rig.tunnel.in_flight == 0


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(
    tmp_path: Path, lane: Lane, caplog: pytest.LogCaptureFixture
) -> None:
    async with fronted(tmp_path, Cluster(), lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get(PATH, JSON, "Content-Length: 300", method="POST") + b'{"kind"')
        await talk.stream.aclose()
        with trio.fail_after(10):
            while rig.front.connections:  # noqa: ASYNC110 -- what the kernel does comes with no event of ours
                await trio.sleep(0.005)
        assert rig.parts.admission.open_exchanges("pe_1", CLUSTER) == 0
        assert rig.tunnel.in_flight == 0
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
