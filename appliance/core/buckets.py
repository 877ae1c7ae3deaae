"""How fast and how much at once: token buckets and open slots in memory, per replica.

A bucket is one number, the time at which it will be full again (GCRA), so that looking at it costs no arithmetic over
the past. Every table is bounded. Nothing here waits: an answer is a `Problem` with `retry_after`, or None.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

from appliance.core.events import AuditEvent, EventType
from appliance.core.problems import CATALOGUE, Code, Problem, problem

SECOND = 1_000_000

REQUESTS_PER_SECOND = 100  # a cold `kubectl` sends 24 requests, k9s a steady few
REQUEST_BURST = 200  # an apply of a large directory at once
MAX_OPEN_EXCHANGES = 200  # watches and sessions of one subject on one cluster; k9s holds a few dozen
MAX_IDLE_SUBJECTS = 4_096  # how many entries pile up before the idle ones are swept

FAILURES_BURST = 20  # a whole office behind one address mistypes or lets credentials expire
FAILURE_INTERVAL_SECONDS = 3  # then one more in so many seconds: 28,800 guesses a day at a 256-bit secret
MAX_ADDRESSES = 16_384  # about 2 MB; an attacker with more addresses evicts the quietest first


@dataclass(slots=True)
class _Line:
    full_at: int = 0  # when the bucket is full again
    open: int = 0


class Admission:
    """What one subject may start on one cluster."""

    def __init__(
        self,
        *,
        per_second: int = REQUESTS_PER_SECOND,
        burst: int = REQUEST_BURST,
        max_open: int = MAX_OPEN_EXCHANGES,
    ) -> None:
        self._interval = SECOND // per_second
        self._room = burst * self._interval
        self._max_open = max_open
        self._lines: dict[tuple[str, str], _Line] = {}

    def admit(self, subject: str, cluster_id: str, now: int) -> Problem | None:
        """Takes a token and an open slot, or neither. After None, `release` is owed once."""
        key = (subject, cluster_id)
        line = self._lines.get(key)
        if line is None:
            if len(self._lines) >= MAX_IDLE_SUBJECTS:
                self._sweep(now)
            line = self._lines[key] = _Line()
        if line.open >= self._max_open:
            return problem(Code.TOO_MANY_STREAMS, limit=self._max_open, retry_after=1)
        full_at = max(line.full_at, now) + self._interval
        over = full_at - now - self._room
        if over > 0:
            seconds = -(-over // SECOND)
            return problem(Code.RATE_LIMITED, seconds=seconds, retry_after=seconds)
        line.full_at = full_at
        line.open += 1
        return None

    def release(self, subject: str, cluster_id: str) -> None:
        """Gives the open slot back."""
        line = self._lines[subject, cluster_id]
        if line.open < 1:
            raise RuntimeError("released more often than admitted")
        line.open -= 1

    def open_exchanges(self, subject: str, cluster_id: str) -> int:
        line = self._lines.get((subject, cluster_id))
        return 0 if line is None else line.open

    def _sweep(self, now: int) -> None:
        """Forgets whoever has nothing open and a full bucket: they are as good as new."""
        for key in [key for key, line in self._lines.items() if line.open == 0 and line.full_at <= now]:
            del self._lines[key]


class FailedLogins:
    """Failed authentications per client address (`source_of`) and per account, asked before any signature is checked.

    An account is whoever has proved to be it and was refused nevertheless, such as a subject of an issuer: what a
    stranger merely claims is not counted, or they could lock out whom they like. `record` is told once each time that
    one of them is refused from now on, whatever door it came to; it must not wait.
    """

    def __init__(self, record: Callable[[AuditEvent], None] = lambda _: None) -> None:
        self._record = record
        self.failures = 0  # counted since the start
        self.refusals = 0
        self._full_at: dict[str, int] = {}

    def refuse(self, address: str, now: int, account: str = "") -> Problem | None:
        """RATE_LIMITED while the address, or the account, has failed too often."""
        wait = max(self._wait(key, now) for key in _keys(address, account))
        if wait <= 0:
            return None
        self.refusals += 1
        seconds = -(-wait // SECOND)
        return problem(Code.RATE_LIMITED, seconds=seconds, retry_after=seconds)

    def failed(self, address: str, now: int, account: str = "") -> None:
        """Counts one failure."""
        self.failures += 1
        reached = False
        for key in _keys(address, account):
            before = self._wait(key, now)
            full_at = max(self._full_at.pop(key, now), now) + FAILURE_INTERVAL_SECONDS * SECOND
            if len(self._full_at) >= MAX_ADDRESSES:
                self._make_room(now)
            self._full_at[key] = full_at
            reached = reached or (before <= 0 < self._wait(key, now))
        if reached:
            status, details = CATALOGUE[Code.RATE_LIMITED][0], (("account", account),) if account else ()
            self._record(
                AuditEvent(
                    now,
                    EventType.SIGN_IN_LIMITED,
                    client_address=address,
                    status=status,
                    code=Code.RATE_LIMITED,
                    details=details,
                )
            )

    def _wait(self, key: str, now: int) -> int:
        """How long it is refused; not at all when that is not above zero."""
        full_at = self._full_at.get(key)
        return 0 if full_at is None else full_at - now - (FAILURES_BURST - 1) * FAILURE_INTERVAL_SECONDS * SECOND

    def _make_room(self, now: int) -> None:
        for key in [key for key, full_at in self._full_at.items() if full_at <= now]:
            del self._full_at[key]
        if len(self._full_at) >= MAX_ADDRESSES:
            for key in sorted(self._full_at, key=self._full_at.__getitem__)[: MAX_ADDRESSES // 8]:
                del self._full_at[key]


def _keys(address: str, account: str) -> tuple[str, ...]:
    source = source_of(address)
    return (source, "account " + account) if account else (source,)


def source_of(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 that an IPv6 client owns."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
