"""The `scale` sub-resource: how many replicas an object has, in one form for every kind."""

from __future__ import annotations

from ops.demo.toy.selectors import selector_text
from ops.demo.toy.statuses import Object, bad_request

_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(obj: Object) -> Object:
    """The `Scale` of a deployment or replica set."""
    metadata = {key: obj["metadata"][key] for key in _METADATA if key in obj["metadata"]}
    status = {
        "replicas": (obj.get("status") or {}).get("replicas", 0),
        "selector": selector_text(obj["spec"]["selector"]),
    }
    spec = {"replicas": obj["spec"]["replicas"]}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status}


def replicas_of(scale: Object) -> int:
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or replicas < 0:
        raise bad_request("spec.replicas: Invalid value: must be greater than or equal to 0")
    return replicas
