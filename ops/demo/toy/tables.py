"""Objects as `kubectl get` shows them: the columns of each kind, and the `Table` and metadata-only forms of answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ops.demo.toy import clock
from ops.demo.toy.negotiation import META, Form
from ops.demo.toy.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    Resource,
)
from ops.demo.toy.selectors import selector_text
from ops.demo.toy.statuses import Object

Cell = Callable[[Object], Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, type, what it shows, and whether only `-o wide` shows it."""

    name: str
    kind: str
    cell: Cell
    wide: bool = False

    def definition(self) -> Object:
        form = "name" if self.name == "Name" else ""
        text = f"{self.name} of the object."
        return {
            "name": self.name,
            "type": self.kind,
            "format": form,
            "description": text,
            "priority": 1 if self.wide else 0,
        }


def table(form: Form, resource: Resource, objects: list[Object], list_metadata: Object, include: str) -> Object:
    """Objects as a `Table`; `include` is the request's includeObject."""
    columns = _COLUMNS.get(resource, (_NAME, _AGE))
    rows = []
    for obj in objects:
        row: Object = {"cells": [column.cell(obj) for column in columns]}
        if include == "Object":
            row["object"] = obj
        elif include != "None":
            row["object"] = partial(form, obj)
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": f"{META}/{form.version}",
        "metadata": list_metadata,
        "columnDefinitions": [column.definition() for column in columns],
        "rows": rows,
    }


def partial(form: Form, obj: Object) -> Object:
    """An object's metadata alone."""
    return {"kind": "PartialObjectMetadata", "apiVersion": f"{META}/{form.version}", "metadata": obj["metadata"]}


def show_object(form: Form, resource: Resource, obj: Object, include: str) -> Object:
    """One object in the form that was asked for. A `Status` is never turned into anything else."""
    if not form.what or obj.get("kind") == "Status":
        return obj
    if form.what == "Table":
        metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        return table(form, resource, [obj], metadata, include)
    return partial(form, obj)


def show_list(form: Form, resource: Resource, objects: list[Object], metadata: Object, include: str) -> Object:
    """A list in the form that was asked for."""
    if form.what == "Table":
        return table(form, resource, objects, metadata, include)
    if form.what:
        items = [partial(form, obj) for obj in objects]
        version = f"{META}/{form.version}"
        return {"kind": "PartialObjectMetadataList", "apiVersion": version, "metadata": metadata, "items": items}
    items = [{key: value for key, value in obj.items() if key not in {"kind", "apiVersion"}} for obj in objects]
    kind = f"{resource.kind}List"
    return {"kind": kind, "apiVersion": resource.api_version, "metadata": metadata, "items": items}


def _pod_ready(pod: Object) -> str:
    statuses = pod["status"].get("containerStatuses") or []
    return f"{sum(bool(one.get('ready')) for one in statuses)}/{len(pod['spec']['containers'])}"


def _pod_status(pod: Object) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for one in pod["status"].get("containerStatuses") or []:
        state = one.get("state") or {}
        reason = (state.get("waiting") or state.get("terminated") or {}).get("reason")
        if reason:
            return str(reason)
    return str(pod["status"].get("reason") or pod["status"].get("phase") or "Unknown")


def _restarts(pod: Object) -> str:
    return str(sum(one.get("restartCount", 0) for one in pod["status"].get("containerStatuses") or []))


def _ports(service: Object) -> str:
    shown = []
    for port in service["spec"].get("ports") or []:
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or "<none>"


def _roles(node: Object) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = node["metadata"].get("labels") or {}
    return ",".join(sorted(key.removeprefix(prefix) for key in labels if key.startswith(prefix))) or "<none>"


def _node_status(node: Object) -> str:
    conditions = {one["type"]: one["status"] for one in node["status"].get("conditions") or []}
    ready = "Ready" if conditions.get("Ready") == "True" else "NotReady"
    return ready + (",SchedulingDisabled" if node["spec"].get("unschedulable") else "")


def _address(kind: str) -> Cell:
    def cell(node: Object) -> str:
        addresses = node["status"].get("addresses") or []
        return next((one["address"] for one in addresses if one["type"] == kind), "<none>")

    return cell


def _of_template(key: str) -> Cell:
    return lambda obj: ",".join(one[key] for one in obj["spec"]["template"]["spec"]["containers"])


