"""What storage remembers, and for how long."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from ops.demo.toy.resources import CONFIG_MAPS, PODS
from ops.demo.toy.statuses import ApiError
from ops.demo.toy.storage import Storage


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "demo"}, "data": data}


def test_a_stored_object_is_never_changed_in_place() -> None:
    storage = Storage()
    first = storage.create(CONFIG_MAPS, config_map("a", x="1"))
    second = storage.update(CONFIG_MAPS, config_map("a", x="2"))
    assert (first["data"], second["data"]) == ({"x": "1"}, {"x": "2"})
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    assert storage.update(CONFIG_MAPS, config_map("a", x="2")) is second  # nothing changed: nothing written


def test_history_is_bounded_and_says_when_it_has_forgotten() -> None:
    storage = Storage(history_changes=3)
    start = storage.version
    for number in range(5):
        storage.create(CONFIG_MAPS, config_map(f"m{number}"))
    assert len(list(storage.changes_after(CONFIG_MAPS, start + 2))) == 3
    with pytest.raises(ApiError) as refused:
        storage.changes_after(CONFIG_MAPS, start)
    assert refused.value.code == 410


async def test_a_waiter_wakes_for_its_own_kind_only() -> None:
    storage = Storage()
    woken: list[int] = []

    async def wait() -> None:
        await storage.wait_for_change(CONFIG_MAPS, storage.version)
        woken.append(storage.version)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        storage.create(PODS, config_map("pod"))
        await trio.testing.wait_all_tasks_blocked()
        assert woken == []
        storage.create(CONFIG_MAPS, config_map("a"))
    assert len(woken) == 1
