"""A watch as it passes: whether it stands between two events, and the event with which it may end.

The API server ends a watch that cannot go on with an event of type ERROR that holds a `Status`; clients show it, or
begin anew with a fresh list. We end a watch whose right was withdrawn the same way, where that is certain to be read
as meant: in JSON, without a content coding, and when only whole events have left. Nothing here looks into an event.
"""

from __future__ import annotations

from appliance.core.problems import Problem
from appliance.front.caller import Caller
from wire.headers import find_all
from wire.heads import Headers
from wire.kube import status_body, status_reason
from wire.session import Exchange


def in_json(headers: Headers) -> bool:
    """Tell whether an answer's events are lines of JSON."""
    kinds = find_all(headers, b"content-type")
    return len(kinds) == 1 and kinds[0].startswith(b"application/json") and not find_all(headers, b"content-encoding")


def ends_whole(piece: bytes) -> bool:
    """Tell whether an answer that has come as far as `piece` stands between two events: each ends in a line feed."""
    return not piece or piece.endswith(b"\n")


async def pass_events(caller: Caller, tunnel: Exchange, *, between: bool) -> None:
    """Carry a watch in JSON to its end. `between`: what has left of it ends with an event."""
    client = caller.client
    while True:
        client.between_events = between
        piece = await tunnel.read()
        if not piece:
            return
        client.between_events = False
        await caller.send(piece)
        between = ends_whole(piece)
        piece = b""  # the next may be hours away: nothing is held until then


def last_event(lost: Problem) -> bytes:
    """Return what says why a watch ends, as the API server would write it."""
    status = lost.status
    return b'{"type":"ERROR","object":%b}\n' % status_body(status, status_reason(status), lost.message).rstrip()
