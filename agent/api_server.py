"""The agent's own requests to the API server: small, whole, and as itself, never as a user.

What always holds: each is one fresh verified connection with one deadline over all of it, so that an answer says that
the API server can be reached now; an answer is bounded. Users' requests go through relay.py and never through here.
"""

from __future__ import annotations

import json
from typing import Any, Final

import trio

from agent.answer import AnswerBody, AnswerError, read_head
from agent.guard import RefusedError
from agent.pool import Connection
from agent.upstream import Upstream

ASK_SECONDS: Final = 10.0  # connect, TLS and a small answer; more is an API server that does not answer
MAX_ANSWER_BYTES: Final = 256 * 1024  # a version, or one Secret


class NoAnswerError(Exception):
    """The API server gave no answer; the text is a sentence."""


class ApiServer:
    """Asks as the agent."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def trouble(self) -> None:
        """Return when somebody could not connect, from now on."""
        self._upstream.troubled = trio.Event()
        await self._upstream.troubled.wait()

    async def ask(self, method: bytes, path: bytes, body: object = None) -> tuple[int, Any]:
        """Return an answer's status and its JSON (None: it is none).

        Raises:
            NoAnswerError: the credential, the way or the answer failed; whether the request had an effect is not known.

        """
        try:
            with trio.fail_after(ASK_SECONDS):
                return await self._ask(method, path, b"" if body is None else json.dumps(body).encode())
        except trio.TooSlowError:
            raise NoAnswerError(f"The API server did not answer within {ASK_SECONDS:.0f} s.") from None
        except (RefusedError, AnswerError) as error:
            raise NoAnswerError(error.sentence) from None
        except trio.BrokenResourceError as error:
            raise NoAnswerError(f"The connection to the API server broke: {error}.") from None

    async def _ask(self, method: bytes, path: bytes, body: bytes) -> tuple[int, Any]:
        authorization = self._upstream.authorization
        stream = await self._upstream.dial()
        try:
            head = b"%b %b HTTP/1.1\r\nHost: %b\r\n%bAccept: application/json\r\nConnection: close\r\n" % (
                method,
                path,
                self._upstream.authority,
                authorization,
            )
            if body:
                head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
            await stream.write(head + b"\r\n" + body)
            connection = Connection(stream, 0.0)
            response = await read_head(connection, method)
            answer = AnswerBody(connection, response)
            said = answer.buffered()
            while not answer.done:
                said += await answer.more()
                if len(said) > MAX_ANSWER_BYTES:
                    raise NoAnswerError("The API server's answer is longer than it can be.")
        finally:
            stream.abort()
        try:
            return response.status, json.loads(said)
        except (ValueError, RecursionError):  # the latter: lists in lists without end
            return response.status, None
