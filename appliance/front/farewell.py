"""The last words on a connection whose task was cancelled from outside, if there is still a way to say them.

A request that has no answer yet is told why. A watch is ended with its last chunk when the appliance stops, so that
its client resumes elsewhere without an error. A watch in JSON whose right was withdrawn ends as the API server ends
one that cannot go on: with an event of type ERROR that says why. Everything else is broken off and looks it.
"""

from __future__ import annotations

from typing import Final

import trio

from appliance.core.problems import Code, Problem, problem
from appliance.front.client import Client, Ending
from appliance.front.exchange import PREFIX, Route
from appliance.front.parts import FrontParts
from appliance.front.replies import correlation, plain_reply, proxy_reply
from appliance.front.watch_events import last_event

WORDS_SECONDS: Final = 1.0
"""For saying it. A client that does not even read this much is not waited for."""

_CODES: Final = {
    Ending.SLOW: Code.REQUEST_TIMEOUT,
    Ending.STOPPING: Code.SHUTTING_DOWN,
}


async def farewell(client: Client, parts: FrontParts) -> None:
    """End the connection."""
    ending = client.ending
    assert ending is not None
    if ending is Ending.GONE or client.writing or client.upgraded:
        client.abort()
        return
    with trio.move_on_after(WORDS_SECONDS):
        if client.started and client.serving:
            if not (client.ends_cleanly and client.chunked_out):
                client.abort()
                return
            if ending is not Ending.STOPPING:
                if client.lost is None or not client.between_events:
                    client.abort()
                    return
                await client.send(last_event(client.lost))
            await client.finish()
        elif client.serving or ending is Ending.SLOW:
            await refuse(client, client.lost or problem(_CODES[ending]), parts)
        await client.stream.aclose()
        return
    client.abort()


async def refuse(client: Client, refusal: Problem, parts: FrontParts) -> None:
    """Answer whatever the connection was about, for the last time."""
    parts.refusals[refusal.code] += 1
    if client.serving and client.asked.target.startswith(PREFIX):
        target = Route.of(client.asked.target).target
        reply = proxy_reply(refusal, target, client.correlation_id, parts.public_url)
    else:
        reply = plain_reply(refusal, correlation(), parts.public_url)
    client.give_up_reading()
    await client.answer(reply.status, reply.headers, reply.body)
    await client.settle()
