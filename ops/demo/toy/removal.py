"""How an object ends: at once, after a pod's grace period, or when its last finalizer is gone.

Dependents are taken along later, by the controllers; orphans are cut loose here, before their owner goes.
"""

from __future__ import annotations

import datetime as dt

from ops.demo.toy import clock
from ops.demo.toy.resources import NAMESPACES, PODS, STORED, Resource
from ops.demo.toy.statuses import Object
from ops.demo.toy.storage import Storage, key_of


def remove_object(storage: Storage, resource: Resource, obj: Object, grace: int | None = None) -> tuple[Object, bool]:
    """Begin or finish the end of an object; what it is now, and whether it is gone."""
    metadata = obj["metadata"]
    if resource is PODS and grace is None:
        grace = obj["spec"].get("terminationGracePeriodSeconds", 30)
    lingers = bool(metadata.get("finalizers")) or resource is NAMESPACES
    if resource is PODS and grace:
        lingers = True
    if not lingers:
        last = storage.remove(resource, *key_of(obj))
        return last or obj, True
    already = metadata.get("deletionTimestamp")
    if already and not (resource is PODS and (grace or 0) < metadata.get("deletionGracePeriodSeconds", 0)):
        return obj, False
    seconds = grace if resource is PODS and grace else 0
    ends = clock.text(clock.now() + dt.timedelta(seconds=seconds))
    marked = {**obj, "metadata": {**metadata, "deletionTimestamp": ends, "deletionGracePeriodSeconds": seconds}}
    if resource is NAMESPACES:
        del marked["metadata"]["deletionGracePeriodSeconds"]
        marked["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
    return storage.update(resource, marked), False


def finish_if_free(storage: Storage, resource: Resource, obj: Object) -> bool:
    """Forget an object that waited only for its finalizers; whether it is gone."""
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers") or resource is NAMESPACES:
        return False
    if resource is PODS and metadata.get("deletionGracePeriodSeconds"):
        return False
    storage.remove(resource, *key_of(obj))
    return True


def orphan_dependents(storage: Storage, owner: Object) -> None:
    """Cut every dependent of `owner` loose, so that it outlives it."""
    uid = owner["metadata"]["uid"]
    for resource in STORED:
        for obj in storage.list(resource, owner["metadata"].get("namespace")):
            owners = obj["metadata"].get("ownerReferences") or []
            kept = [one for one in owners if one["uid"] != uid]
            if len(kept) != len(owners):
                metadata = {key: value for key, value in obj["metadata"].items() if key != "ownerReferences"}
                if kept:
                    metadata["ownerReferences"] = kept
                storage.update(resource, {**obj, "metadata": metadata})