def _status(key: str) -> Cell:
    return lambda obj: (obj.get("status") or {}).get(key, 0)


def _selector(obj: Object) -> str:
    return selector_text(obj["spec"]["selector"])


def _info(key: str) -> Cell:
    return lambda node: node["status"]["nodeInfo"][key]


_NAME = Column("Name", "string", lambda obj: obj["metadata"]["name"])
_AGE = Column("Age", "string", lambda obj: clock.age(obj["metadata"].get("creationTimestamp")))
_DATA = Column("Data", "string", lambda obj: str(len(obj.get("data") or {}) + len(obj.get("binaryData") or {})))
_TEMPLATE = (
    Column("Containers", "string", _of_template("name"), wide=True),
    Column("Images", "string", _of_template("image"), wide=True),
    Column("Selector", "string", _selector, wide=True),
)

_COLUMNS: dict[Resource, tuple[Column, ...]] = {
    PODS: (
        _NAME,
        Column("Ready", "string", _pod_ready),
        Column("Status", "string", _pod_status),
        Column("Restarts", "string", _restarts),
        _AGE,
        Column("IP", "string", lambda pod: pod["status"].get("podIP") or "<none>", wide=True),
        Column("Node", "string", lambda pod: pod["spec"].get("nodeName") or "<none>", wide=True),
        Column("Nominated Node", "string", lambda _: "<none>", wide=True),
        Column("Readiness Gates", "string", lambda _: "<none>", wide=True),
    ),
    CONFIG_MAPS: (_NAME, _DATA, _AGE),
    SECRETS: (_NAME, Column("Type", "string", lambda obj: obj.get("type", "")), _DATA, _AGE),
    NAMESPACES: (_NAME, Column("Status", "string", lambda obj: obj["status"].get("phase", "")), _AGE),
    SERVICE_ACCOUNTS: (_NAME, Column("Secrets", "string", lambda obj: str(len(obj.get("secrets") or []))), _AGE),
    SERVICES: (
        _NAME,
        Column("Type", "string", lambda obj: obj["spec"].get("type", "")),
        Column("Cluster-IP", "string", lambda obj: obj["spec"].get("clusterIP") or "<none>"),
        Column("External-IP", "string", lambda obj: obj["spec"].get("externalName") or "<none>"),
        Column("Port(s)", "string", _ports),
        _AGE,
        Column(
            "Selector",
            "string",
            lambda obj: selector_text({"matchLabels": obj["spec"].get("selector") or {}}),
            wide=True,
        ),
    ),
    EVENTS: (
        Column("Last Seen", "string", lambda obj: clock.age(obj.get("lastTimestamp"))),
        Column("Type", "string", lambda obj: obj.get("type", "")),
        Column("Reason", "string", lambda obj: obj.get("reason", "")),
        Column(
            "Object", "string", lambda obj: f"{obj['involvedObject']['kind'].lower()}/{obj['involvedObject']['name']}"
        ),
        Column("Message", "string", lambda obj: obj.get("message", "")),
    ),
    NODES: (
        _NAME,
        Column("Status", "string", _node_status),
        Column("Roles", "string", _roles),
        _AGE,
        Column("Version", "string", _info("kubeletVersion")),
        Column("Internal-IP", "string", _address("InternalIP"), wide=True),
        Column("External-IP", "string", _address("ExternalIP"), wide=True),
        Column("OS-Image", "string", _info("osImage"), wide=True),
        Column("Kernel-Version", "string", _info("kernelVersion"), wide=True),
        Column("Container-Runtime", "string", _info("containerRuntimeVersion"), wide=True),
    ),
    DEPLOYMENTS: (
        _NAME,
        Column("Ready", "string", lambda obj: f"{_status('readyReplicas')(obj)}/{obj['spec']['replicas']}"),
        Column("Up-to-date", "integer", _status("updatedReplicas")),
        Column("Available", "integer", _status("availableReplicas")),
        _AGE,
        *_TEMPLATE,
    ),
    REPLICA_SETS: (
        _NAME,
        Column("Desired", "integer", lambda obj: obj["spec"]["replicas"]),
        Column("Current", "integer", _status("replicas")),
        Column("Ready", "integer", _status("readyReplicas")),
        _AGE,
        *_TEMPLATE,
    ),
}
