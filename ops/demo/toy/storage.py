"""What the toy cluster remembers: objects by kind, one resource version for all, and a bounded history for watches.

A stored object is never changed in place: every write stores a new one, so that a reader or a watcher may hold what
it was given. Everything here is synchronous; a change is visible, recorded and announced before the call returns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import trio

from ops.demo.toy.resources import STORED, Resource
from ops.demo.toy.statuses import ApiError, Object, already_exists, expired, modified, not_found

HISTORY_CHANGES = 4096
"""Changes of one kind a late watcher may catch up on; older ones are answered with 410, as etcd compacts."""

FIRST_RESOURCE_VERSION = 1000
"""Not zero, because "0" means «any version» in the API."""

Key = tuple[str, str]
"""Namespace ("" for a cluster-wide kind) and name."""


@dataclass(frozen=True, slots=True)
class Change:
    """One write: what the object was before, and is now. Either may be missing, not both."""

    version: int
    before: Object | None
    after: Object | None


@dataclass(slots=True)
class _Shelf:
    objects: dict[Key, Object] = field(default_factory=dict)
    history: deque[Change] = field(default_factory=deque)
    forgotten: int = 0  # version of the newest change that left the history
    changed: trio.Event = field(default_factory=trio.Event)


class Storage:
    """All objects of one cluster."""

    def __init__(self, history_changes: int = HISTORY_CHANGES) -> None:
        self.version = FIRST_RESOURCE_VERSION
        self._history_changes = history_changes
        self._shelves = {resource: _Shelf() for resource in STORED}
        self._listeners: list[Callable[[Resource, Change], None]] = []

    def subscribe(self, listener: Callable[[Resource, Change], None]) -> None:
        """Call `listener` after each write, synchronously; it must not write itself."""
        self._listeners.append(listener)

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        found = self.find(resource, namespace, name)
        if found is None:
            raise not_found(resource.group, resource.plural, name)
        return found

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        return self._shelves[resource].objects.get((namespace, name))

    def list(self, resource: Resource, namespace: str | None = None) -> list[Object]:
        """Objects of a kind, by namespace and name; of all namespaces if none is given."""
        objects = self._shelves[resource].objects
        keys = sorted(objects) if namespace is None else sorted(key for key in objects if key[0] == namespace)
        return [objects[key] for key in keys]

    def count(self, resource: Resource) -> int:
        return len(self._shelves[resource].objects)

    def create(self, resource: Resource, obj: Object) -> Object:
        key = key_of(obj)
        if key in self._shelves[resource].objects:
            raise already_exists(resource.group, resource.plural, key[1])
        return self._write(resource, key, None, obj)

    def update(self, resource: Resource, obj: Object, expected_version: str | None = None) -> Object:
        """Replace an object; with `expected_version`, only if nobody changed it since."""
        key = key_of(obj)
        before = self.get(resource, *key)
        if expected_version and before["metadata"]["resourceVersion"] != expected_version:
            raise modified(resource.group, resource.plural, key[1])
        if _same_but_version(before, obj):
            return before
        return self._write(resource, key, before, obj)

    def remove(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """Forget an object; the last state, stamped with the version of its end, or None if there was none."""
        shelf = self._shelves[resource]
        before = shelf.objects.pop((namespace, name), None)
        if before is None:
            return None
        self.version += 1
        last = _stamped(before, self.version)
        self._record(resource, Change(self.version, last, None))
        return last

    def oldest_version(self, resource: Resource) -> int:
        """The oldest version from which every later change of the kind is still known."""
        return self._shelves[resource].forgotten

    def changes_after(self, resource: Resource, version: int) -> Iterable[Change]:
        """Changes newer than `version`, oldest first. Raises 410 when some of them are forgotten."""
        shelf = self._shelves[resource]
        if version < shelf.forgotten:
            raise expired(f"too old resource version: {version} ({shelf.forgotten})")
        newer: list[Change] = []
        for change in reversed(shelf.history):
            if change.version <= version:
                break
            newer.append(change)
        newer.reverse()
        return newer

    async def wait_for_change(self, resource: Resource, version: int) -> None:
        """Return once the kind has a change newer than `version`."""
        shelf = self._shelves[resource]
        while not shelf.history or shelf.history[-1].version <= version:
            await shelf.changed.wait()

    def forget_history(self) -> None:
        """Drop every recorded change, as a compaction does: watches from older versions get 410."""
        for shelf in self._shelves.values():
            shelf.history.clear()
            shelf.forgotten = self.version

    def _write(self, resource: Resource, key: Key, before: Object | None, obj: Object) -> Object:
        self.version += 1
        after = _stamped(obj, self.version)
        self._shelves[resource].objects[key] = after
        self._record(resource, Change(self.version, before, after))
        return after

    def _record(self, resource: Resource, change: Change) -> None:
        shelf = self._shelves[resource]
        shelf.history.append(change)
        if len(shelf.history) > self._history_changes:
            shelf.forgotten = shelf.history.popleft().version
        shelf.changed.set()
        shelf.changed = trio.Event()
        for listener in self._listeners:
            listener(resource, change)


def key_of(obj: Object) -> Key:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def too_large_version(wanted: int, current: int) -> ApiError:
    """What a read at a version of the future is answered with."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Too large resource version: {wanted}, current: {current}"
    return ApiError(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})


def _stamped(obj: Object, version: int) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}


def _same_but_version(before: Object, after: Object) -> bool:
    return _stamped(before, 0) == _stamped(after, 0)
