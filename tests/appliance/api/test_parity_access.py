"""What the seed system offered about access requests, row by row: each test is named after the row.

Where ours differs on purpose, a line of decision 22 says why.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.appliance.api.rig import NOW, rig
from tests.appliance.api.test_access import Office

pytestmark = pytest.mark.real_clock


@asynccontextmanager
async def office(directory: Path) -> AsyncIterator[Office]:
    async with rig(directory) as api:
        here = Office(api)
        await here.open(approvals=1)
        yield here


async def said(here: Office, asked: dict[str, Any], act: str, body: dict[str, Any]) -> tuple[int, str, Any]:
    reply = await here.api.call("POST", f"access-requests/{asked['id']}/{act}", body, token=here.eve)
    return reply.status, reply.body.get("code", ""), reply.body


async def test_post_access_requests(tmp_path: Path) -> None:
    async with office(tmp_path) as here:
        asked = await here.ask()
        assert (asked["state"], asked["reason"], asked["ttl_seconds"]) == ("pending", "incident 7", 600)
        path = "people/ann@example.com/access-requests"
        wish = {"policy_id": here.policy["id"], "reason": "again", "ttl_seconds": 600}
        again = await here.api.call("POST", path, wish, token=here.desk)
        assert (again.status, again.body["requestId"]) == (409, asked["id"])
        for wrong in ({"ttl_seconds": 3601}, {"ttl_seconds": -1}, {"reason": ""}):
            reply = await here.api.call("POST", path, {**wish, **wrong}, token=here.desk)
            assert reply.status in {400, 422}, "no duration is without a bound, none below zero"


async def test_get_access_requests(tmp_path: Path) -> None:
    async with office(tmp_path) as here:
        asked = await here.ask()
        for query, found in (("", [asked["id"]]), ("?state=pending", [asked["id"]]), ("?state=approved", [])):
            page = (await here.api.call("GET", f"access-requests{query}", token=here.eve)).body
            assert [one["id"] for one in page["items"]] == found
        elsewhere = await here.api.machine()
        assert (await here.api.call("GET", "access-requests", token=elsewhere)).code == "FORBIDDEN"


async def test_get_access_request(tmp_path: Path) -> None:
    async with office(tmp_path) as here:
        asked = await here.ask()
        seen = await here.api.call("GET", f"access-requests/{asked['id']}", token=here.eve)
        assert (seen.status, seen.body["id"]) == (200, asked["id"])
        assert (await here.api.call("GET", "access-requests/none")).code == "REQUEST_NOT_FOUND"


async def test_post_access_request_approve(tmp_path: Path) -> None:
    async with office(tmp_path) as here:
        asked = await here.ask()
        assert (await said(here, asked, "approve", {"ttl_seconds": -1}))[0] == 422
        assert (await said(here, asked, "approve", {"ttl_seconds": 300}))[2]["until"] == "2027-01-15T08:05:00Z"
        assert (await said(here, asked, "approve", {}))[:2] == (409, "REQUEST_NOT_PENDING")
        own = await here.api.call("POST", f"access-requests/{asked['id']}/approve", {}, token=here.desk)
        assert own.status in {403, 404}, "who asks does not approve"


async def test_post_access_request_deny(tmp_path: Path) -> None:
    async with office(tmp_path) as here:
        asked = await here.ask()
        assert (await said(here, asked, "deny", {}))[0] == 422
        assert (await said(here, asked, "deny", {"reason": "not today"}))[2]["state"] == "denied"
        assert (await said(here, asked, "deny", {"reason": "again"}))[:2] == (409, "REQUEST_NOT_PENDING")


async def test_post_access_request_revoke(tmp_path: Path) -> None:
    async with office(tmp_path) as here:
        asked = await here.ask()
        assert (await said(here, asked, "revoke", {}))[0] == 409
        assert (await said(here, asked, "approve", {}))[0] == 200
        assert (await said(here, asked, "revoke", {}))[2]["state"] == "revoked"
        here.api.now = NOW + 1
        assert not await here.may()
        assert (await said(here, asked, "revoke", {}))[0] == 409
