"""Work that goes on while something happens: reads, and writes that nobody may repeat, each noted with what it got.

A write makes an object of its own name, so that one carried out twice is refused as a conflict and one that was lost is
not there at the end.
"""

from __future__ import annotations

import http.client
import json
import threading
import uuid
from collections.abc import Callable
from typing import Self

from tests.journeys.door import Door
from tests.journeys.processes import eventually

CONFIG_MAPS = "/api/v1/namespaces/demo/configmaps"
READERS = 2
WRITERS = 2


class Traffic:
    """Requests one after the other in a few threads; `door` is asked for each, so that it may change."""

    def __init__(self, door: Callable[[], Door]) -> None:
        self._door = door
        self._over = threading.Event()
        self._mark = f"traffic-{uuid.uuid4().hex[:8]}"
        self._lock = threading.Lock()
        self.done = 0
        self.lost: list[str] = []
        self._threads = [threading.Thread(target=self._read, daemon=True) for _ in range(READERS)]
        self._threads += [threading.Thread(target=self._write, args=(it,), daemon=True) for it in range(WRITERS)]
        self._made: set[str] = set()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.moves()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def moves(self, more: int = 20) -> None:
        """Wait until so many more requests were answered."""
        wanted = self.done + more
        eventually(lambda: self.done >= wanted or self.lost, 30, "requests being answered")

    def kept(self) -> bool:
        """Tell whether everything that was made is there."""
        listed = self._door().ask("GET", CONFIG_MAPS).json()["items"]
        return self._made <= {it["metadata"]["name"] for it in listed}

    def _read(self) -> None:
        while not self._over.is_set():
            self._note("GET", "/api/v1/namespaces/demo/pods", None)

    def _write(self, number: int) -> None:
        count = 0
        while not self._over.is_set():
            count += 1
            name = f"{self._mark}-{number}-{count}"
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
            if self._note("POST", CONFIG_MAPS, json.dumps(body).encode()):
                with self._lock:
                    self._made.add(name)

    def _note(self, method: str, path: str, body: bytes | None) -> bool:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            answer = self._door().ask(method, path, body, headers)
            fault = "" if answer.status < 300 else f"{method}: {answer.status} {answer.code} {answer.body[:200]!r}"
        except OSError as error:
            fault = f"{method}: {error!r}"
        with self._lock:
            self.done += not fault
            if fault:
                self.lost.append(fault)
        self._over.wait(0.02)  # a steady trickle: the machine has other work
        return not fault


class Watch:
    """A watch that is open, read to its end by somebody."""

    def __init__(self, door: Door) -> None:
        self._ends: list[BaseException | None] = []
        begun = threading.Event()

        def read() -> None:
            try:
                with door.asking("GET", "/api/v1/pods?watch=true") as answer:
                    begun.set()
                    while answer.read1(65536):
                        pass
                self._ends.append(None)
            except (OSError, http.client.HTTPException) as error:
                self._ends.append(error)

        threading.Thread(target=read, daemon=True).start()
        assert begun.wait(20)

    @property
    def over(self) -> bool:
        """Whether it has ended, well or not."""
        return bool(self._ends)

    def ended_well(self) -> None:
        """With its last chunk, so that a client resumes it."""
        eventually(lambda: self._ends, what="the watch ending")
        assert self._ends == [None]
