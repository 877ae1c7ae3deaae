"""One outage of the audit ledger under work, told from outside: refused with a reason, nothing lost, back by itself.

People read and write without pause while something breaks and is mended again. What always holds afterwards: whatever
was answered well is in the trail, once, and the chain verifies; what was refused was not done.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any, Self

import pytest
import trio

from ops.demo.admin import ApiError
from tests.journeys.door import Answer, Door
from tests.journeys.processes import eventually
from tests.journeys.stack import Stack

MAPS = "/api/v1/namespaces/demo/configmaps"
PODS = "/api/v1/namespaces/demo/pods"
WRITERS = 8  # at once
REFUSED_SECONDS = 30.0  # until it is noticed: a statement waits for a lock, a server has some room left
BACK_SECONDS = 20.0


def create(door: Door, name: str) -> Answer:
    body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}).encode()
    return door.ask("POST", MAPS, body, {"Content-Type": "application/json"})


def exported(stack: Stack) -> list[dict[str, Any]]:
    done = stack.command("audit", "export")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def is_whole(stack: Stack) -> None:
    done = stack.command("audit", "verify")
    assert done.returncode == 0, done.stdout + done.stderr


class Work:
    """People at work: a few that read and write without pause. Every answer is kept."""

    def __init__(self, door: Door, name: str) -> None:
        self.answers: list[tuple[str, Answer]] = []
        self._door = door
        self._name = name
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(WRITERS)]

    def _work(self, worker: int) -> None:
        turn = 0
        while not self._stop.is_set():
            turn += 1
            try:
                if turn % 2:
                    answered = "write", create(self._door, f"{self._name}-{worker}-{turn}")
                else:
                    answered = "read", self._door.ask("GET", PODS)
            except OSError:
                continue  # no answer is no acknowledgement
            self.answers.append(answered)
            if answered[1].status != 503 and answered[1].status != 429:
                continue
            self._stop.wait(0.05)

    def answered(self, status: int, kind: str = "") -> list[Answer]:
        return [it for found, it in list(self.answers) if it.status == status and kind in {"", found}]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def nothing_is_lost(stack: Stack, work: Work) -> None:
    """Every answer that was given is in the trail: what it was, and who asked; and only once."""
    records = exported(stack)
    closed = {it["correlation_id"]: it for it in records if it["type"] == "CPR001I"}
    opened = {it["correlation_id"] for it in records if it["type"] == "CPR003I"}
    assert len(closed) == len([it for it in records if it["type"] == "CPR001I"])
    done = [it.headers["x-correlation-id"] for it in work.answered(201)]
    seen = [it.headers["x-correlation-id"] for it in work.answered(200)]
    assert set(done) <= opened
    assert set(done) | set(seen) <= set(closed)
    assert all(closed[it]["status"] == 201 for it in done)
    is_whole(stack)


def refused_and_back(stack: Stack, name: str, broken: Callable[[], Any], mend: Callable[[], Any]) -> None:
    """The whole story of one outage, under work."""
    with Work(stack.door, name) as work:
        eventually(lambda: len(work.answered(201)) > 20, what="work")
        broken()
        for kind in ("write", "read"):
            eventually(lambda kind=kind: len(work.answered(503, kind)) > 5, REFUSED_SECONDS, f"{kind}s refused")  # type: ignore[misc]  # the loop's own
        refused = work.answered(503)
        assert {it.code for it in refused} == {"AUDIT_UNAVAILABLE"}
        assert b"audit record cannot be kept" in refused[0].body
        with pytest.raises(ApiError) as caught:
            trio.run(stack.api().call, "POST", "clusters", {"name": name})
        assert (caught.value.status, caught.value.code) == (503, "AUDIT_UNAVAILABLE")
        with pytest.raises(ApiError) as caught:
            trio.run(stack.api().call, "GET", "audit")  # looking at the trail is on record, too
        assert (caught.value.status, caught.value.code) == (503, "AUDIT_UNAVAILABLE")
        assert trio.run(stack.api().call, "GET", "clusters")["items"]
        mend()
        before = len(work.answers)
        eventually(
            lambda: len([it for _, it in work.answers[before:] if it.status in {200, 201}]) > 20,
            BACK_SECONDS,
            "recovery",
        )
    names = {it["name"] for it in trio.run(stack.api().call, "GET", "clusters")["items"]}
    assert name not in names, "what was refused was not done"
    nothing_is_lost(stack, work)
