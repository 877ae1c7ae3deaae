"""A body on its way from the client to the cluster, and what of it is remembered in case it has to go elsewhere."""

from __future__ import annotations

from typing import Final

import trio

from appliance.core.problems import Code, Problem, problem
from appliance.front.caller import Caller
from appliance.front.client import Ending
from wire.frames import ResetCode
from wire.http1 import BadHead
from wire.session import Exchange, PeerStopped

INLINE_BODY_BYTES: Final = 16 * 1024
"""A body this small that has already arrived goes with the request, without a second task. Most objects are smaller."""

_GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


class Given:
    """What of a body was taken from the client, as long as it is little: what was not started can go elsewhere."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.size = 0

    @property
    def whole(self) -> bool:
        """Whether nothing that was taken is missing."""
        return self.size <= INLINE_BODY_BYTES

    def add(self, piece: bytes) -> None:
        """Remember what was taken, or that there is too much of it."""
        self.size += len(piece)
        if self.whole:
            self.pieces.append(piece)
        else:
            self.pieces.clear()


class Upload:
    """The direction from the client to the cluster."""

    def __init__(self, caller: Caller, tunnel: Exchange, given: Given) -> None:
        self._caller = caller
        self._tunnel = tunnel
        self._given = given
        self.fault: Problem | None = None

    async def run(self) -> None:
        """Carry the body up, until its end or until somebody wants no more of it."""
        caller, tunnel = self._caller, self._tunnel
        try:
            for piece in list(self._given.pieces):  # an attempt before this one took it, and was not started
                await tunnel.write(piece)
            while piece := await caller.read_body():
                self._given.add(piece)
                await tunnel.write(piece)
            tunnel.end_nowait()
        except PeerStopped:
            return  # an early answer: what the client still sends is dropped after it
        except BadHead as error:
            self.fault = problem(Code.BAD_REQUEST, detail=error.sentence.rstrip("."))
            tunnel.reset(ResetCode.BAD_REQUEST, "the client's chunks are malformed")
        except _GONE:
            # Either side may have broken. If it was the tunnel, the other direction says so; if it was the client,
            # nobody is left to answer, and the record must not say that anything else was lost.
            if not tunnel.unwanted:
                caller.client.end(Ending.GONE)
