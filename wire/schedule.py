"""Which frame goes next: the fair order of everything that waits to be written. Pure.

Control frames first (RESET, STOP, CREDIT, PING, PONG, DRAIN): they are small, bounded, and make room. Then OPENs, in
the order of their ids, because the peer takes ids as rising. Then one frame of each ready flow in turn; a flow that
has just become ready with little to say goes once before the ring, so a keystroke never waits for a download's lap.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

LITTLE_BYTES: Final = 16 * 1024
"""A newly ready flow with no more than this goes before the ring once: one DATA frame."""

MAX_CONTROL_FRAMES: Final = 4096
"""Twice as many as exchanges may be open. A peer that makes us queue more is flooding."""


class Flood(Exception):
    """The peer makes us answer faster than it reads."""


class Lane:
    """The frames of one flow that wait to be written, in their order."""

    __slots__ = ("bytes", "frames", "owner", "ready")

    def __init__(self) -> None:
        self.owner: Any = None  # the driver's exchange, which hears when there is room
        self.frames: deque[bytes] = deque()
        self.bytes = 0
        self.ready = False  # in the ring or before it


class Schedule:
    """Everything of one session that waits to be written."""

    def __init__(self) -> None:
        self._control: deque[bytes] = deque()
        self._credits: dict[int, bytes] = {}
        self._pong: bytes | None = None
        self._opens: deque[tuple[int, bytes]] = deque()
        self._before_ring: deque[Lane] = deque()
        self._ring: deque[Lane] = deque()

    def __bool__(self) -> bool:
        return bool(
            self._ring or self._before_ring or self._control or self._credits or self._opens or self._pong is not None
        )

    def fits(self, room: int) -> bool:
        """Tell whether `take` would give something when no more than `room` bytes may go."""
        if self._pong is not None:
            return len(self._pong) <= room
        if self._control:
            return len(self._control[0]) <= room
        if self._credits:
            return len(next(iter(self._credits.values()))) <= room
        if self._opens:
            return len(self._opens[0][1]) <= room
        for queue in (self._before_ring, self._ring):
            while queue:
                frames = queue[0].frames
                if frames:
                    return len(frames[0]) <= room
                queue.popleft().ready = False
        return False

    def control(self, frame: bytes) -> None:
        """Queue a control frame."""
        if len(self._control) >= MAX_CONTROL_FRAMES:
            raise Flood("too many control frames wait for a peer that does not read")
        self._control.append(frame)

    def credit(self, exchange_id: int, frame: bytes) -> None:
        """Queue a CREDIT; it replaces an older one of the same exchange."""
        self._credits[exchange_id] = frame

    def pong(self, frame: bytes) -> None:
        """Queue a PONG; only the answer to the latest PING matters."""
        self._pong = frame

    def open(self, exchange_id: int, frame: bytes) -> None:
        """Queue an OPEN. Ids come in rising order."""
        self._opens.append((exchange_id, frame))

    def withdraw_open(self, exchange_id: int) -> bool:
        """Take an OPEN back; False when it has been written."""
        for entry in self._opens:
            if entry[0] == exchange_id:
                self._opens.remove(entry)
                return True
        return False

    def add(self, lane: Lane, frame: bytes) -> None:
        """Queue a frame of a flow."""
        lane.frames.append(frame)
        lane.bytes += len(frame)
        if not lane.ready:
            lane.ready = True
            (self._before_ring if lane.bytes <= LITTLE_BYTES else self._ring).append(lane)

    def discard(self, exchange_id: int, lane: Lane) -> None:
        """Forget what a flow still had to say. The lane stays in its queue and is found empty."""
        lane.frames.clear()
        lane.bytes = 0
        self._credits.pop(exchange_id, None)

    def take(self, limit: int, room: int) -> tuple[list[bytes], list[Lane]]:
        """Return the next frames, about `limit` bytes and never more than `room`, and the lanes that said something."""
        batch: list[bytes] = []
        spoke: list[Lane] = []
        left = min(limit, room)
        left = self._take_control(batch, left)
        opens = self._opens
        while opens:
            frame = opens[0][1]
            if len(frame) > left and (batch or len(frame) > room):
                return batch, spoke  # no DATA may overtake its own OPEN
            opens.popleft()
            left -= len(frame)
            batch.append(frame)
        for queue in (self._before_ring, self._ring):
            while queue:
                lane = queue[0]
                if not lane.frames:
                    queue.popleft()
                    lane.ready = False
                    continue
                frame = lane.frames[0]
                if len(frame) > left:
                    if batch or len(frame) > room:
                        return batch, spoke
                    left = len(frame)  # a single frame larger than a batch goes alone
                queue.popleft()
                lane.frames.popleft()
                lane.bytes -= len(frame)
                left -= len(frame)
                batch.append(frame)
                spoke.append(lane)
                if lane.frames:
                    self._ring.append(lane)
                else:
                    lane.ready = False
        return batch, spoke

    def _take_control(self, batch: list[bytes], left: int) -> int:
        if self._pong is not None and len(self._pong) <= left:
            left -= len(self._pong)
            batch.append(self._pong)
            self._pong = None
        control = self._control
        while control and len(control[0]) <= left:
            frame = control.popleft()
            left -= len(frame)
            batch.append(frame)
        credits_ = self._credits
        while credits_:
            exchange_id = next(iter(credits_))
            if len(credits_[exchange_id]) > left:
                break
            frame = credits_.pop(exchange_id)
            left -= len(frame)
            batch.append(frame)
        return left
