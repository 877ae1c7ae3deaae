"""The edge of sign-in when store or ledger fail."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import NoReturn

import pytest
import trio
from quart import g
from quart_trio import QuartTrio

from appliance.core.buckets import Admission, FailedLogins
from appliance.core.events import AuditEvent
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.snapshot import Snapshot
from appliance.login.dialling import Dialler
from appliance.login.parts import LoginParts, Work
from appliance.login.site import MAX_FORM_BYTES, mount
from appliance.login.visits import SESSION_COOKIE
from appliance.store.faults import StoreUnavailable
from appliance.store.unit import Unit


async def broken(_: Unit[object]) -> NoReturn:
    raise StoreUnavailable("the disk is gone")


async def defective(_: Unit[object]) -> NoReturn:
    raise ZeroDivisionError("a defect of ours")


async def kept(_: AuditEvent) -> None:
    """As a ledger that works."""


def parts(work: Work = broken) -> LoginParts:
    return LoginParts(
        snapshot=Snapshot,
        write=work,
        read=work,
        catch_up=trio.lowlevel.checkpoint,
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


def site(work: Work = broken) -> QuartTrio:
    app = QuartTrio("fairlead", static_folder=None)
    app.config["BODY_TIMEOUT"] = 5

    @app.before_request
    async def begin() -> None:
        g.correlation_id = "1"

    mount(app, parts(work))
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
    assert (response.status_code, answer["error"], answer["code"]) == (
        503,
        "temporarily_unavailable",
        "OUTCOME_UNKNOWN",
    )
    assert answer["error_uri"] == "https://fairlead.example.com/help/errors/OUTCOME_UNKNOWN"
    assert "the disk is gone" in caplog.text


async def shown(app: QuartTrio, method: str, path: str, **headers: str) -> tuple[int, str]:
    """Status and code of a page; of an error that is no page, no code."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    cookie = {"Cookie": f"{SESSION_COOKIE}=flc_{'x' * 43}"}
    client = app.test_client()
    response = await (client.post if method == "POST" else client.get)(path, headers={**cookie, **given})
    code = response.headers.get("X-Fairlead-Error-Code", "")
    body = await response.get_data(as_text=True)
    assert response.status_code < 400 or (response.mimetype == "text/html" and code in body), body
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    return response.status_code, code


async def test_an_address_that_asks_too_often_is_told_so_as_anyone_else_is() -> None:
    app = site()

    @app.before_request
    async def limit() -> None:
        raise ProblemError(problem(Code.RATE_LIMITED, seconds=3, retry_after=3))

    assert await shown(app, "GET", "/fairlead/sign-in") == (429, "RATE_LIMITED")
    asked = await app.test_client().post("/fairlead/v1/oauth/token")
    answer = json.loads(await asked.get_data(as_text=True))
    assert (answer["error"], asked.headers["Retry-After"]) == ("temporarily_unavailable", "3")


async def test_whatever_fails_is_a_page_for_people() -> None:
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert await shown(site(), "GET", "/fairlead/home") == (503, "STORE_STALE")
    assert await shown(site(), "POST", "/fairlead/sign-out", **form) == (503, "OUTCOME_UNKNOWN")
    assert await shown(site(defective), "GET", "/fairlead/home") == (500, "INTERNAL_ERROR")
    assert await shown(site(), "POST", "/fairlead/sign-out") == (415, "UNSUPPORTED_MEDIA_TYPE")
    headers = {"Content-Type": form["Content_Type"], "Content-Length": "9"}
    async with site().test_client().request("/fairlead/device", method="POST", headers=headers) as sending:
        await sending.send(b"code=")
        with trio.fail_after(60):  # the rest never comes
            late = await sending.as_response()
    assert (late.status_code, late.mimetype) == (408, "text/html")


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/fairlead/callback/corp?state=x", {"Sec_Fetch_Dest": "empty"}),
        ("GET", "/fairlead/callback/corp?state=x", {"Sec_Fetch_Dest": "iframe"}),
        ("POST", "/fairlead/v1/oauth/token", {"Origin": "https://evil.example.com"}),
        ("POST", "/fairlead/v1/token", {"Origin": "null"}),
    ],
)
async def test_what_another_site_asks_for_in_the_background_is_no_failed_try(
    method: str, path: str, headers: dict[str, str]
) -> None:
    app, failures = QuartTrio("fairlead", static_folder=None), FailedLogins()

    @app.before_request
    async def begin() -> None:
        g.correlation_id = "1"

    mount(app, replace(parts(), failures=failures))
    form = {"Content-Type": "application/x-www-form-urlencoded"} if method == "POST" else {}
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    client = app.test_client()
    response = await (client.post if method == "POST" else client.get)(path, headers={**form, **given})
    assert (response.status_code, response.headers["X-Fairlead-Error-Code"]) == (400, "BAD_REQUEST")
    assert failures.failures == 0
