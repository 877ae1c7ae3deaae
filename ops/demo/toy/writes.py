"""create, update, patch and delete."""

from __future__ import annotations

from collections.abc import Callable

from ops.demo.toy import clock, scales
from ops.demo.toy.admission import admit_change, admit_new
from ops.demo.toy.apply import Owner, apply, track
from ops.demo.toy.bodies import (
    decode,
    is_dry_run,
    manager_of,
    media_type,
    read_object,
    read_options,
    validate_fields,
)
from ops.demo.toy.exchange import Exchange, Headers
from ops.demo.toy.negotiation import OF_OBJECT, choose
from ops.demo.toy.patches import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    json_patch,
    merge_patch,
    strategic_patch,
)
from ops.demo.toy.reads import wanted
from ops.demo.toy.removal import finish_if_free, orphan_dependents, remove_object
from ops.demo.toy.resources import NAMESPACES, Resource
from ops.demo.toy.schema import shape_of
from ops.demo.toy.statuses import (
    ApiError,
    Object,
    bad_request,
    conflict,
    details_of,
    not_found,
    success,
    unsupported_media_type,
)
from ops.demo.toy.storage import Storage
from ops.demo.toy.tables import show_list, show_object
from ops.demo.toy.targets import Target

Change = Callable[[Object], Object]
_PATCHES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)


async def create(exchange: Exchange, storage: Storage, target: Target) -> None:
    resource = target.resource
    obj = await read_object(exchange, resource.kind, resource.api_version)
    warnings = validate_fields(exchange, resource, obj)
    stored = _create(exchange, storage, target, obj, (manager_of(exchange), "Update", ""))
    await _show(exchange, target, stored, 201, warnings)


async def update(exchange: Exchange, storage: Storage, target: Target) -> None:
    resource = target.resource
    sub = resource.subresource(target.subresource) if target.subresource else None
    kind = (sub.kind if sub is not None else "") or resource.kind
    api_version = f"{sub.group}/{sub.version}" if sub is not None and sub.group else resource.api_version
    obj = await read_object(exchange, kind, api_version)
    if ((obj.get("metadata") or {}).get("name") or target.name) != target.name:
        raise bad_request("the name of the object does not match the name on the URL")
    warnings = validate_fields(exchange, resource, obj) if not target.subresource else []
    expected = (obj.get("metadata") or {}).get("resourceVersion") or None
    stored = _change(exchange, storage, target, lambda _: obj, expected)
    await _show(exchange, target, stored, 200, warnings)


async def patch(exchange: Exchange, storage: Storage, target: Target) -> None:
    how = media_type(exchange)
    if how not in _PATCHES:
        raise unsupported_media_type(how, _PATCHES)
    body = decode(await exchange.body(), yaml_too=how == APPLY_PATCH)
    if how == APPLY_PATCH:
        await _apply(exchange, storage, target, body)
        return
    if how != JSON_PATCH and not isinstance(body, dict):
        raise bad_request("a merge patch is an object")
    expected = (body.get("metadata") or {}).get("resourceVersion") if isinstance(body, dict) else None

    def changed(current: Object) -> Object:
        if how == JSON_PATCH:
            return json_patch(current, body)
        if how == MERGE_PATCH:
            return dict(merge_patch(current, body))
        return dict(strategic_patch(current, body, shape_of(target.resource)))

    warnings: list[Headers] = []

    def checked(current: Object) -> Object:
        obj = changed(current)
        if not target.subresource:
            warnings.append(validate_fields(exchange, target.resource, obj))
        return obj

    stored = _change(exchange, storage, target, checked, expected)
    await _show(exchange, target, stored, 200, warnings[0] if warnings else [])


async def delete(exchange: Exchange, storage: Storage, target: Target) -> None:
    resource = target.resource
    options = await read_options(exchange)
    place = target.place if resource.namespaced else ""
    obj = storage.get(resource, place, target.name)
    last, gone = _delete(storage, resource, obj, options)
    details = details_of(resource.group, resource.plural, target.name) | {"uid": obj["metadata"]["uid"]}
    await _show(exchange, target, success(details) if gone else last, 200)


async def delete_collection(exchange: Exchange, storage: Storage, target: Target) -> None:
    options = await read_options(exchange)
    chosen = [obj for obj in storage.list(target.resource, target.namespace) if wanted(exchange)(obj)]
    for obj in chosen:
        _delete(storage, target.resource, obj, options)
    form = choose(exchange.header("accept"), {})
    metadata = {"resourceVersion": str(storage.version)}
    await exchange.answer_json(200, show_list(form, target.resource, chosen, metadata, ""))


