"""The parts of one toy cluster, put together."""

from __future__ import annotations

import secrets

import trio

from ops.demo.toy.deployments import Controllers
from ops.demo.toy.kubelet import Kubelet
from ops.demo.toy.requests import Requests
from ops.demo.toy.resources import PODS
from ops.demo.toy.seed import plant
from ops.demo.toy.storage import Storage
from ops.demo.toy.streams import Containers


class Cluster:
    """Storage, the controllers that act on it, and what requests leave behind."""

    def __init__(self, token: str = "") -> None:
        self.token = token or secrets.token_urlsafe(32)
        self.storage = Storage()
        self.requests = Requests(self.token)
        self.containers = Containers()
        self._kubelet = Kubelet(self.storage)
        self._controllers = Controllers(self.storage)
        plant(self.storage)

    async def wait_until_ready(self) -> None:
        """Return once every pod that was planted runs."""
        while any(pod["status"].get("phase") != "Running" for pod in self.storage.list(PODS)):
            await self.storage.wait_for_change(PODS, self.storage.version)

    async def run(self) -> None:
        """Act on what is stored, until cancelled; the containers' files go with it."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._kubelet.run)
                nursery.start_soon(self._controllers.run)
        finally:
            self.containers.close()
