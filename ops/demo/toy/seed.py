"""What a new toy cluster holds, so that the first `kubectl get` shows something."""

from __future__ import annotations

from ops.demo.toy.admission import admit_new
from ops.demo.toy.kubelet import NODE, NODE_ADDRESS
from ops.demo.toy.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    Resource,
)
from ops.demo.toy.statuses import Object
from ops.demo.toy.storage import Storage

IMAGE = "registry.example.com/harbour:1.0"


def plant(storage: Storage) -> None:
    """Fill an empty storage."""
    for name in ("default", "demo", "fairlead", "kube-node-lease", "kube-public", "kube-system"):
        _add(storage, NAMESPACES, {"metadata": {"name": name}})
        _add(storage, SERVICE_ACCOUNTS, {"metadata": {"name": "default"}}, name)
    _add(storage, SERVICE_ACCOUNTS, {"metadata": {"name": "agent"}}, "fairlead")
    _add(storage, NODES, _node())
    port = {"name": "https", "port": 443, "targetPort": 6443}
    kubernetes: Object = {"metadata": {"name": "kubernetes", "labels": {"component": "apiserver"}}}
    _add(storage, SERVICES, kubernetes | {"spec": {"clusterIP": "10.96.0.1", "ports": [port]}}, "default")
    _add(storage, CONFIG_MAPS, {"metadata": {"name": "tides"}, "data": {"high": "06:12", "low": "12:31"}}, "demo")
    _add(storage, CONFIG_MAPS, {"metadata": {"name": "berths"}, "data": {"north": "4", "south": "7"}}, "demo")
    _add(storage, SECRETS, {"metadata": {"name": "harbour-key"}, "stringData": {"key": "not a real one"}}, "demo")
    _add(storage, PODS, _pod("harbour-master", "harbour"), "demo")
    _add(storage, PODS, _pod("chatty-gull", "gull"), "demo")
    _add(storage, PODS, _pod("tug", "engine", "radio"), "demo")
    _add(storage, PODS, _pod("coredns", "coredns"), "kube-system")
    _add(storage, DEPLOYMENTS, _deployment("lighthouse", 2), "demo")
    lamp = {"selector": {"app": "lighthouse"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
    _add(storage, SERVICES, {"metadata": {"name": "lighthouse"}, "spec": lamp}, "demo")


def _add(storage: Storage, resource: Resource, obj: Object, namespace: str = "") -> None:
    admitted = admit_new(resource, obj, namespace)
    if resource is NODES:
        admitted["status"] = obj["status"]
    storage.create(resource, admitted)


def _pod(name: str, *containers: str) -> Object:
    images = [{"name": one, "image": IMAGE, "ports": [{"containerPort": 8080}]} for one in containers]
    return {"metadata": {"name": name, "labels": {"app": name}}, "spec": {"containers": images}}


def _deployment(name: str, replicas: int) -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": _pod(name, "lamp")["spec"]}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}


def _node() -> Object:
    capacity = {"cpu": "8", "memory": "16Gi", "pods": "110"}
    info = {
        "kubeletVersion": "v1.31.0+toy",
        "kubeProxyVersion": "",
        "osImage": "Toy",
        "kernelVersion": "0.0.0",
        "containerRuntimeVersion": "toy://1.0",
        "operatingSystem": "linux",
        "architecture": "amd64",
        "machineID": "toy",
        "systemUUID": "toy",
        "bootID": "toy",
    }
    labels = {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux", "node-role.kubernetes.io/control-plane": ""}
    return {
        "metadata": {"name": NODE, "labels": labels},
        "spec": {"podCIDR": "10.244.0.0/16", "podCIDRs": ["10.244.0.0/16"]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": NODE_ADDRESS}, {"type": "Hostname", "address": NODE}],
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "the toy is ready"}
            ],
            "nodeInfo": info,
        },
    }
