"""Requests that need no wait: asked, and most often answered, where their bytes are seen, without a task's turn.

A connection at rest has a `Seat`. When a whole head arrives, the seat takes the request through the very steps of
`exchange`, all of which read memory only, and opens its exchange on the tunnel; when the answer arrives whole and
small, it is written at once. Whatever else happens (a body, a change that must be on disk first, a refusal, a long
answer, a client that does not read, a session that is lost) wakes the connection's own task, which goes on from there
in `exchange`. What always holds: nothing is done twice; whatever was taken is given back also when the connection is
cancelled meanwhile; a defect ends one connection.
"""

from __future__ import annotations

import logging
from typing import Final

import trio

from appliance.front.client import READ_BYTES, Client
from appliance.front.exchange import PREFIX, Case, Refused, consider, record_nowait
from appliance.front.intake import Intake
from appliance.front.parts import FrontParts
from appliance.front.relay import open_nowait, whole_nowait
from appliance.front.running import Running
from wire.exchange import Turn
from wire.http1 import MAX_HEAD_BYTES, BadHead

_HEAD_END: Final = b"\r\n\r\n"
_log = logging.getLogger("fairlead.front")


class Errands:
    """What all seats of one front share."""

    __slots__ = ("intake", "offered", "parts", "readiness", "running", "stopping")

    def __init__(self, parts: FrontParts, running: Running, intake: Intake, *, offered: bool = True) -> None:
        self.parts = parts
        self.running = running
        self.intake = intake
        self.readiness = parts.readiness
        self.offered = offered and parts.lane == "express" and self.readiness.available
        self.stopping = False

    def seat(self, client: Client) -> Seat | None:
        """A seat for a new connection; None where its task must wait for every request itself."""
        return Seat(self, client) if self.offered else None


class Seat:
    """One connection between two requests, and the one that is under way without its task."""

    __slots__ = ("_case", "_client", "_fault", "_shared", "_turn", "_unsent", "_waiting")

    def __init__(self, shared: Errands, client: Client) -> None:
        self._shared = shared
        self._client = client
        self._turn = Turn()
        self._waiting = False
        self._case: Case | None = None
        self._fault: Exception | None = None  # a defect, for the task to raise
        self._unsent = b""

    async def rest(self) -> Case | None:
        """Wait until the connection's task is needed: for a request that was begun here, else for what arrived."""
        client = self._client
        needed = client.buffered > 0
        try:
            while not needed:
                client.rest()
                self._waiting = True
                self._shared.readiness.arm(client.stream, self._on_readable)
                if client.stream.more_likely:
                    self._on_readable()  # TLS may hold what the kernel does not know of
                if self._waiting:
                    await self._turn.wait()
                if self._fault is not None:
                    raise self._fault
                needed = not self._unsent
                if self._unsent:
                    await client.send_rendered(self._unsent)
                    self._unsent = b""
                    self._done()
                    needed = client.buffered > 0
        except BaseException:
            self._waiting = False
            self._abandon()
            raise
        case, self._case = self._case, None
        return case

    def _wake(self) -> None:
        self._waiting = False
        self._turn.call()

    def _on_readable(self) -> None:
        client = self._client
        if self._case is not None and client.buffered < READ_BYTES:
            client.peek()  # bytes of the next request, or the client leaves
        elif self._case is not None or not self._waiting:
            self._shared.readiness.disarm(client.stream)  # enough is kept, or the task reads for itself now
        else:
            try:
                data = client.stream.receive_nowait(READ_BYTES)
                if data is not None and not self._began(data):
                    client.unread(data)
                    self._wake()
            except trio.BrokenResourceError:
                self._wake()  # the task meets the same fault
            except Exception as error:  # noqa: BLE001 # the task raises it, and gives back what was taken
                self._fault = error
                self._wake()

    def _began(self, data: bytes) -> bool:
        """Begin the request that `data` is; False: it is none, or not one for this lane, and nothing was done."""
        end = data.find(_HEAD_END) + len(_HEAD_END)
        if end != len(data) or end > MAX_HEAD_BYTES or self._shared.stopping or self._client.hung_up:
            return False
        try:
            asked = self._shared.intake.parse(data)
        except BadHead:
            return False
        if asked.method != b"GET" or not asked.block.plain or not asked.target.startswith(PREFIX):
            return False
        client, parts = self._client, self._shared.parts
        client.begin(asked)
        case = self._case = Case(client, asked, parts)
        try:
            permit = consider(case, parts, self._shared.running)
            if record_nowait(permit, parts, case.story):
                opened = case.opened = open_nowait(asked, permit, case.route.target, parts)
                if opened is not None:
                    case.story.tunnel_session = opened.session.id
        except Refused as refused:
            case.refused = refused
        if case.opened is None:
            self._wake()
        else:
            case.opened.tunnel.on_answer(self._on_answer)
        return True

    def _on_answer(self) -> None:
        """The answer, or its first part, or its failure, has arrived."""
        case, client = self._case, self._client
        assert case is not None
        assert case.opened is not None
        try:
            rendered = whole_nowait(client, case.opened.tunnel, case.asked, case.story)
            if rendered is not None:
                if client.send_nowait(rendered):
                    self._done()
                else:
                    self._unsent = rendered
                    self._wake()
                return
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            client.abort()
        except Exception:  # noqa: BLE001 # the session that calls us carries everybody's answers
            _log.exception("a connection ended by a defect of ours")
            client.abort()
        self._wake()

    def _done(self) -> None:
        """The answer is out: rest again."""
        case, self._case = self._case, None
        assert case is not None
        assert case.opened is not None
        client = self._client
        client.answered = True
        case.opened.tunnel.close()
        case.close(self._shared.parts)
        client.rest()
        if client.buffered:
            self._wake()

    def _abandon(self) -> None:
        """The connection ends while a request is under way."""
        case, self._case = self._case, None
        if case is not None:
            if case.opened is not None:
                case.opened.tunnel.on_answer(None)
                case.opened.tunnel.close()
            case.close(self._shared.parts)
