"""Every route of the table, walked by those who may not: never let in, and told the same of what is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.api.examples import BODIES
from appliance.api.openapi import PLACES
from appliance.api.routes import Proof, Route
from appliance.api.table import ROUTES
from tests.appliance.api.rig import Reply, Rig, rig
from tests.appliance.api.world import contents, elsewhere, furnished, nobody, path, signed_in

pytestmark = pytest.mark.real_clock

#: What anybody may do with what they hold: say who they are, and give up a token.
OWN = [route for route in ROUTES if route.proof is not None]
FOR_RIGHTS = [route for route in ROUTES if route.proof is None]


async def ask(api: Rig, route: Route, token: str, **places: str) -> Reply:
    body = None if route.body is None else BODIES.get((route.method, route.path), {})
    return await api.call(route.method, path(route, **places), body, token=token)


def test_the_walk_is_over_all_routes() -> None:
    assert len(FOR_RIGHTS) > 60
    assert {route.proof for route in OWN} == set(Proof)


async def test_without_a_token_or_with_one_that_is_none(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await furnished(api)
        before = contents(api)
        for number, route in enumerate(ROUTES):
            if route.proof is Proof.SHOWN_IN_BODY:
                continue
            body = None if route.body is None else BODIES.get((route.method, route.path), {})
            bare = await api.call(route.method, path(route), body, headers={"Authorization": ""})
            assert (bare.status, bare.code) == (401, "AUTHENTICATION_REQUIRED"), route.path
            if number % 12 == 0:  # failed tries are limited, so not at every route
                wrong = await ask(api, route, "flm_" + "x" * 43)
                assert (wrong.status, wrong.code) == (401, "INVALID_TOKEN"), route.path
        assert contents(api) == before


async def test_a_person_without_a_role(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await furnished(api)
        token = await nobody(api)
        before = contents(api)
        for route in FOR_RIGHTS:
            reply = await ask(api, route, token)
            assert (reply.status, reply.code) == (403, "FORBIDDEN"), route.path
        for route in OWN:
            reply = await ask(api, route, token)
            let_in = route.proof is Proof.SIGNED_IN and "<" not in route.path and route.method == "GET"
            assert (reply.status < 300) is let_in, (route.path, reply.body)
        assert contents(api) == before


#: What rights somewhere let a person do that is about no cluster they have no right on.
#: Lists answer, with nothing in them of the other cluster.
LISTED = {route.path for route in FOR_RIGHTS if route.pages and route.path != "who-can"}


async def test_a_person_with_every_right_on_another_cluster(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await furnished(api)
        token = await elsewhere(api)
        before = contents(api)
        for route in FOR_RIGHTS:
            reply = await ask(api, route, token)
            if route.path in LISTED and route.method == "GET" and reply.status == 200:
                assert route.scoped
                strangers = [it for it in reply.body["items"] if "elsewhere" not in str(it) and "eve" not in str(it)]
                assert not strangers, (route.path, strangers)
            else:
                assert reply.status in {403, 404}, (route.method, route.path, reply.body)
        assert contents(api) == before


def told(reply: Reply, *names: str) -> tuple[int, Any]:
    """An answer without what must differ: the correlation id, and the name that was asked for."""
    body = {name: value for name, value in reply.body.items() if name != "correlation_id"}
    text = str(body)
    for name in names:
        text = text.replace(name, "NAME")
    return reply.status, text


async def test_what_is_forbidden_looks_like_what_is_not_there(tmp_path: Path) -> None:
    """To a person with every right on another cluster, and to a stranger's session."""
    walked = 0
    async with rig(tmp_path) as api:
        world = await furnished(api)
        for who in (await elsewhere(api), await nobody(api)):
            for route in ROUTES:
                place = route.path.partition("<")[2].partition(">")[0]
                if not place or route.proof is Proof.MACHINE:
                    continue
                there, missing = PLACES[place][1], PLACES[place][1][:-4] + "0000"
                forbidden = await ask(api, route, who)
                unknown = await ask(api, route, who, **{place: missing})
                assert told(forbidden, there) == told(unknown, missing), route.path
                walked += 1
        assert walked > 60
        assert (await api.call("GET", "me", token=world.ann)).status == 200, "ann's session is not theirs to end"


async def test_names_in_a_body_or_a_query_look_like_what_is_not_there(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await furnished(api)
        token = await elsewhere(api)
        for method, asked, body in (
            ("GET", "who-can?cluster={}&verb=get&resource=pods", None),
            ("GET", "explain?cluster={}&person=eve@example.com&verb=get&resource=pods", None),
            ("GET", "credentials?cluster={}", None),
            ("GET", "bindings?cluster={}", None),
            ("POST", "credentials", {"cluster": "{}", "person": "eve@example.com"}),
            ("POST", "me/credentials", {"cluster": "{}"}),
        ):
            replies = []
            for name in ("prod-eu", "nothing"):
                filled = body and {key: value.replace("{}", name) for key, value in body.items()}
                replies.append(told(await api.call(method, asked.replace("{}", name), filled, token=token), name))
            assert replies[0] == replies[1], asked
            assert replies[0][0] == 404


async def test_a_right_that_ends_is_gone_with_the_next_call(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await furnished(api)
        token = await elsewhere(api)
        assert (await api.call("GET", "clusters/elsewhere", token=token)).status == 200
        assert (await api.call("DELETE", "bindings/binding_eve")).status == 204
        assert (await api.call("GET", "clusters/elsewhere", token=token)).status == 403
        assert (await api.call("POST", "people/eve@example.com/disable", {})).status == 200
        assert (await api.call("GET", "me", token=token)).status in {401, 403}
        await api.call("POST", "people/eve@example.com/enable", {})
        api.now += 1
        assert (await api.call("GET", "me", token=await signed_in(api, "person_eve", "session_2"))).status == 200
