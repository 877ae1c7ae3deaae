"""What happens to an object between the client and storage: names, defaults, and the checks that refuse it.

Pure but for names and uids, which are random. It knows the common mistakes, not every rule of the API server.
"""

from __future__ import annotations

import base64
import copy
import re
import secrets
import uuid
from typing import Any

from ops.demo.toy import clock
from ops.demo.toy.resources import DEPLOYMENTS, NAMESPACES, PODS, REPLICA_SETS, SECRETS, SERVICES, Resource
from ops.demo.toy.schema import TYPES, Shape, shape_of
from ops.demo.toy.selectors import matches_selector
from ops.demo.toy.statuses import ApiError, Object, bad_request, invalid

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
NAME_BYTES_MAX = 253
NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""Letters of generated names: no vowels, so that no words arise."""

_POD_MUTABLE = {"activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "ephemeralContainers"}
_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")


def random_suffix(length: int = 5) -> str:
    return "".join(secrets.choice(NAME_LETTERS) for _ in range(length))


def admit_new(resource: Resource, obj: Object, namespace: str) -> Object:
    """The object as it is first stored. Raises what the API server would answer to a bad one."""
    obj = copy.deepcopy(obj)
    metadata: Object = obj.setdefault("metadata", {}) or {}
    obj["metadata"] = metadata
    if metadata.get("resourceVersion"):
        raise bad_request("resourceVersion should not be set on objects to be created")
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"] + random_suffix()
    name = metadata.get("name") or ""
    if not name:
        raise invalid(
            resource.kind, resource.group, "", "metadata.name", "Required value: name or generateName is required"
        )
    if len(name) > NAME_BYTES_MAX or not _NAME.fullmatch(name):
        why = f'Invalid value: "{name}": a lowercase RFC 1123 subdomain is required'
        raise invalid(resource.kind, resource.group, name, "metadata.name", why)
    if resource.namespaced:
        given = metadata.setdefault("namespace", namespace)
        if given != namespace:
            message = f"the namespace of the provided object does not match the namespace sent on the request ({given})"
            raise bad_request(message)
    else:
        metadata.pop("namespace", None)
    metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": clock.now_text()}
    for given_by_server in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"):
        metadata.pop(given_by_server, None)
    if "spec" in obj and resource is not NAMESPACES:
        metadata["generation"] = 1
    obj |= {"apiVersion": resource.api_version, "kind": resource.kind}
    if resource.subresource("status") is not None:
        obj["status"] = {}
    set_defaults(resource, obj)
    check(resource, obj)
    return obj


def admit_change(resource: Resource, before: Object, after: Object, subresource: str = "") -> Object:
    """The object as it replaces `before`; what a request cannot change is put back."""
    after = copy.deepcopy(after)
    old, metadata = before["metadata"], after.setdefault("metadata", {})
    if metadata.get("uid", old["uid"]) != old["uid"]:
        message = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {old['uid']}"
        raise ApiError(409, "Conflict", message)
    if subresource == "status":
        record = {"managedFields": metadata["managedFields"]} if "managedFields" in metadata else {}
        return {**before, "status": after.get("status") or {}, "metadata": {**old, **record}}
    if resource.subresource("status") is not None:
        after["status"] = before.get("status") or {}
    kept = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "namespace")
    for key in (*kept, "name", "generateName"):
        metadata.pop(key, None)
        if key in old:
            metadata[key] = old[key]
    if old.get("deletionTimestamp"):
        added = set(metadata.get("finalizers") or []) - set(old.get("finalizers") or [])
        if added:
            why = f"Forbidden: no new finalizers can be added if the object is being deleted: {sorted(added)}"
            raise invalid(resource.kind, resource.group, old["name"], "metadata.finalizers", why)
    after |= {"apiVersion": resource.api_version, "kind": resource.kind}
    set_defaults(resource, after)
    check(resource, after)
    _check_unchanged(resource, before, after, subresource)
    if after.get("spec") != before.get("spec") and "generation" in old:
        metadata["generation"] = old["generation"] + 1
    return after


def set_defaults(resource: Resource, obj: Object) -> None:
    """Fill in what the client left open, in place."""
    metadata = obj["metadata"]
    if resource is NAMESPACES:
        obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
        obj["status"] = obj.get("status") or {"phase": "Active"}
        metadata["labels"] = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata["name"]}
    elif resource is PODS:
        _pod_defaults(obj.setdefault("spec", {}))
        obj["status"] = obj.get("status") or {"phase": "Pending", "qosClass": "BestEffort"}
    elif resource is SECRETS:
        obj.setdefault("type", "Opaque")
        texts = obj.pop("stringData", None) or {}
        if texts:
            encoded = {key: base64.b64encode(value.encode()).decode() for key, value in texts.items()}
            obj["data"] = {**(obj.get("data") or {}), **encoded}
    elif resource is SERVICES:
        _service_defaults(obj.setdefault("spec", {}))
        obj["status"] = obj.get("status") or {"loadBalancer": {}}
    elif resource in {DEPLOYMENTS, REPLICA_SETS}:
        spec = obj.setdefault("spec", {})
        spec.setdefault("replicas", 1)
        if resource is DEPLOYMENTS:
            spec.setdefault("progressDeadlineSeconds", 600)
            spec.setdefault("revisionHistoryLimit", 10)
            strategy = spec.setdefault("strategy", {})
            if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
                rolling = strategy.setdefault("rollingUpdate", {})
                rolling.setdefault("maxSurge", "25%")
                rolling.setdefault("maxUnavailable", "25%")
        template = spec.setdefault("template", {})
        template.setdefault("metadata", {}).setdefault("creationTimestamp", None)
        _pod_defaults(template.setdefault("spec", {}))


def check(resource: Resource, obj: Object) -> None:
    """Refuse what could not work."""
    name, group, kind = obj["metadata"]["name"], resource.group, resource.kind
    if resource is PODS:
        _check_containers(resource, name, obj["spec"], "spec")
    elif resource in {DEPLOYMENTS, REPLICA_SETS}:
        spec = obj["spec"]
        if not spec.get("selector"):
            raise invalid(kind, group, name, "spec.selector", "Required value")
        labels = spec["template"]["metadata"].get("labels") or {}
        if not matches_selector(spec["selector"], labels):
            why = f"Invalid value: {labels}: `selector` does not match template `labels`"
            raise invalid(kind, group, name, "spec.template.metadata.labels", why)
        if not isinstance(spec["replicas"], int) or spec["replicas"] < 0:
            raise invalid(kind, group, name, "spec.replicas", "Invalid value: must be greater than or equal to 0")
        _check_containers(resource, name, spec["template"]["spec"], "spec.template.spec")
    elif kind in {"ConfigMap", "Secret"} and not isinstance(obj.get("data") or {}, dict):
        raise bad_request(f'{kind} in version "v1" cannot be handled: data is not a map')


def unknown_fields(resource: Resource, obj: Object) -> list[str]:
    """Fields the schema does not know, as `unknown field "spec.x"`."""
    found: list[str] = []
    _find_unknown(obj, shape_of(resource), "", found)
    return found


def _find_unknown(value: Any, shape: Shape, path: str, found: list[str]) -> None:
    if isinstance(value, dict):
        known = TYPES[shape.of].fields if shape.form == "object" and shape.of in TYPES else None
        for key, item in value.items():
            here = f"{path}.{key}" if path else key
            if known is not None and key not in known:
                found.append(f'unknown field "{here}"')
            else:
                _find_unknown(item, shape.child(key), here, found)
    elif isinstance(value, list) and shape.form in {"list", "keyed"}:
        for at, item in enumerate(value):
            _find_unknown(item, shape.item(), f"{path}[{at}]", found)


def _pod_defaults(spec: Object) -> None:
    for key, value in (
        ("restartPolicy", "Always"),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
        ("terminationGracePeriodSeconds", 30),
        ("enableServiceLinks", True),
    ):
        spec.setdefault(key, value)
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    for container in (one for kind in _CONTAINER_LISTS for one in spec.get(kind) or []):
        image = container.get("image") or ""
        latest = ":" not in image.rpartition("/")[2] or image.endswith(":latest")
        container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        container.setdefault("resources", {})
        for port in container.get("ports") or []:
            port.setdefault("protocol", "TCP")


def _service_defaults(spec: Object) -> None:
    kind = spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    if kind != "ExternalName":
        spec.setdefault("clusterIP", f"10.96.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}")
        spec.setdefault("clusterIPs", [spec["clusterIP"]])
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        spec.setdefault("internalTrafficPolicy", "Cluster")


def _check_containers(resource: Resource, name: str, spec: Object, path: str) -> None:
    containers = spec.get("containers") or []
    if not containers:
        raise invalid(resource.kind, resource.group, name, f"{path}.containers", "Required value")
    seen: set[str] = set()
    for at, container in enumerate(containers):
        for key in ("name", "image"):
            if not container.get(key):
                raise invalid(resource.kind, resource.group, name, f"{path}.containers[{at}].{key}", "Required value")
        if container["name"] in seen:
            why = f'Duplicate value: "{container["name"]}"'
            raise invalid(resource.kind, resource.group, name, f"{path}.containers[{at}].name", why)
        seen.add(container["name"])


def _check_unchanged(resource: Resource, before: Object, after: Object, subresource: str) -> None:
    name, group, kind = before["metadata"]["name"], resource.group, resource.kind
    if before.get("immutable") and any(
        before.get(key) != after.get(key) for key in ("data", "binaryData", "immutable")
    ):
        raise invalid(kind, group, name, "data", "Forbidden: field is immutable when `immutable` is set")
    if resource is PODS and _pod_fixed(before["spec"], subresource) != _pod_fixed(after["spec"], subresource):
        why = "Forbidden: pod updates may not change fields other than `spec.containers[*].image` and a few more"
        raise invalid(kind, group, name, "spec", why)
    if resource in {DEPLOYMENTS, REPLICA_SETS} and before["spec"]["selector"] != after["spec"]["selector"]:
        why = f"Invalid value: {after['spec']['selector']}: field is immutable"
        raise invalid(kind, group, name, "spec.selector", why)


def _pod_fixed(spec: Object, subresource: str) -> Object:
    fixed = {key: value for key, value in spec.items() if key not in _POD_MUTABLE}
    if subresource != "ephemeralcontainers":
        fixed["ephemeralContainers"] = spec.get("ephemeralContainers") or []
    for kind in ("containers", "initContainers"):
        if spec.get(kind):
            fixed[kind] = [
                {key: value for key, value in one.items() if key not in {"image", "imagePullPolicy"}}
                for one in spec[kind]
            ]
    return fixed
