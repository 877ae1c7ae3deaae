"""The registry of requests: what reached the toy cluster, as whom, and how it ended. Tests read it at /toy/requests.

It keeps every open request and a bounded number of finished ones. The service account's own token is not shown.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ops.demo.toy.people import Caller

RECENT_REQUESTS = 2000
"""Finished requests that are remembered; a test that needs more than this should ask as it goes."""

AGENT_TOKEN_SHOWN = "Bearer [the agent's token]"  # noqa: S105 - what is shown in its place


@dataclass(slots=True)
class Record:
    """One request, from its head to its end. Times are seconds since the epoch."""

    number: int
    method: str
    target: str
    headers: list[tuple[str, str]]
    began: float
    audit_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    user: str | None = None
    groups: list[str] = field(default_factory=list)
    uid: str = ""
    extra: dict[str, list[str]] = field(default_factory=dict)
    impersonated: bool = False
    status: int | None = None
    ended: float | None = None
    client_gone: float | None = None

    def acts_as(self, caller: Caller) -> None:
        self.user, self.groups, self.uid = caller.user, list(caller.groups), caller.uid
        self.extra = {key: list(values) for key, values in caller.extra}
        self.impersonated = caller.impersonated

    def client_left(self) -> None:
        if self.client_gone is None:
            self.client_gone = time.time()

    def shown(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "method": self.method,
            "target": self.target,
            "headers": [list(pair) for pair in self.headers],
            "user": self.user,
            "groups": self.groups,
            "uid": self.uid,
            "extra": self.extra,
            "impersonated": self.impersonated,
            "status": self.status,
            "auditID": self.audit_id,
            "began": self.began,
            "ended": self.ended,
            "clientGone": self.client_gone,
        }


class Requests:
    """Open and recent requests."""

    def __init__(self, agent_token: str) -> None:
        self._own = f"Bearer {agent_token}"
        self._open: dict[int, Record] = {}
        self._recent: deque[Record] = deque(maxlen=RECENT_REQUESTS)
        self._count = 0

    def begin(self, method: str, target: str, headers: Iterable[tuple[bytes, bytes]]) -> Record:
        self._count += 1
        texts = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        shown = [(name, AGENT_TOKEN_SHOWN if value == self._own else value) for name, value in texts]
        record = Record(self._count, method, target, shown, time.time())
        self._open[record.number] = record
        return record

    def end(self, record: Record) -> None:
        record.ended = time.time()
        del self._open[record.number]
        self._recent.append(record)

    def shown(self, after: int = 0) -> dict[str, Any]:
        """Open and recent requests with a number above `after`, oldest first."""
        return {
            "count": self._count,
            "open": [record.shown() for record in self._open.values() if record.number > after],
            "recent": [record.shown() for record in self._recent if record.number > after],
        }
