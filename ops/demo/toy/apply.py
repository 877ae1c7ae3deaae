"""Who set which field: the record in `managedFields`, and server-side apply, which lives on it.

Pure. A set of fields is a set of paths to leaves; an item of a keyed list counts as a leaf too, so that it can be
owned. The toy keeps leaves only, where the real server also records the maps above them.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from ops.demo.toy.schema import Shape
from ops.demo.toy.statuses import ApiError, Object, bad_request

Path = tuple[str, ...]
Owner = tuple[str, str, str]
"""Manager, operation and sub-resource: one entry of `managedFields`."""

_METADATA_NOT_OWNED = frozenset(
    {
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "generation",
        "resourceVersion",
        "selfLink",
        "managedFields",
        "generateName",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    }
)
"""What the server sets itself, or nobody may change."""

_ITEM = "\0item"
"""Stands for the value of an item itself, whose contents are leaves of their own."""


def leaves(obj: Object, shape: Shape) -> dict[Path, Any]:
    """Every ownable field of an object, with its value."""
    found: dict[Path, Any] = {}
    owned = {key: value for key, value in obj.items() if key not in {"apiVersion", "kind"}}
    metadata = obj.get("metadata") or {}
    owned["metadata"] = {key: value for key, value in metadata.items() if key not in _METADATA_NOT_OWNED}
    if not owned["metadata"]:
        del owned["metadata"]
    for key, value in owned.items():
        _collect(value, shape.child(key), (f"f:{key}",), found)
    return found


def track(before: Object | None, after: Object, shape: Shape, owner: Owner, now: str) -> Object:
    """`after` with a `managedFields` that says what `owner` changed. Nothing changed: the record stays as it is."""
    old_record = (before or {}).get("metadata", {}).get("managedFields") or []
    given = after["metadata"].get("managedFields")
    record = _read(old_record if given is None else given)
    was, now_is = leaves(before or {}, shape), leaves(after, shape)
    changed = {path for path, value in now_is.items() if path not in was or was[path] != value}
    removed = was.keys() - now_is.keys()
    if not changed and not removed:
        return _with_record(after, old_record if given is None else [entry for entry in given if entry])
    for other in list(record):
        if other != owner:
            record[other] = (record[other][0] - changed - removed, record[other][1])
    mine, _ = record.get(owner, (set(), now))
    record[owner] = ((mine - removed) | changed, now)
    return _with_record(after, _write(record, after["apiVersion"]))


def apply(live: Object | None, config: Object, shape: Shape, manager: str, now: str, *, force: bool) -> Object:
    """The object after `manager` applied `config`. Raises 409 where another owner wants a different value."""
    if (config.get("metadata") or {}).get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    wanted = leaves(config, shape)
    owner: Owner = (manager, "Apply", "")
    record = _read((live or {}).get("metadata", {}).get("managedFields") or [])
    present = leaves(live or {}, shape)
    disputed = {
        other: {path for path in wanted.keys() & fields if present.get(path) != wanted[path]}
        for other, (fields, _) in record.items()
        if other != owner
    }
    disputed = {other: paths for other, paths in disputed.items() if paths}
    if disputed and not force:
        raise _conflict(disputed, config["apiVersion"])
    merged = _merge(live, config, shape) if live is not None else copy.deepcopy(config)
    previous, since = record.get(owner, (set(), now))
    others: set[Path] = set().union(*(fields for other, (fields, _) in record.items() if other != owner))
    for path in sorted(previous - wanted.keys(), key=len):  # an item goes before, and with, its fields
        if not _is_key(path) and not any(path == taken[: len(path)] for taken in others | wanted.keys()):
            _drop(merged, path)
    for other, paths in disputed.items():
        record[other] = (record[other][0] - paths, record[other][1])
    unchanged = previous == wanted.keys() and merged == live
    record[owner] = (set(wanted), since if unchanged else now)
    return _with_record(merged, _write(record, config["apiVersion"]))


def _collect(value: Any, shape: Shape, path: Path, found: dict[Path, Any]) -> None:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            _collect(item, shape.child(key), (*path, f"f:{key}"), found)
    elif isinstance(value, list) and shape.form == "keyed" and all(isinstance(item, dict) for item in value):
        for item in value:
            here = (*path, _item_step(item, shape))
            found[here] = _ITEM
            for key, inner in item.items():
                _collect(inner, shape.item().child(key), (*here, f"f:{key}"), found)
    elif isinstance(value, list) and shape.form == "set":
        for item in value:
            found[*path, "v:" + json.dumps(item)] = item
    else:
        found[path] = value


def _item_step(item: Mapping[str, Any], shape: Shape) -> str:
    defaults = {"protocol": "TCP"}
    keys = {key: item.get(key, defaults.get(key)) for key in sorted(shape.keys)}
    return "k:" + json.dumps({key: value for key, value in keys.items() if value is not None}, separators=(",", ":"))


def _merge(live: Any, config: Any, shape: Shape) -> Any:
    if isinstance(live, dict) and isinstance(config, dict):
        merged = dict(live)
        for key, value in config.items():
            merged[key] = _merge(live[key], value, shape.child(key)) if key in live else copy.deepcopy(value)
        return merged
    if isinstance(live, list) and isinstance(config, list) and shape.form == "keyed":
        items = {_item_step(item, shape): item for item in live}
        for item in config:
            step = _item_step(item, shape)
            items[step] = _merge(items[step], item, shape.item()) if step in items else copy.deepcopy(item)
        return list(items.values())
    if isinstance(live, list) and isinstance(config, list) and shape.form == "set":
        return [*live, *(item for item in config if item not in live)]
    return copy.deepcopy(config)


def _drop(obj: Any, path: Path) -> None:
    """Remove one field in place, from copies made along the way; an absent one is no matter."""
    for at, step in enumerate(path):
        last = at == len(path) - 1
        if step.startswith("f:"):
            key = step[2:]
            if not isinstance(obj, dict) or key not in obj:
                return
            if last:
                del obj[key]
                return
            obj[key] = copy.copy(obj[key])
            obj = obj[key]
        elif isinstance(obj, list):
            wanted = json.loads(step[2:])
            for index, item in enumerate(obj):
                same = _carries(item, wanted) if step.startswith("k:") else item == wanted
                if same and last:
                    del obj[index]
                    return
                if same:
                    obj[index] = copy.copy(item)
                    obj = obj[index]
                    break
            else:
                return


def _is_key(path: Path) -> bool:
    """Whether a field tells its list item apart; such a field goes only with the item."""
    return len(path) > 1 and path[-2].startswith("k:") and path[-1][2:] in json.loads(path[-2][2:])


def _carries(item: Mapping[str, Any], keys: Mapping[str, Any]) -> bool:
    return all(item.get(key, "TCP" if key == "protocol" else None) == value for key, value in keys.items())


def _conflict(disputed: Mapping[Owner, set[Path]], api_version: str) -> ApiError:
    causes, lines = [], []
    for (manager, operation, _), paths in sorted(disputed.items()):
        using = f" using {api_version}" if operation == "Update" else ""
        for path in sorted(paths):
            text = "".join("." + step[2:] if step.startswith("f:") else f"[{step[2:]}]" for step in path)
            message = f'conflict with "{manager}"{using}'
            causes.append({"reason": "FieldManagerConflict", "message": message, "field": text})
            lines.append(f"{message}: {text}")
    if len(lines) == 1:
        message = f"Apply failed with 1 conflict: {lines[0]}"
    else:
        message = f"Apply failed with {len(lines)} conflicts: " + "\n".join(["", *lines])
    return ApiError(409, "Conflict", message, {"causes": causes})


def _with_record(obj: Object, record: list[Object]) -> Object:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    if record:
        metadata["managedFields"] = record
    return {**obj, "metadata": metadata}


def _read(entries: list[Object]) -> dict[Owner, tuple[set[Path], str]]:
    record: dict[Owner, tuple[set[Path], str]] = {}
    for entry in entries:
        if not entry:
            continue
        owner = (entry.get("manager", ""), entry.get("operation", "Update"), entry.get("subresource", ""))
        fields: set[Path] = set()
        _unfold(entry.get("fieldsV1") or {}, (), fields)
        record[owner] = (fields, entry.get("time", ""))
    return record


def _unfold(tree: Mapping[str, Any], path: Path, fields: set[Path]) -> None:
    for step, below in tree.items():
        if step == ".":
            fields.add(path)
            continue
        if not below:
            fields.add((*path, step))
        _unfold(below, (*path, step), fields)


def _write(record: Mapping[Owner, tuple[set[Path], str]], api_version: str) -> list[Object]:
    entries: list[Object] = []
    for (manager, operation, subresource), (fields, since) in record.items():
        if not fields:
            continue
        tree: dict[str, Any] = {}
        for path in sorted(fields):
            here = tree
            for step in path:
                here = here.setdefault(step, {})
            if path[-1].startswith("k:"):
                here["."] = {}
        entry: Object = {"manager": manager, "operation": operation, "apiVersion": api_version, "time": since}
        entry |= {"fieldsType": "FieldsV1", "fieldsV1": tree}
        entries.append(entry | ({"subresource": subresource} if subresource else {}))
    return entries
