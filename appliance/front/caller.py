"""Where a request came from and where its answer goes, as the exchange sees it: the same for both lanes.

`front.client.Client` is one, the ASGI proxy application has the other. Nothing here does anything.
"""

from __future__ import annotations

from typing import Protocol

from appliance.front.client import Client
from wire.heads import Headers


class Caller(Protocol):
    """One request's two directions. An answer goes through `answer`, or through `start`, `send`..., `finish`."""

    @property
    def address(self) -> str:
        """The client's IP address."""

    @property
    def client(self) -> Client:
        """The connection beneath, to end it."""

    @property
    def started(self) -> bool:
        """Whether the head of an answer has left."""

    @property
    def received(self) -> int:
        """Body bytes taken from the client."""

    @property
    def sent(self) -> int:
        """Body bytes given to the client."""

    @property
    def body_ended(self) -> bool:
        """Whether the whole body was taken."""

    def body_at_hand(self, limit: int) -> bytes | None:
        """Take the whole body if it is here already and has at most `limit` bytes."""

    async def proceed(self) -> None:
        """The request was allowed: a client that waits for `100 Continue` gets it."""

    async def read_body(self) -> bytes:
        """Return the next piece of the body, b"" at its end; raises http1.BadHead or trio.BrokenResourceError."""

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole answer. Its headers tell its length, unless it can have no body."""

    async def start(self, status: int, headers: Headers, piece: bytes, *, sized: bool) -> None:
        """Begin an answer in pieces. `sized`: its headers tell its length."""

    async def send(self, piece: bytes) -> None:
        """Send the next piece at once."""

    async def finish(self, trailers: Headers = ()) -> None:
        """End an answer in pieces."""

    def abort(self) -> None:
        """Break off so that the answer looks cut off."""