async def evict(exchange: Exchange, storage: Storage, target: Target) -> None:
    """POST pods/{name}/eviction: a delete that asks politely; the toy never refuses."""
    eviction = await read_object(exchange, "Eviction", "policy/v1")
    pod = storage.get(target.resource, target.place, target.name)
    _delete(storage, target.resource, pod, eviction.get("deleteOptions") or {})
    await exchange.answer_json(201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})


async def _apply(exchange: Exchange, storage: Storage, target: Target, config: object) -> None:
    """Server-side apply: create, or merge what this manager says into what is there."""
    resource = target.resource
    if not isinstance(config, dict) or target.subresource:
        raise bad_request("apply takes an object, on the object's own path")
    manager = exchange.parameter("fieldManager")
    if not manager:
        message = 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
        raise ApiError(422, "Invalid", message)
    config = {"apiVersion": resource.api_version, "kind": resource.kind, **config}
    warnings = validate_fields(exchange, resource, config)
    place = target.place if resource.namespaced else ""
    live = storage.find(resource, place, target.name)
    force, now = exchange.flag("force"), clock.now_text()
    if live is None:
        config["metadata"] = {**(config.get("metadata") or {}), "name": target.name}
        applied = apply(None, config, shape_of(resource), manager, now, force=force)
        stored = _create(exchange, storage, target, applied, None)
        await _show(exchange, target, stored, 201, warnings)
        return
    applied = apply(live, config, shape_of(resource), manager, now, force=force)
    stored = _store_change(exchange, storage, target, live, applied, None)
    await _show(exchange, target, stored, 200, warnings)


def _create(exchange: Exchange, storage: Storage, target: Target, obj: Object, owner: Owner | None) -> Object:
    resource = target.resource
    admitted = admit_new(resource, obj, target.place)
    name = admitted["metadata"]["name"]
    if resource.namespaced:
        namespace = storage.find(NAMESPACES, "", target.place)
        if namespace is None:
            raise not_found("", "namespaces", target.place)
        if namespace["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {target.place} because it is being terminated"
            details = details_of(resource.group, resource.plural, name)
            raise ApiError(403, "Forbidden", f'{resource.plural} "{name}" is forbidden: {why}', details)
    if owner is not None:
        admitted["metadata"].pop("managedFields", None)
        admitted = track(None, admitted, shape_of(resource), owner, clock.now_text())
    if is_dry_run(exchange):
        if storage.find(resource, target.place if resource.namespaced else "", name) is None:
            return admitted
        return storage.create(resource, admitted)  # raises: it exists
    return storage.create(resource, admitted)


def _change(exchange: Exchange, storage: Storage, target: Target, change: Change, expected: str | None) -> Object:
    """Change one object, or what it is through a sub-resource; the answer to show."""
    resource = target.resource
    current = storage.get(resource, target.place if resource.namespaced else "", target.name)
    if expected and expected != current["metadata"]["resourceVersion"]:
        why = "the object has been modified; please apply your changes to the latest version and try again"
        raise conflict(resource.group, resource.plural, target.name, why)
    owner = (manager_of(exchange), "Update", target.subresource)
    if target.subresource == "scale":
        replicas = scales.replicas_of(change(scales.scale_of(current)))
        wanted_state = {**current, "spec": {**current["spec"], "replicas": replicas}}
        return scales.scale_of(_store_change(exchange, storage, target, current, wanted_state, owner))
    return _store_change(exchange, storage, target, current, change(current), owner)


def _store_change(
    exchange: Exchange, storage: Storage, target: Target, current: Object, obj: Object, owner: Owner | None
) -> Object:
    resource = target.resource
    admitted = admit_change(resource, current, obj, target.subresource)
    if owner is not None:
        admitted = track(current, admitted, shape_of(resource), owner, clock.now_text())
    if is_dry_run(exchange):
        return admitted
    stored = storage.update(resource, admitted)
    finish_if_free(storage, resource, stored)
    return stored


def _delete(storage: Storage, resource: Resource, obj: Object, options: Object) -> tuple[Object, bool]:
    metadata = obj["metadata"]
    required = options.get("preconditions") or {}
    for key, shown in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        if required.get(key) and required[key] != metadata[key]:
            have = f"{shown} in object meta: {metadata[key]}"
            why = f"Precondition failed: {shown} in precondition: {required[key]}, {have}"
            raise conflict(resource.group, resource.plural, metadata["name"], why)
    if options.get("dryRun"):
        return obj, False
    if options.get("propagationPolicy") == "Orphan" or options.get("orphanDependents"):
        orphan_dependents(storage, obj)
    return remove_object(storage, resource, obj, options.get("gracePeriodSeconds"))


async def _show(exchange: Exchange, target: Target, obj: Object, status: int, headers: Headers | None = None) -> None:
    form = choose(exchange.header("accept"), OF_OBJECT)
    shown = show_object(form, target.resource, obj, exchange.parameter("includeObject", "Metadata"))
    await exchange.answer_json(status, shown, headers, form.content_type)
