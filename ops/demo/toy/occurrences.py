"""Events: what happened to an object, kept beside it for `kubectl describe`."""

from __future__ import annotations

import uuid

from ops.demo.toy import clock
from ops.demo.toy.resources import EVENTS, Resource
from ops.demo.toy.statuses import Object
from ops.demo.toy.storage import Storage

EVENTS_KEPT = 2000
"""The real server forgets events after an hour; the toy forgets the oldest beyond this many."""


def report(
    storage: Storage, resource: Resource, obj: Object, reason: str, message: str, component: str, path: str = ""
) -> None:
    """Store an Event about `obj`."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace") or "default"
    now = clock.now_text()
    about = {
        "kind": resource.kind,
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "uid": metadata["uid"],
        "apiVersion": resource.api_version,
        "resourceVersion": metadata.get("resourceVersion", ""),
    }
    if path:
        about["fieldPath"] = path
    name = f"{metadata['name']}.{uuid.uuid4().hex[:16]}"
    event: Object = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace, "uid": str(uuid.uuid4()), "creationTimestamp": now},
        "involvedObject": about,
        "reason": reason,
        "message": message,
        "source": {"component": component},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "type": "Normal",
        "eventTime": None,
        "reportingComponent": component,
        "reportingInstance": "",
    }
    storage.create(EVENTS, event)
    if storage.count(EVENTS) > EVENTS_KEPT:
        oldest = min(storage.list(EVENTS), key=lambda one: int(one["metadata"]["resourceVersion"]))["metadata"]
        storage.remove(EVENTS, oldest["namespace"], oldest["name"])
