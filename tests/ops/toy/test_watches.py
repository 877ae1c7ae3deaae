"""Watches as client-go uses them: from a version, from now, with bookmarks, as Tables, and when it is too late."""

from __future__ import annotations

from typing import Any

import h11
import pytest

from tests.ops.toy.conftest import ToyCluster
from tests.ops.toy.http_client import Client, Lines, connected

pytestmark = pytest.mark.real_clock

MAPS = "/api/v1/namespaces/default/configmaps"


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


async def open_watch(client: Client, query: str, accept: str = "application/json") -> Lines:
    await client.begin("GET", f"{MAPS}?watch=1&{query}", [("Accept", accept)])
    await client.send(h11.EndOfMessage())
    head = await client.head()
    assert (b"content-type", b"application/json") in list(head.headers)
    return Lines(client)


async def test_changes_arrive_from_a_version_on(toy: ToyCluster) -> None:
    async with connected(toy) as client, connected(toy) as watcher:
        version = (await client.ask("GET", MAPS)).json()["metadata"]["resourceVersion"]
        await client.ask("POST", MAPS, config_map("w1", a="1"))
        events = await open_watch(watcher, f"resourceVersion={version}&fieldSelector=metadata.name=w1")
        await client.ask("PATCH", f"{MAPS}/w1", {"data": {"a": "2"}}, "application/merge-patch+json")
        await client.ask("DELETE", f"{MAPS}/w1")
        seen = [await anext(events) for _ in range(3)]
        assert [event["type"] for event in seen] == ["ADDED", "MODIFIED", "DELETED"]
        versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in seen]
        assert versions == sorted(set(versions))


async def test_a_watch_list_sends_what_is_there_and_says_where_it_ends(toy: ToyCluster) -> None:
    async with connected(toy) as client, connected(toy) as watcher:
        await client.ask("POST", MAPS, config_map("w2"))
        events = await open_watch(
            watcher, "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        )
        kinds = []
        while (event := await anext(events))["type"] == "ADDED":
            kinds.append(event["object"]["metadata"]["name"])
        assert "w2" in kinds
        assert event["type"] == "BOOKMARK"
        assert event["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_labels_decide_what_a_change_looks_like(toy: ToyCluster) -> None:
    async with connected(toy) as client, connected(toy) as watcher:
        await client.ask("POST", MAPS, config_map("w3"))
        version = (await client.ask("GET", MAPS)).json()["metadata"]["resourceVersion"]
        events = await open_watch(watcher, f"resourceVersion={version}&labelSelector=sea%3Dnorth")
        for sea in ("north", None):
            patch = {"metadata": {"labels": {"sea": sea}}}
            await client.ask("PATCH", f"{MAPS}/w3", patch, "application/merge-patch+json")
        assert [(await anext(events))["type"] for _ in range(2)] == ["ADDED", "DELETED"]


async def test_a_table_has_a_row_for_each_event(toy: ToyCluster) -> None:
    async with connected(toy) as client, connected(toy) as watcher:
        await client.ask("POST", MAPS, config_map("w4", a="1"))
        accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
        events = await open_watch(watcher, "resourceVersion=0&fieldSelector=metadata.name=w4", accept)
        table = (await anext(events))["object"]
        assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
        assert table["rows"][0]["cells"][:2] == ["w4", "1"]
        assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


async def test_too_late_is_410(toy: ToyCluster) -> None:
    async with connected(toy) as client, connected(toy) as watcher:
        version = (await client.ask("GET", MAPS)).json()["metadata"]["resourceVersion"]
        await client.ask("POST", MAPS, config_map("w5"))
        await client.ask("POST", "/toy/forget-history")
        events = await open_watch(watcher, f"resourceVersion={version}")
        event = await anext(events)
        assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
        assert [event async for event in events] == []  # and the watch is over


async def test_a_watch_ends_when_its_time_is_up_and_the_connection_is_kept(toy: ToyCluster) -> None:
    async with connected(toy) as watcher:
        events = await open_watch(watcher, "timeoutSeconds=1&resourceVersion=0&fieldSelector=metadata.name=none")
        assert [event async for event in events] == []
        watcher.http.start_next_cycle()
        assert (await watcher.ask("GET", "/version")).status == 200
