"""The edge of sign-in when store or ledger fail."""

from __future__ import annotations

import json
from typing import NoReturn

import pytest
from quart import g
from quart_trio import QuartTrio

from appliance.core.buckets import Admission, FailedLogins
from appliance.core.events import AuditEvent
from appliance.core.problems import Code
from appliance.core.snapshot import Snapshot
from appliance.login.dialling import Dialler
from appliance.login.parts import LoginParts
from appliance.login.site import MAX_FORM_BYTES, mount
from appliance.store.faults import StoreUnavailable
from appliance.store.unit import Unit


async def broken(_: Unit[object]) -> NoReturn:
    raise StoreUnavailable("the disk is gone")


async def kept(_: AuditEvent) -> None:
    """As a ledger that works."""


def parts() -> LoginParts:
    return LoginParts(
        snapshot=Snapshot,
        write=broken,
        read=broken,
        record=kept,
        seal=lambda *_: ("", ""),
        unseal=lambda *_: b"",
        dialler=Dialler(),
        failures=FailedLogins(),
        beginnings=Admission(),
        clock=lambda: 0,
        public_url="https://fairlead.example.com",
        help_url="https://fairlead.example.com/help/errors/",
        faults={StoreUnavailable: Code.STORE_STALE},
        reread_seconds=1800,
    )


def site() -> QuartTrio:
    app = QuartTrio("fairlead", static_folder=None)

    @app.before_request
    async def begin() -> None:
        g.correlation_id = "1"

    mount(app, parts())
    return app


@pytest.mark.parametrize("told", [True, False])
async def test_a_form_is_bounded_whether_it_tells_its_length_or_not(told: bool) -> None:
    form = b"grant_type=" + b"x" * MAX_FORM_BYTES
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if told:
        headers["Content-Length"] = str(len(form))
    async with site().test_client().request("/fairlead/v1/oauth/token", method="POST", headers=headers) as sending:
        await sending.send(form)
        await sending.send_complete()
    answer = await sending.as_response()
    assert answer.status_code == 413


@pytest.mark.parametrize("path", ["oauth/token", "oauth/revoke"])
async def test_that_the_store_failed_is_said_to_the_client_and_in_the_log(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = site()
    form = {"grant_type": "refresh_token", "client_id": "fairlead-cli", "refresh_token": "flr_x", "token": "flr_x"}
    response = await app.test_client().post(f"/fairlead/v1/{path}", form=form)
    answer = json.loads(await response.get_data(as_text=True))
    assert (response.status_code, answer["error"], answer["code"]) == (503, "temporarily_unavailable", "STORE_STALE")
    assert answer["error_uri"] == "https://fairlead.example.com/help/errors/STORE_STALE"
    assert "the disk is gone" in caplog.text
