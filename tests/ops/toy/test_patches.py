"""The three patches, as tables of before, patch and after."""

from __future__ import annotations

from typing import Any

import pytest

from ops.demo.toy.patches import json_patch, merge_patch, strategic_patch
from ops.demo.toy.schema import Shape
from ops.demo.toy.statuses import ApiError

POD = Shape("object", "PodSpec")
META = Shape("object", "ObjectMeta")


@pytest.mark.parametrize(
    ("before", "operations", "after"),
    [
        ({"a": 1}, [{"op": "add", "path": "/b", "value": 2}], {"a": 1, "b": 2}),
        ({"a": [1, 2]}, [{"op": "add", "path": "/a/-", "value": 3}], {"a": [1, 2, 3]}),
        ({"a": [1, 2]}, [{"op": "add", "path": "/a/0", "value": 0}], {"a": [0, 1, 2]}),
        ({"a": [1, 2]}, [{"op": "remove", "path": "/a/0"}], {"a": [2]}),
        ({"a/b": 1}, [{"op": "replace", "path": "/a~1b", "value": 2}], {"a/b": 2}),
        ({"a": 1}, [{"op": "move", "from": "/a", "path": "/b"}], {"b": 1}),
        ({"a": {}}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": {}, "b": {}}),
        ({"a": 1}, [{"op": "test", "path": "/a", "value": 1}], {"a": 1}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"c": 1}}], {"c": 1}),
    ],
)
def test_json_patch(before: Any, operations: Any, after: Any) -> None:
    assert json_patch(before, operations) == after


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "test", "path": "/a", "value": 2}],
        [{"op": "remove", "path": "/b"}],
        [{"op": "replace", "path": "/b", "value": 1}],
        [{"op": "dance", "path": "/a"}],
        [{"op": "add", "path": "a", "value": 1}],
    ],
)
def test_a_json_patch_that_cannot_be_applied_changes_nothing(operations: Any) -> None:
    before = {"a": 1}
    with pytest.raises(ApiError) as refused:
        json_patch(before, operations)
    assert refused.value.code == 422
    assert before == {"a": 1}


def test_merge_patch() -> None:
    before = {"a": {"b": 1, "c": 2}, "l": [1, 2]}
    assert merge_patch(before, {"a": {"b": None, "d": {"e": None, "f": 1}}, "l": [3]}) == {
        "a": {"c": 2, "d": {"f": 1}},
        "l": [3],
    }


ONE, TWO = {"name": "one", "image": "a"}, {"name": "two", "image": "b"}


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        ([ONE, TWO], [{"name": "two", "image": "c"}], [ONE, {"name": "two", "image": "c"}]),
        ([ONE], [TWO], [ONE, TWO]),
        ([ONE, TWO], [{"name": "one", "$patch": "delete"}], [TWO]),
        ([ONE, TWO], [{"$patch": "replace"}, {"name": "three"}], [{"name": "three"}]),
    ],
)
def test_strategic_patch_merges_containers_by_name(before: Any, patch: Any, after: Any) -> None:
    assert strategic_patch({"containers": before}, {"containers": patch}, POD) == {"containers": after}


def test_strategic_directives() -> None:
    order = {"$setElementOrder/containers": [{"name": "two"}, {"name": "one"}]}
    assert strategic_patch({"containers": [ONE, TWO]}, order, POD) == {"containers": [TWO, ONE]}
    volume = {"volumes": [{"name": "v", "$retainKeys": ["name", "emptyDir"], "emptyDir": {}}]}
    before = {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}
    assert strategic_patch(before, volume, POD) == {"volumes": [{"name": "v", "emptyDir": {}}]}
    finalizers = {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}
    assert strategic_patch({"finalizers": ["a", "b"]}, finalizers, META) == {"finalizers": ["b", "c"]}
    assert strategic_patch({"tolerations": [1]}, {"tolerations": [2]}, POD) == {"tolerations": [2]}
    assert strategic_patch({"nodeSelector": {"a": "1"}}, {"nodeSelector": None}, POD) == {}
