"""JSON patch (RFC 6902), JSON merge patch (RFC 7386) and Kubernetes' strategic merge patch.

Pure: each takes an object and a patch and gives a new object; neither argument is changed. What cannot be applied
raises the status the API server would answer.
"""

from __future__ import annotations

import copy
from typing import Any

from ops.demo.toy.schema import Shape
from ops.demo.toy.statuses import ApiError, Object, bad_request

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"


def json_patch(obj: Object, operations: Any) -> Object:
    """Apply the operations in order; a failed test or an absent path refuses the whole patch."""
    if not isinstance(operations, list):
        raise bad_request("a JSON patch is a list of operations")
    root: dict[str, Any] = {"": copy.deepcopy(obj)}
    for operation in operations:
        try:
            _operate(root, operation)
        except (KeyError, IndexError, ValueError, TypeError) as failed:
            message = f"the server rejected our request due to an error in our request: {failed}"
            raise ApiError(422, "Invalid", message) from failed
    return dict(root[""])


def merge_patch(target: Any, patch: Any) -> Any:
    """Maps merge, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def strategic_patch(target: Any, patch: Any, shape: Shape) -> Any:
    """Like a merge patch, but lists with keys merge item by item, and `$` directives are obeyed."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    directive = patch.get("$patch")
    if directive == "replace":
        return _without_directives(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    if directive == "delete":
        return {}
    if "$retainKeys" in patch:
        merged = {key: value for key, value in merged.items() if key in patch["$retainKeys"]}
    for key, value in patch.items():
        if key.startswith(_DELETE):
            name = key.removeprefix(_DELETE)
            merged[name] = [item for item in merged.get(name) or [] if item not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge_value(merged.get(key), value, shape.child(key))
    for key, value in patch.items():
        if key.startswith(_ORDER):
            name = key.removeprefix(_ORDER)
            if isinstance(merged.get(name), list):
                merged[name] = _ordered(merged[name], value, shape.child(name))
    return merged


def _merge_value(old: Any, new: Any, shape: Shape) -> Any:
    if isinstance(new, list) and shape.form == "keyed":
        return _merge_keyed(old or [], new, shape)
    if isinstance(new, list) and shape.form == "set":
        return [*(old or []), *(item for item in new if item not in (old or []))]
    if isinstance(new, dict):
        return strategic_patch(old, new, shape)
    return copy.deepcopy(new)


def _merge_keyed(old: list[Any], new: list[Any], shape: Shape) -> list[Any]:
    """Items are told apart by the first key alone, as strategic merge patch does."""
    key = shape.keys[0]
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in new):
        return [copy.deepcopy(item) for item in new if item.get("$patch") != "replace"]
    merged = list(old)
    for item in new:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {item!r} does not contain declared merge key: {key}")
        at = next((index for index, known in enumerate(merged) if known.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            merged = [known for known in merged if known.get(key) != item[key]]
        elif at is None:
            merged.append(strategic_patch({}, item, shape.item()))
        else:
            merged[at] = strategic_patch(merged[at], item, shape.item())
    return merged


def _ordered(items: list[Any], order: list[Any], shape: Shape) -> list[Any]:
    """Listed items in the given order; those the patch does not know keep their place behind their neighbour."""
    if shape.form == "keyed":
        key = shape.keys[0]
        wanted = [item.get(key) for item in order]
        names = [item.get(key) for item in items]
    else:
        wanted, names = order, items
    known = sorted((index for index, name in enumerate(names) if name in wanted), key=lambda i: wanted.index(names[i]))
    places = iter(known)
    return [items[next(places)] if name in wanted else item for name, item in zip(names, items, strict=True)]


def _without_directives(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_directives(item) for key, item in value.items() if not key.startswith("$")}
    return copy.deepcopy(value)


def _operate(root: dict[str, Any], operation: Object) -> None:
    name, path = operation["op"], _pointer(operation["path"])
    if name in {"add", "replace", "test"}:
        value = copy.deepcopy(operation["value"])
    elif name in {"move", "copy"}:
        value = copy.deepcopy(_at(root, _pointer(operation["from"])))
    if name == "test":
        if _at(root, path) != value:
            raise ValueError(f"testing value {operation['path']} failed")
        return
    if name == "move":
        _remove(root, _pointer(operation["from"]))
    if name == "remove":
        _remove(root, path)
    elif name in {"add", "move", "copy"}:
        _add(root, path, value)
    elif name == "replace":
        _at(root, path)
        parent, last = _at(root, path[:-1]), path[-1]
        parent[_index(parent, last) if isinstance(parent, list) else last] = value
    else:
        raise ValueError(f"unexpected kind: {name}")


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError(f"invalid JSON pointer: {text}")
    steps = text.split("/")
    return [step.replace("~1", "/").replace("~0", "~") for step in steps]


def _at(root: Any, path: list[str]) -> Any:
    for step in path:
        root = root[_index(root, step)] if isinstance(root, list) else root[step]
    return root


def _add(root: Any, path: list[str], value: Any) -> None:
    parent, last = _at(root, path[:-1]), path[-1]
    if isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(parent, last, beyond=1), value)
    else:
        parent[last] = value


def _remove(root: Any, path: list[str]) -> None:
    parent, last = _at(root, path[:-1]), path[-1]
    if isinstance(parent, list):
        del parent[_index(parent, last)]
    else:
        del parent[last]


def _index(items: list[Any], step: str, beyond: int = 0) -> int:
    at = int(step)
    if not 0 <= at < len(items) + beyond:
        raise IndexError(f"index {at} is out of bounds")
    return at
