"""The controllers: deployments keep replica sets, replica sets keep pods, owners take their dependents along, and a
deleted namespace is emptied.

Level-triggered: a change only says where to look. Each pass looks at what is there and takes the next steps; a
conflict cannot happen, because a pass does not pause.
"""

from __future__ import annotations

import copy
import hashlib
import json
import uuid

import trio

from ops.demo.toy import admission, clock
from ops.demo.toy.occurrences import report
from ops.demo.toy.removal import remove_object
from ops.demo.toy.resources import DEPLOYMENTS, NAMESPACES, PODS, REPLICA_SETS, STORED, Resource
from ops.demo.toy.statuses import Object
from ops.demo.toy.storage import Change, Storage

REVISION = "deployment.kubernetes.io/revision"
_HASH = "pod-template-hash"
_KINDS = (NAMESPACES, DEPLOYMENTS, REPLICA_SETS, PODS)


class Controllers:
    """Brings a storage closer to what its objects say, after each change."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._wake = trio.Event()
        self._namespaces: set[str] = set()
        self._ended_owners: set[str] = set()
        storage.subscribe(self._noticed)

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            namespaces, self._namespaces = self._namespaces, set()
            ended, self._ended_owners = self._ended_owners, set()
            for namespace in sorted(namespaces):
                self._collect_garbage(namespace, ended)
                for deployment in self._storage.list(DEPLOYMENTS, namespace):
                    self._keep_deployment(deployment)
                for replica_set in self._storage.list(REPLICA_SETS, namespace):
                    self._keep_replica_set(replica_set)
                self._empty_if_ending(namespace)
            await trio.lowlevel.checkpoint()

    def _noticed(self, resource: Resource, change: Change) -> None:
        obj = change.after or change.before or {}
        namespace = obj["metadata"].get("namespace", "")
        if change.after is None and resource in _KINDS:
            self._ended_owners.add(obj["metadata"]["uid"])
        ending = self._storage.find(NAMESPACES, "", namespace) or {}
        if resource in _KINDS or ending.get("metadata", {}).get("deletionTimestamp"):
            self._namespaces.add(obj["metadata"]["name"] if resource is NAMESPACES else namespace)
            self._wake.set()

    def _collect_garbage(self, namespace: str, ended: set[str]) -> None:
        if not ended:
            return
        for resource in STORED:
            for obj in self._storage.list(resource, namespace if resource.namespaced else ""):
                owners = obj["metadata"].get("ownerReferences") or []
                if owners and all(owner["uid"] in ended for owner in owners):
                    remove_object(self._storage, resource, obj)

    def _owned(self, resource: Resource, owner: Object) -> list[Object]:
        uid = owner["metadata"]["uid"]
        namespace = owner["metadata"]["namespace"]
        return [
            obj
            for obj in self._storage.list(resource, namespace)
            if any(ref["uid"] == uid for ref in obj["metadata"].get("ownerReferences") or [])
        ]

    def _keep_deployment(self, deployment: Object) -> None:
        if deployment["metadata"].get("deletionTimestamp"):
            return
        spec = deployment["spec"]
        owned = self._owned(REPLICA_SETS, deployment)
        digest = _template_hash(spec["template"])
        current = next((one for one in owned if one["metadata"]["labels"].get(_HASH) == digest), None)
        if not spec.get("paused"):
            current = self._make_current(deployment, current, owned, digest)
            self._scale(deployment, current, spec["replicas"])
            if (current.get("status") or {}).get("readyReplicas", 0) >= spec["replicas"]:
                for old in owned:
                    if old["metadata"]["uid"] != current["metadata"]["uid"]:
                        self._scale(deployment, old, 0)
        self._describe_deployment(self._storage.get(DEPLOYMENTS, *_key(deployment)), current)

    def _make_current(self, deployment: Object, current: Object | None, owned: list[Object], digest: str) -> Object:
        """The replica set of the present template, with the newest revision number."""
        numbers = [int((one["metadata"].get("annotations") or {}).get(REVISION, "0")) for one in owned]
        newest = max(numbers, default=0)
        if current is None:
            current = self._storage.create(REPLICA_SETS, _replica_set(deployment, digest, newest + 1))
        elif int(current["metadata"]["annotations"][REVISION]) < newest:
            notes = {**current["metadata"]["annotations"], REVISION: str(newest + 1)}
            current = self._storage.update(
                REPLICA_SETS, {**current, "metadata": {**current["metadata"], "annotations": notes}}
            )
        revision = current["metadata"]["annotations"][REVISION]
        notes = deployment["metadata"].get("annotations") or {}
        if notes.get(REVISION) != revision:
            metadata = {**deployment["metadata"], "annotations": {**notes, REVISION: revision}}
            self._storage.update(DEPLOYMENTS, {**deployment, "metadata": metadata})
        return current

    def _scale(self, deployment: Object, replica_set: Object, replicas: int) -> None:
        replica_set = self._storage.get(REPLICA_SETS, *_key(replica_set))
        was = replica_set["spec"]["replicas"]
        if was == replicas:
            return
        metadata = {**replica_set["metadata"], "generation": replica_set["metadata"].get("generation", 1) + 1}
        spec = {**replica_set["spec"], "replicas": replicas}
        self._storage.update(REPLICA_SETS, {**replica_set, "metadata": metadata, "spec": spec})
        direction = "up" if replicas > was else "down"
        text = f"Scaled {direction} replica set {metadata['name']} from {was} to {replicas}"
        report(self._storage, DEPLOYMENTS, deployment, "ScalingReplicaSet", text, "deployment-controller")

    def _describe_deployment(self, deployment: Object, current: Object | None) -> None:
        owned = self._owned(REPLICA_SETS, deployment)
        states = [one.get("status") or {} for one in owned]
        total = sum(state.get("replicas", 0) for state in states)
        ready = sum(state.get("readyReplicas", 0) for state in states)
        fresh = self._storage.find(REPLICA_SETS, *_key(current)) if current is not None else None
        updated = ((fresh or {}).get("status") or {}).get("replicas", 0)
        wanted = deployment["spec"]["replicas"]
        status: Object = {"observedGeneration": deployment["metadata"]["generation"]}
        counts = {"replicas": total, "updatedReplicas": updated, "readyReplicas": ready, "availableReplicas": ready}
        status |= {key: value for key, value in counts.items() if value}
        if ready < wanted:
            status["unavailableReplicas"] = wanted - ready
        done = updated == wanted == total == ready
        name = (current or deployment)["metadata"]["name"]
        progress = (
            ("NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.')
            if done
            else ("ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')
        )
        available = (
            ("MinimumReplicasAvailable", "Deployment has minimum availability.")
            if ready >= wanted
            else ("MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        )
        old = {one["type"]: one for one in (deployment.get("status") or {}).get("conditions") or []}
        status["conditions"] = [
            _condition("Available", available, old, holds=ready >= wanted),
            _condition("Progressing", progress, old, holds=True),
        ]
        self._storage.update(DEPLOYMENTS, {**deployment, "status": status})

    def _keep_replica_set(self, replica_set: Object) -> None:
        if replica_set["metadata"].get("deletionTimestamp"):
            return
        spec = replica_set["spec"]
        pods = [one for one in self._owned(PODS, replica_set) if not one["metadata"].get("deletionTimestamp")]
        for _ in range(spec["replicas"] - len(pods)):
            pod = self._storage.create(PODS, _pod(replica_set))
            pods.append(pod)
            text = f"Created pod: {pod['metadata']['name']}"
            report(self._storage, REPLICA_SETS, replica_set, "SuccessfulCreate", text, "replicaset-controller")
        surplus = len(pods) - spec["replicas"]
        if surplus > 0:
            pods.sort(key=_is_ready)  # those that are not ready go first
            for pod in pods[:surplus]:
                remove_object(self._storage, PODS, pod)
                text = f"Deleted pod: {pod['metadata']['name']}"
                report(self._storage, REPLICA_SETS, replica_set, "SuccessfulDelete", text, "replicaset-controller")
            pods = pods[surplus:]
        ready = sum(map(_is_ready, pods))
        status: Object = {"replicas": len(pods), "observedGeneration": replica_set["metadata"].get("generation", 1)}
        counts = {"fullyLabeledReplicas": len(pods), "readyReplicas": ready, "availableReplicas": ready}
        status |= {key: value for key, value in counts.items() if value}
        self._storage.update(REPLICA_SETS, {**replica_set, "status": status})

    def _empty_if_ending(self, namespace: str) -> None:
        owner = self._storage.find(NAMESPACES, "", namespace)
        if owner is None or not owner["metadata"].get("deletionTimestamp"):
            return
        left = 0
        for resource in (one for one in STORED if one.namespaced):
            for obj in self._storage.list(resource, namespace):
                remove_object(self._storage, resource, obj)
            left += len(self._storage.list(resource, namespace))
        if not left and not owner["metadata"].get("finalizers"):
            self._storage.remove(NAMESPACES, "", namespace)


def _key(obj: Object) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _template_hash(template: Object) -> str:
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    letters = admission.NAME_LETTERS
    return "".join(letters[byte % len(letters)] for byte in digest[:10])


def _reference(resource: Resource, owner: Object) -> Object:
    metadata = owner["metadata"]
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _replica_set(deployment: Object, digest: str, revision: int) -> Object:
    metadata, spec = deployment["metadata"], deployment["spec"]
    template = copy.deepcopy(spec["template"])
    labels = {**(template["metadata"].get("labels") or {}), _HASH: digest}
    template["metadata"]["labels"] = labels
    selector = copy.deepcopy(spec["selector"])
    selector.setdefault("matchLabels", {})[_HASH] = digest
    notes = {key: value for key, value in (metadata.get("annotations") or {}).items() if "last-applied" not in key}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{metadata['name']}-{digest}",
            "namespace": metadata["namespace"],
            "uid": str(uuid.uuid4()),
            "creationTimestamp": clock.now_text(),
            "generation": 1,
            "labels": labels,
            "annotations": {**notes, REVISION: str(revision)},
            "ownerReferences": [_reference(DEPLOYMENTS, deployment)],
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
        "status": {"replicas": 0},
    }


def _pod(replica_set: Object) -> Object:
    metadata, template = replica_set["metadata"], replica_set["spec"]["template"]
    given = {key: value for key, value in template["metadata"].items() if key in {"labels", "annotations"} and value}
    base = f"{metadata['name']}-"
    pod: Object = {"metadata": {**given, "generateName": base}, "spec": template["spec"]}
    pod["metadata"]["ownerReferences"] = [_reference(REPLICA_SETS, replica_set)]
    return admission.admit_new(PODS, pod, metadata["namespace"])


def _condition(kind: str, why: tuple[str, str], old: dict[str, Object], *, holds: bool) -> Object:
    reason, message = why
    status = "True" if holds else "False"
    known, now = old.get(kind) or {}, clock.now_text()
    same = known.get("status") == status
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": known["lastUpdateTime"] if same and known.get("reason") == reason else now,
        "lastTransitionTime": known["lastTransitionTime"] if same else now,
    }
