"""A small client of the admin API: JSON in, JSON out, over verified TLS.

For the demo's start and for commands that make one call: each call is one connection in a thread. What always holds:
the server's certificate is checked; an answer that is not a success raises `ApiError` with the server's own sentence.
"""

from __future__ import annotations

import functools
import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import trio

CALL_SECONDS = 10.0  # on this machine; a slow start of a cold disk is the worst case
MAX_ANSWER_BYTES = 4 * 1024 * 1024


class ApiError(Exception):
    """The appliance refused; `code` is the catalogue's, the text its sentence."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Appliance:
    """Where to call, what signs its certificate (None: one this machine trusts), and the bearer token to show."""

    url: str
    ca_pem: str | None
    token: str

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One call of the admin API; `path` is below /fairlead/v1/."""
        status, answer = await self.raw(method, f"/fairlead/v1/{path}", body)
        document = _json(answer)
        if status >= 300:
            problem = document if isinstance(document, dict) else {}
            sentence = problem.get("detail") or problem.get("title") or f"the appliance answered {status}"
            raise ApiError(status, str(problem.get("code", "")), str(sentence))
        return document

    async def raw(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
        """One request to any path."""
        ask = functools.partial(self._ask, method, path, None if body is None else json.dumps(body).encode())
        with trio.fail_after(CALL_SECONDS):
            return await trio.to_thread.run_sync(ask, abandon_on_cancel=True)

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        parts = urlsplit(self.url)
        context = ssl.create_default_context(cadata=self.ca_pem)
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=CALL_SECONDS, context=context
        )
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        if method == "PATCH":
            headers["If-Match"] = "*"  # nobody else is at it
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read(MAX_ANSWER_BYTES)
        finally:
            connection.close()


def _json(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return None
