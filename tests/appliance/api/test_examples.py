"""The document's examples, sent as they stand: every one is taken, and what comes back is what the document says."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.api.examples import BODIES
from appliance.api.table import ROUTES
from tests.appliance.api.rig import rig
from tests.appliance.api.world import World, furnished, path

TAKING = {(route.method, route.path): route for route in ROUTES if route.body}

#: What has to happen first, and what an example cannot have: somebody's real token, and a change that is going on.
FIRST = {
    "access-requests": [("POST", "access-requests/<request>/deny")],
    "people/<person>/access-requests": [("POST", "access-requests/<request>/deny")],
    "me/access-requests": [("POST", "access-requests/<request>/deny")],
    "access-requests/<request>/revoke": [("POST", "access-requests/<request>/approve")],
}
REFUSED = {"credentials/revoke-by-token": "INVALID_TOKEN", "authority/change/finish": "AUTHORITY_NOT_CHANGING"}


def test_every_body_has_an_example_and_every_example_a_body() -> None:
    assert set(BODIES) == set(TAKING)


async def send(world: World, key: tuple[str, str]) -> None:
    route = TAKING[key]
    token = world.ann if route.path == "access-requests" else world.holder(route)
    reply = await world.api.call(route.method, path(route), BODIES[key], token=token)
    if route.path in REFUSED:
        assert reply.code == REFUSED[route.path]
    else:
        assert reply.status == route.status, (key, reply.body)


@pytest.mark.real_clock
async def test_every_example_is_taken(tmp_path: Path) -> None:
    for number, key in enumerate(BODIES):
        async with rig(tmp_path / str(number)) as api:
            world = await furnished(api)
            for before in FIRST.get(key[1], []):
                await send(world, before)
            await send(world, key)
