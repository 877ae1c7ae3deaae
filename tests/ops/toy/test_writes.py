"""Writing through the API: conflicts, dry runs, generated names, finalizers, pages and sub-resources."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ops.toy.conftest import ToyCluster
from tests.ops.toy.http_client import connected

pytestmark = pytest.mark.real_clock

MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"


def config_map(name: str = "", **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": ({"name": name} if name else {}) | metadata}


async def test_two_writers_of_one_version(toy: ToyCluster) -> None:
    async with connected(toy) as client:
        created = (await client.ask("POST", MAPS, config_map("c1"))).json()
        first = await client.ask("PUT", f"{MAPS}/c1", {**created, "data": {"a": "1"}})
        assert first.status == 200
        second = await client.ask("PUT", f"{MAPS}/c1", {**created, "data": {"a": "2"}})
        assert (second.status, second.json()["reason"]) == (409, "Conflict")
        unchanged = await client.ask("PUT", f"{MAPS}/c1", first.json())
        assert unchanged.json()["metadata"]["resourceVersion"] == first.json()["metadata"]["resourceVersion"]


async def test_names_are_generated_and_dry_runs_leave_nothing(toy: ToyCluster) -> None:
    async with connected(toy) as client:
        named = (await client.ask("POST", MAPS, config_map(generateName="gull-"))).json()["metadata"]["name"]
        assert named.startswith("gull-")
        assert len(named) == len("gull-") + 5
        assert (await client.ask("POST", f"{MAPS}?dryRun=All", config_map("dry"))).status == 201
        assert (await client.ask("GET", f"{MAPS}/dry")).status == 404
        assert (await client.ask("POST", MAPS, config_map("Bad_Name"))).status == 422


async def test_a_finalizer_holds_an_object_until_it_is_taken_off(toy: ToyCluster) -> None:
    async with connected(toy) as client:
        await client.ask("POST", MAPS, config_map("held", finalizers=["example.com/hold"]))
        deleted = (await client.ask("DELETE", f"{MAPS}/held")).json()
        assert deleted["metadata"]["deletionTimestamp"]
        assert (await client.ask("GET", f"{MAPS}/held")).status == 200
        await client.ask("PATCH", f"{MAPS}/held", {"metadata": {"finalizers": None}}, MERGE)
        assert (await client.ask("GET", f"{MAPS}/held")).status == 404


async def test_a_precondition_that_fails(toy: ToyCluster) -> None:
    async with connected(toy) as client:
        await client.ask("POST", MAPS, config_map("uid"))
        refused = await client.ask("DELETE", f"{MAPS}/uid", {"preconditions": {"uid": "another"}})
        assert (refused.status, refused.json()["reason"]) == (409, "Conflict")


async def test_a_list_in_pages_and_a_collection_deleted(toy: ToyCluster) -> None:
    async with connected(toy) as client:
        for number in range(7):
            await client.ask("POST", MAPS, config_map(f"page-{number}", labels={"book": "one"}))
        names: list[str] = []
        token = ""
        while True:
            page = (await client.ask("GET", f"{MAPS}?labelSelector=book%3Done&limit=3&continue={token}")).json()
            names += [item["metadata"]["name"] for item in page["items"]]
            token = page["metadata"].get("continue", "")
            if not token:
                break
        assert names == [f"page-{number}" for number in range(7)]
        await client.ask("DELETE", f"{MAPS}?labelSelector=book%3Done")
        assert (await client.ask("GET", f"{MAPS}?labelSelector=book%3Done")).json()["items"] == []


async def test_scale_and_eviction(toy: ToyCluster) -> None:
    async with connected(toy) as client:
        scale = "/apis/apps/v1/namespaces/demo/deployments/lighthouse/scale"
        answer = (await client.ask("PATCH", scale, {"spec": {"replicas": 1}}, MERGE)).json()
        assert (answer["kind"], answer["spec"]) == ("Scale", {"replicas": 1})
        assert (await client.ask("GET", scale)).json()["spec"] == {"replicas": 1}
        evicted = await client.ask("POST", "/api/v1/namespaces/demo/pods/tug/eviction", {"metadata": {"name": "tug"}})
        assert evicted.status == 201


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/apis/nothing/v1/things", 404),
        ("PUT", MAPS, 405),
        ("GET", "/api/v1/namespaces/demo/pods/harbour-master/exec?command=ls", 400),
        ("GET", "/api/v1/namespaces/demo/pods/nobody/log", 404),
        ("GET", f"{MAPS}?limit=x", 400),
        ("GET", f"{MAPS}?resourceVersion=99999999", 504),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", 400),
    ],
)
async def test_what_cannot_be_is_a_status(toy: ToyCluster, method: str, path: str, status: int) -> None:
    async with connected(toy) as client:
        answer = await client.ask(method, path, {} if method in {"POST", "PUT"} else None)
        assert answer.status == status
        assert (answer.json()["kind"], answer.json()["code"]) == ("Status", status)


async def test_a_big_list_is_compressed_for_those_who_can_read_it(toy: ToyCluster) -> None:
    async with connected(toy) as client:
        big = {**config_map("big"), "data": {"text": "tide " * 40_000}}
        await client.ask("POST", MAPS, big)
        plain = await client.ask("GET", f"{MAPS}/big")
        packed = await client.ask("GET", f"{MAPS}/big", headers=[("Accept-Encoding", "gzip")])
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert len(packed.body) < len(plain.body) // 10
