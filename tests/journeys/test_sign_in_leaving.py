"""Leaving: out of a group, out of the company, out by an administrator. And the way in when nothing else works."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.journeys.door import Door
from tests.journeys.gatehouse import Gatehouse
from tests.journeys.processes import BUSY_SECONDS, eventually

pytestmark = [pytest.mark.real_clock, pytest.mark.slow]

PODS = "/api/v1/namespaces/demo/pods"
ENDS_SECONDS = 2.0


class Watching:
    """A watch that runs, and when it ended."""

    def __init__(self, door: Door) -> None:
        self._connection = door.https()
        headers = {"Authorization": f"Bearer {door.token}"}
        self._connection.request("GET", f"{door.path}{PODS}?watch=1", headers=headers)
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200
        self.last = b""
        self.ended = threading.Event()
        self.ended_at = 0.0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while line := self._answer.readline():
                self.last = line
        except (OSError, http.client.HTTPException):
            pass
        self.ended_at = time.monotonic()
        self._answer.close()
        self._connection.close()
        self.ended.set()


def reaching(house: Gatehouse, tokens: Mapping[str, Any]) -> Door:
    status, issued = house.raw("POST", "/fairlead/v1/me/credentials", tokens["access_token"], {"cluster": "toy"})
    assert status == 201, issued
    return house.door(issued)


def test_who_leaves_a_group_loses_its_rights_at_the_next_refresh(house: Gatehouse) -> None:
    house.bind_group("night-watch")
    subject = house.person("night-watch", "others")
    tokens = house.command(subject)
    door, watch = reaching(house, tokens), Watching(reaching(house, tokens))
    assert door.ask("GET", PODS).status == 200
    house.provider.knows(subject, {**house.provider.accounts[subject], "groups": ["others"]})
    status, tokens = house.refresh(tokens)
    refreshed = time.monotonic()
    assert status == 200
    assert door.ask("GET", PODS).status == 403
    assert watch.ended.wait(ENDS_SECONDS + BUSY_SECONDS)
    assert watch.ended_at - refreshed < ENDS_SECONDS + BUSY_SECONDS
    me = house.raw("GET", "/fairlead/v1/me", tokens["access_token"])[1]
    assert (me["groups"], me["clusters"]) == (["others"], [])
    assert house.raw("POST", "/fairlead/v1/me/credentials", tokens["access_token"], {"cluster": "toy"})[0] == 404
    assert house.recorded("CUA020I", details="others")


def test_who_leaves_a_group_and_never_refreshes_loses_its_rights_too(house: Gatehouse) -> None:
    house.bind_group("idlers")
    subject = house.person("idlers")
    door = reaching(house, house.command(subject))
    assert door.ask("GET", PODS).status == 200
    house.provider.knows(subject, {**house.provider.accounts[subject], "groups": []})
    eventually(lambda: door.ask("GET", PODS).status == 403, 15.0, "the provider being asked again by itself")


def test_who_leaves_the_company_is_out_with_everything(house: Gatehouse) -> None:
    house.bind_group("leavers")
    subject = house.person("leavers")
    tokens = house.command(subject)
    door, watch = reaching(house, tokens), Watching(reaching(house, tokens))
    house.provider.knows(subject, None)
    status, refused = house.refresh(tokens)
    assert (status, refused["error"]) == (400, "invalid_grant")
    assert "does not let this sign-in go on" in refused["error_description"]
    assert house.raw("GET", "/fairlead/v1/me", tokens["access_token"])[1]["code"] == "SESSION_ENDED"
    assert door.ask("GET", PODS).code == "CREDENTIAL_REVOKED"
    assert watch.ended.wait(ENDS_SECONDS + BUSY_SECONDS)
    assert house.recorded("CUA014I", actor=f"{subject}@example.com", details="does not let")


def test_who_is_disabled_is_out_within_two_seconds_and_stays_out(house: Gatehouse) -> None:
    house.bind_group("disabled")
    subject = house.person("disabled")
    tokens = house.command(subject)
    watch = Watching(reaching(house, tokens))
    person = f"{subject}@example.com"
    house.call("POST", f"people/{person}/disable", {})
    disabled = time.monotonic()
    assert watch.ended.wait(ENDS_SECONDS + BUSY_SECONDS)
    assert watch.ended_at - disabled < ENDS_SECONDS + BUSY_SECONDS
    assert house.raw("GET", "/fairlead/v1/me", tokens["access_token"])[1]["code"] == "SESSION_ENDED"
    assert house.refresh(tokens)[1]["error"] == "invalid_grant"
    surfer = house.surfer()
    assert surfer.go(house.to_callback(surfer, subject).location).code == "PERSON_DISABLED"
    house.call("POST", f"people/{person}/enable", {})
    assert house.raw("GET", "/fairlead/v1/me", tokens["access_token"])[0] == 401, "what ended has ended"
    assert house.raw("GET", "/fairlead/v1/me", house.command(subject)["access_token"])[0] == 200


def test_an_administrator_ends_a_session(house: Gatehouse) -> None:
    subject = house.person()
    one, other = house.command(subject), house.command(subject)
    listed = house.call("GET", f"sessions?person={subject}@example.com")["items"]
    assert {one["session_id"], other["session_id"]} < {it["id"] for it in listed}
    assert house.raw("GET", "/fairlead/v1/sessions", one["access_token"])[0] == 403
    assert (
        house.raw(
            "DELETE", f"/fairlead/v1/me/sessions/{other['session_id']}", house.command(house.person())["access_token"]
        )[0]
        == 404
    )
    house.call("DELETE", f"sessions/{one['session_id']}")
    assert house.raw("GET", "/fairlead/v1/me", one["access_token"])[1]["code"] == "SESSION_ENDED"
    assert house.raw("DELETE", f"/fairlead/v1/me/sessions/{other['session_id']}", other["access_token"])[0] == 204
    assert house.raw("GET", "/fairlead/v1/me", other["access_token"])[0] == 401


def test_a_provider_that_is_disabled_lets_nobody_in_and_ends_what_it_gave(house: Gatehouse) -> None:
    tokens = house.command(house.person())
    house.call("PATCH", f"providers/{house.provider_id}", {"enabled": False})
    try:
        assert "Example Corp" not in house.surfer().go(f"{house.url}/fairlead/sign-in").body
        assert house.surfer().go(f"{house.url}/fairlead/sign-in/corp").code == "PROVIDER_NOT_FOUND"
        assert house.refresh(tokens)[1]["error"] == "invalid_grant"
    finally:
        house.call("PATCH", f"providers/{house.provider_id}", {"enabled": True})
    listed = house.call("GET", "providers")["items"][0]
    assert "secret of 32 letters" not in json.dumps(listed)
    assert (
        house.raw("DELETE", f"/fairlead/v1/providers/{house.provider_id}", house.stack.token)[1]["code"]
        == "PROVIDER_IN_USE"
    )


def test_a_setup_code_makes_an_administrator_of_whoever_is_signed_in_once(house: Gatehouse) -> None:
    code, subject = house.setup_code(), house.person()
    surfer = house.surfer()
    house.sign_in(surfer, subject)
    action, fields = surfer.go(f"{house.url}/fairlead/setup").form()
    assert surfer.go(action, fields | {"code": code}).location.endswith("/fairlead/home")
    tokens = house.command(subject)
    assert "roles:escalate" in house.raw("GET", "/fairlead/v1/me", tokens["access_token"])[1]["permissions"]
    again = surfer.go(action, fields | {"code": code})
    assert (again.status, again.code) == (403, "SETUP_CODE_REFUSED")
    assert house.recorded("CUA017W", actor=f"{subject}@example.com")


def test_a_setup_code_is_a_way_in_while_no_provider_works(house: Gatehouse) -> None:
    code = house.setup_code()
    house.provider.behaves(down=True)
    try:
        surfer = house.surfer()
        action, fields = surfer.go(f"{house.url}/fairlead/setup").form()
        assert surfer.go(action, fields | {"code": "fls_guessed"}).code == "SETUP_CODE_REFUSED"
        home = surfer.follow(action, fields | {"code": code})
        assert "fairlead:administrator-" in home.body
        begun = house.oauth("device", {"client_id": "fairlead-cli"})[1]
        action, fields = surfer.go(begun["verification_uri_complete"]).form()
        surfer.go(action, fields | {"answer": "yes"})
        grant = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": begun["device_code"]}
        tokens = house.token(grant)[1]
        assert house.raw("GET", "/fairlead/v1/people", tokens["access_token"])[0] == 200
    finally:
        house.provider.behaves()
