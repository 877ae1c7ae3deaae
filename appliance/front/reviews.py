"""A self-review on its way to a cluster: its body is read here, because what it asks about decides how it goes on.

The one body that the front looks at. It is read up to a limit, then goes up as it came; a longer one goes up unread.
What the cluster need not be asked is answered here, in JSON, which every client of Kubernetes reads.
"""

from __future__ import annotations

import trio

from appliance.core.decision import Permit
from appliance.core.review_bodies import JSON, read
from appliance.core.reviews import MAX_REVIEW_BYTES, consider
from appliance.front.caller import Caller
from appliance.front.client import BODY_SECONDS, Client
from appliance.front.intake import Asked
from appliance.front.parts import FrontParts
from appliance.front.records import Story
from wire.headers import find
from wire.heads import Headers


async def look_into(
    caller: Caller, asked: Asked, permit: Permit, parts: FrontParts, story: Story
) -> tuple[Caller, Permit, bytes | None]:
    """Return who goes on calling, as whom the cluster is asked, and the answer if it need not be asked.

    Raises:
        http1.BadHead, trio.BrokenResourceError: as `Caller.read_body`.

    """
    length = asked.block.content_length
    if not _takes_json(asked) or not asked.block.has_body or (length or 0) > MAX_REVIEW_BYTES:
        return caller, permit, None
    taken, whole = await _taken(caller)
    replayed = Replayed(caller, taken)
    if not whole:
        return replayed, permit, None
    document = read(taken, find(asked.block.headers, b"content-type") or JSON)
    narrowed, answer = consider(document, permit, parts.store.snapshot, story.began)
    return replayed, narrowed, answer


async def tell(caller: Caller, answer: bytes, story: Story) -> None:
    """Answer a review in the cluster's place."""
    story.status = 201
    headers = (
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"%d" % len(answer)),
        (b"Cache-Control", b"no-cache, private"),
        (b"X-Correlation-Id", story.correlation_id),
    )
    await caller.answer(201, headers, answer)


def _takes_json(asked: Asked) -> bool:
    accept = find(asked.block.headers, b"accept") or b"*/*"
    return JSON in accept or b"*/*" in accept


async def _taken(caller: Caller) -> tuple[bytes, bool]:
    """Return the body and whether that is all of it."""
    await caller.proceed()
    taken = b""
    try:
        while len(taken) <= MAX_REVIEW_BYTES:
            caller.client.deadline = trio.current_time() + BODY_SECONDS
            piece = await caller.read_body()
            if not piece:
                return taken, True
            taken += piece
    finally:
        caller.client.deadline = float("inf")
    return taken, False


class Replayed:
    """A caller whose body was read already, to its end or to the limit, and is given once more."""

    def __init__(self, caller: Caller, taken: bytes) -> None:
        self._caller = caller
        self._taken = taken
        self.address = caller.address

    @property
    def client(self) -> Client:
        return self._caller.client

    @property
    def started(self) -> bool:
        return self._caller.started

    @property
    def received(self) -> int:
        return self._caller.received

    @property
    def sent(self) -> int:
        return self._caller.sent

    @property
    def body_ended(self) -> bool:
        return not self._taken and self._caller.body_ended

    def body_at_hand(self, limit: int) -> bytes | None:
        if not self._caller.body_ended or len(self._taken) > limit:
            return None
        taken, self._taken = self._taken, b""
        return taken

    async def proceed(self) -> None:
        await self._caller.proceed()

    async def read_body(self) -> bytes:
        if self._taken:
            taken, self._taken = self._taken, b""
            return taken
        return await self._caller.read_body()

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        await self._caller.answer(status, headers, body)

    async def start(self, status: int, headers: Headers, piece: bytes, *, sized: bool) -> None:
        await self._caller.start(status, headers, piece, sized=sized)

    async def send(self, piece: bytes) -> None:
        await self._caller.send(piece)

    async def finish(self, trailers: Headers = ()) -> None:
        await self._caller.finish(trailers)

    def abort(self) -> None:
        self._caller.abort()
