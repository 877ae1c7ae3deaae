"""Server-side apply: who owns what, conflicts, and what goes when its owner no longer says it."""

from __future__ import annotations

from typing import Any

import pytest

from ops.demo.toy.apply import apply, track
from ops.demo.toy.resources import CONFIG_MAPS, PODS
from ops.demo.toy.schema import shape_of
from ops.demo.toy.statuses import ApiError

NOW = "2025-01-01T00:00:00Z"
SHAPE = shape_of(CONFIG_MAPS)


def config_map(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": data}


def owners(obj: dict[str, Any]) -> dict[str, list[str]]:
    return {
        one["manager"]: sorted(one["fieldsV1"].get("f:data", {})) for one in obj["metadata"].get("managedFields", [])
    }


def test_an_owner_takes_back_what_it_no_longer_says() -> None:
    first = apply(None, config_map(a="1", b="2"), SHAPE, "ann", NOW, force=False)
    second = apply(first, config_map(a="1"), SHAPE, "ann", NOW, force=False)
    assert second["data"] == {"a": "1"}
    assert owners(second) == {"ann": ["f:a"]}


def test_what_two_say_stays_when_one_stops() -> None:
    live = apply(None, config_map(a="1", b="2"), SHAPE, "ann", NOW, force=False)
    live = apply(live, config_map(b="2"), SHAPE, "bob", NOW, force=False)
    live = apply(live, config_map(a="1"), SHAPE, "ann", NOW, force=False)
    assert live["data"] == {"a": "1", "b": "2"}
    assert owners(live) == {"ann": ["f:a"], "bob": ["f:b"]}


def test_a_dispute_is_refused_unless_forced() -> None:
    live = apply(None, config_map(a="1"), SHAPE, "ann", NOW, force=False)
    with pytest.raises(ApiError) as refused:
        apply(live, config_map(a="2"), SHAPE, "bob", NOW, force=False)
    assert refused.value.message == 'Apply failed with 1 conflict: conflict with "ann": .data.a'
    assert refused.value.code == 409
    forced = apply(live, config_map(a="2"), SHAPE, "bob", NOW, force=True)
    assert forced["data"] == {"a": "2"}
    assert owners(forced) == {"bob": ["f:a"]}


def test_an_update_takes_over_what_it_changes() -> None:
    live = apply(None, config_map(a="1", b="2"), SHAPE, "ann", NOW, force=False)
    changed = {**live, "data": {"a": "9", "b": "2"}}
    tracked = track(live, changed, SHAPE, ("editor", "Update", ""), NOW)
    assert owners(tracked) == {"ann": ["f:b"], "editor": ["f:a"]}


def test_list_items_have_owners_of_their_own() -> None:
    def pod(*containers: dict[str, str]) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": list(containers)}}

    shape = shape_of(PODS)
    live = apply(None, pod({"name": "one", "image": "a"}), shape, "ann", NOW, force=False)
    live = apply(live, pod({"name": "two", "image": "b"}), shape, "bob", NOW, force=False)
    assert [one["name"] for one in live["spec"]["containers"]] == ["one", "two"]
    live = apply(live, pod(), shape, "bob", NOW, force=False)
    assert [one["name"] for one in live["spec"]["containers"]] == ["one"]
