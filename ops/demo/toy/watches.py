"""Watch: changes of one kind as they happen, one JSON line each, flushed one by one.

A watch ends when its time is up, when its client leaves, or with an ERROR event once the changes it still needs are
forgotten. A slow client is not buffered for: it is given what the history holds when it has read the last piece.
"""

from __future__ import annotations

import random

import trio

from ops.demo.toy.exchange import Exchange, dump
from ops.demo.toy.negotiation import Form
from ops.demo.toy.resources import Resource
from ops.demo.toy.selectors import Predicate
from ops.demo.toy.statuses import ApiError, Object, invalid
from ops.demo.toy.storage import Change, Storage, too_large_version
from ops.demo.toy.tables import show_object

BOOKMARK_SECONDS = 10.0
"""The API server sends one about every minute; a demo should show one sooner."""

TIMEOUT_SECONDS_MIN = 1800
"""The API server ends watches after 30 to 60 minutes unless asked otherwise."""

INITIAL_EVENTS_END = "k8s.io/initial-events-end"


async def serve(
    exchange: Exchange, storage: Storage, resource: Resource, namespace: str | None, wanted: Predicate, form: Form
) -> None:
    """Answer one watch."""
    seconds = exchange.number("timeoutSeconds") or TIMEOUT_SECONDS_MIN * (1 + random.random())  # noqa: S311 - spread
    since, initial = _start(exchange, storage)
    watch = _Watch(exchange, resource, namespace, wanted, form)
    async with exchange.until_client_leaves():
        await exchange.start(200, "application/json")
        with trio.move_on_after(seconds):
            if initial:
                await watch.send_present(storage)
            await watch.follow(storage, since)
        await exchange.finish()


def _start(exchange: Exchange, storage: Storage) -> tuple[int, bool]:
    """The version after which changes are sent, and whether the present state is sent first."""
    text = exchange.parameter("resourceVersion")
    initial = exchange.parameter("sendInitialEvents")
    if initial == "true":
        if exchange.parameter("resourceVersionMatch") != "NotOlderThan":
            why = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            raise invalid("ListOptions", "meta.k8s.io", "", "sendInitialEvents", why)
        return storage.version, True
    if text in {"", "0"}:
        return storage.version, initial != "false"
    if not text.isdecimal():
        raise invalid("ListOptions", "meta.k8s.io", "", "resourceVersion", f'Invalid value: "{text}"')
    if int(text) > storage.version:
        raise too_large_version(int(text), storage.version)
    return int(text), False


class _Watch:
    def __init__(
        self, exchange: Exchange, resource: Resource, namespace: str | None, wanted: Predicate, form: Form
    ) -> None:
        self._exchange = exchange
        self._resource = resource
        self._namespace = namespace
        self._wanted = wanted
        self._form = form
        self._include = exchange.parameter("includeObject", "Metadata")
        self._bookmarks = exchange.flag("allowWatchBookmarks")

    async def send_present(self, storage: Storage) -> None:
        version = storage.version
        for obj in storage.list(self._resource, self._namespace):
            if self._wanted(obj):
                await self._send("ADDED", obj)
        if self._bookmarks and self._exchange.parameter("sendInitialEvents") == "true":
            await self._bookmark(version, {INITIAL_EVENTS_END: "true"})

    async def follow(self, storage: Storage, since: int) -> None:
        while True:
            try:
                changes = list(storage.changes_after(self._resource, since))
            except ApiError as too_old:
                await self._exchange.send(dump({"type": "ERROR", "object": too_old.status()}))
                return
            for change in changes:
                since = change.version
                await self._announce(change)
            with trio.move_on_after(BOOKMARK_SECONDS) as pause:
                await storage.wait_for_change(self._resource, since)
            if pause.cancelled_caught:
                since = max(since, storage.version)
                if self._bookmarks:
                    await self._bookmark(since)

    async def _announce(self, change: Change) -> None:
        was, now = self._visible(change.before), self._visible(change.after)
        if now and change.after is not None:
            await self._send("MODIFIED" if was else "ADDED", change.after)
        elif was and change.before is not None:
            metadata = {**change.before["metadata"], "resourceVersion": str(change.version)}
            await self._send("DELETED", {**change.before, "metadata": metadata})

    def _visible(self, obj: Object | None) -> bool:
        if obj is None or (self._namespace is not None and obj["metadata"].get("namespace", "") != self._namespace):
            return False
        return self._wanted(obj)

    async def _bookmark(self, version: int, annotations: dict[str, str] | None = None) -> None:
        metadata: Object = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        bare = {"kind": self._resource.kind, "apiVersion": self._resource.api_version, "metadata": metadata}
        if self._form.what == "Table":
            api_version = f"meta.k8s.io/{self._form.version}"
            bare = {
                "kind": "Table",
                "apiVersion": api_version,
                "metadata": metadata,
                "columnDefinitions": [],
                "rows": [],
            }
        elif self._form.what:
            bare = show_object(self._form, self._resource, bare, self._include)
        await self._exchange.send(dump({"type": "BOOKMARK", "object": bare}))

    async def _send(self, kind: str, obj: Object) -> None:
        shown = show_object(self._form, self._resource, obj, self._include)
        await self._exchange.send(dump({"type": kind, "object": shown}))
