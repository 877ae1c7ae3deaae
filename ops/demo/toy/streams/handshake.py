"""The answer to a request that asks for another protocol: 101 with what was chosen, or a Status that says why not.

Heads only; what follows on the connection is spoken elsewhere.
"""

from __future__ import annotations

import json
from typing import Any, Final

from ops.demo.toy.upgrade_seam import UpgradeRequest

PROTOCOL_HEADER: Final = "X-Stream-Protocol-Version"

_REASONS = {400: "BadRequest", 403: "Forbidden", 404: "NotFound", 500: "InternalError"}
_PHRASES = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 500: "Internal Server Error"}


class RefusalError(Exception):
    """The request cannot be upgraded; answer with this status and sentence."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def asks_for(request: UpgradeRequest) -> str | None:
    """The protocol named by Upgrade ("spdy/3.1" or "websocket"), if Connection names Upgrade."""
    if "upgrade" not in (item.lower() for item in request.header_list("Connection")):
        return None
    wanted = (request.header("Upgrade") or "").strip().lower()
    return wanted if wanted in {"spdy/3.1", "websocket"} else None


def choose(offered: list[str], supported: tuple[str, ...]) -> str | None:
    """The client's first wish that we can meet."""
    return next((name for name in offered if name in supported), None)


def spdy_switch(protocol: str | None) -> bytes:
    head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
    if protocol is not None:
        head += f"{PROTOCOL_HEADER}: {protocol}\r\n"
    return f"{head}\r\n".encode("latin-1")


def status(code: int, sentence: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
    """A Status as the API server writes it."""
    body: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    body |= {"message": sentence, "reason": _REASONS.get(code, "InternalError"), "code": code}
    return body | ({"details": details} if details else {})


def refusal(refused: RefusalError) -> bytes:
    """A whole response; the connection ends with it."""
    body = json.dumps(status(refused.code, refused.sentence)).encode()
    return (
        f"HTTP/1.1 {refused.code} {_PHRASES[refused.code]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode("latin-1") + body
