"""A kubelet for the one node: pods become Running soon after they are created, and go soon after they are deleted.

Nothing is run. Each pod is one short task; it looks at the pod again after every pause, because it may have changed.
"""

from __future__ import annotations

import hashlib
import itertools
import uuid

import trio

from ops.demo.toy import clock
from ops.demo.toy.occurrences import report
from ops.demo.toy.resources import PODS, Resource
from ops.demo.toy.statuses import Object
from ops.demo.toy.storage import Change, Key, Storage, key_of

NODE = "toy-node"
NODE_ADDRESS = "192.0.2.10"
SCHEDULING_SECONDS = 0.05
STARTING_SECONDS = 0.25
"""Long enough for a watcher to see Pending and ContainerCreating, short enough not to be waited for."""

STOPPING_SECONDS = 0.5
"""Enough to see Terminating; a pod's own grace period is a limit, not a duration."""


class Kubelet:
    """Starts and ends the pods of a storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._changed: set[Key] = set()
        self._wake = trio.Event()
        self._busy: set[str] = set()  # uids of pods with a task
        self._addresses = itertools.count(2)
        storage.subscribe(self._noticed)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                changed, self._changed = self._changed, set()
                for key in changed:
                    pod = self._storage.find(PODS, *key)
                    if pod is not None and self._has_work(pod) and pod["metadata"]["uid"] not in self._busy:
                        self._busy.add(pod["metadata"]["uid"])
                        nursery.start_soon(self._tend, key, pod["metadata"]["uid"])

    def _noticed(self, resource: Resource, change: Change) -> None:
        if resource is PODS and change.after is not None:
            self._changed.add(key_of(change.after))
            self._wake.set()

    @staticmethod
    def _has_work(pod: Object) -> bool:
        metadata = pod["metadata"]
        if metadata.get("deletionTimestamp"):
            return bool(metadata.get("deletionGracePeriodSeconds")) or not metadata.get("finalizers")
        if pod["status"].get("phase") == "Pending":
            return True
        ephemeral = pod["spec"].get("ephemeralContainers") or []
        return len(ephemeral) != len(pod["status"].get("ephemeralContainerStatuses") or [])

    async def _tend(self, key: Key, uid: str) -> None:
        try:
            while (pod := self._pod(key, uid)) is not None and self._has_work(pod):
                if pod["metadata"].get("deletionTimestamp"):
                    await self._end(key, uid, pod)
                elif pod["status"].get("phase") == "Pending":
                    await self._start(key, uid, pod)
                else:
                    await trio.sleep(SCHEDULING_SECONDS)
                    self._add_ephemeral(key, uid)
        finally:
            self._busy.discard(uid)

    def _pod(self, key: Key, uid: str) -> Object | None:
        pod = self._storage.find(PODS, *key)
        return pod if pod is not None and pod["metadata"]["uid"] == uid else None

    async def _start(self, key: Key, uid: str, pod: Object) -> None:
        await trio.sleep(SCHEDULING_SECONDS)
        pod = self._pod(key, uid) or pod
        if pod["metadata"].get("deletionTimestamp"):
            return
        if not pod["spec"].get("nodeName"):
            pod = {**pod, "spec": {**pod["spec"], "nodeName": NODE}}
            text = f"Successfully assigned {key[0]}/{key[1]} to {NODE}"
            report(self._storage, PODS, pod, "Scheduled", text, "default-scheduler")
        waiting = [_status(one, None) for one in pod["spec"]["containers"]]
        condition = [_condition("PodScheduled", holds=True)]
        status = {**pod["status"], "conditions": condition, "startTime": clock.now_text(), "hostIP": NODE_ADDRESS}
        self._storage.update(PODS, {**pod, "status": {**status, "containerStatuses": waiting}})
        await trio.sleep(STARTING_SECONDS)
        found = self._pod(key, uid)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return
        self._run(found)

    def _run(self, pod: Object) -> None:
        since = clock.now_text()
        number = next(self._addresses)
        address = f"10.244.{number >> 8 & 255}.{number & 255}"
        conditions = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
        status: Object = {
            **pod["status"],
            "phase": "Running",
            "conditions": [_condition(kind, holds=True) for kind in conditions],
            "hostIPs": [{"ip": NODE_ADDRESS}],
            "podIP": address,
            "podIPs": [{"ip": address}],
            "containerStatuses": [_status(one, since) for one in pod["spec"]["containers"]],
        }
        if pod["spec"].get("initContainers"):
            status["initContainerStatuses"] = [_status(one, since, ended=True) for one in pod["spec"]["initContainers"]]
        self._storage.update(PODS, {**pod, "status": status})
        for container in pod["spec"]["containers"]:
            image, name = container["image"], container["name"]
            path = f"spec.containers{{{name}}}"
            report(self._storage, PODS, pod, "Pulled", f'Container image "{image}" already present', "kubelet", path)
            report(self._storage, PODS, pod, "Created", f"Created container: {name}", "kubelet", path)
            report(self._storage, PODS, pod, "Started", f"Started container {name}", "kubelet", path)

    def _add_ephemeral(self, key: Key, uid: str) -> None:
        pod = self._pod(key, uid)
        if pod is None:
            return
        since = clock.now_text()
        known = {one["name"]: one for one in pod["status"].get("ephemeralContainerStatuses") or []}
        wanted = pod["spec"].get("ephemeralContainers") or []
        statuses = [known.get(one["name"]) or _status(one, since) for one in wanted]
        self._storage.update(PODS, {**pod, "status": {**pod["status"], "ephemeralContainerStatuses": statuses}})

    async def _end(self, key: Key, uid: str, pod: Object) -> None:
        for container in pod["spec"]["containers"]:
            path = f"spec.containers{{{container['name']}}}"
            report(self._storage, PODS, pod, "Killing", f"Stopping container {container['name']}", "kubelet", path)
        await trio.sleep(min(STOPPING_SECONDS, pod["metadata"].get("deletionGracePeriodSeconds") or 0))
        found = self._pod(key, uid)
        if found is None:
            return
        if found["metadata"].get("finalizers"):  # its containers are gone; the last finalizer ends the pod
            metadata = {**found["metadata"], "deletionGracePeriodSeconds": 0}
            self._storage.update(PODS, {**found, "metadata": metadata})
        else:
            self._storage.remove(PODS, *key)


def _condition(kind: str, *, holds: bool) -> Object:
    status = "True" if holds else "False"
    return {"type": kind, "status": status, "lastProbeTime": None, "lastTransitionTime": clock.now_text()}


def _status(container: Object, since: str | None, *, ended: bool = False) -> Object:
    """How a container stands: waiting without `since`, else running or ended."""
    image = container["image"] if ":" in container["image"].rpartition("/")[2] else container["image"] + ":latest"
    status: Object = {"name": container["name"], "image": image, "imageID": "", "restartCount": 0, "lastState": {}}
    if since is None:
        return status | {"ready": False, "started": False, "state": {"waiting": {"reason": "ContainerCreating"}}}
    container_id = f"toy://{uuid.uuid4().hex}{uuid.uuid4().hex}"
    digest = hashlib.sha256(image.encode()).hexdigest()
    status |= {"containerID": container_id, "imageID": f"{image.rpartition(':')[0]}@sha256:{digest}"}
    if ended:
        done = {"exitCode": 0, "reason": "Completed", "startedAt": since, "finishedAt": since}
        return status | {"ready": True, "started": False, "state": {"terminated": done | {"containerID": container_id}}}
    return status | {"ready": True, "started": True, "state": {"running": {"startedAt": since}}}
