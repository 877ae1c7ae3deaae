"""People sign in: in a real browser, at a provider nobody here wrote, and use what they get.

What a command has to do is written out here: listen on a loopback port, open the browser at /fairlead/authorize with a
PKCE challenge, take the code it brings to /fairlead/v1/oauth/token, and call the admin API with the access token.
"""

from __future__ import annotations

import http.server
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.journeys.gatehouse import DEVICE_GRANT, Gatehouse, asked, code_grant
from tests.journeys.processes import eventually
from tests.support.browser import Browser

pytestmark = [pytest.mark.real_clock, pytest.mark.slow]


@contextmanager
def command() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A command that listens on a loopback port: its redirect URI, and what the browser brought there."""
    brought: list[dict[str, str]] = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/callback"):
                brought.append(dict(parse_qsl(urlsplit(self.path).query)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"You may close this page.")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Listener) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/callback", brought
        finally:
            server.shutdown()
            thread.join()


def log_in(window: Browser, subject: str) -> None:
    """At the provider's own pages."""
    window.type("input[name=login]", subject)
    window.type("input[name=password]", "any")
    window.click("button[type=submit]")
    eventually(lambda: "Authorize" in window.text(), what="the provider's question")
    window.click("button[type=submit]")


def test_a_command_beside_a_browser(house: Gatehouse, window: Browser) -> None:
    """Code flow at the provider, then loopback and PKCE; a credential that reaches the cluster; out again."""
    house.bind_group("sailors")
    subject, verifier = house.person("sailors"), secrets.token_urlsafe(48)
    window.forget()
    with command() as (redirect_uri, brought):
        window.go(f"{house.url}/fairlead/authorize?{urlencode(asked(verifier) | {'redirect_uri': redirect_uri})}")
        assert "Example Corp" in window.text()
        # The policy lets our style in, and nothing else.
        assert window.run("return getComputedStyle(document.querySelector('.button')).color") == "rgb(255, 255, 255)"
        blocked = (
            "const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s);"
        )
        assert window.run(f"{blocked} return window.ran === undefined")
        window.click("a.button")
        log_in(window, subject)
        eventually(lambda: "on this computer?" in window.text(), what="our own question")
        assert f"{subject}@example.com" in window.text()
        assert not brought, "nothing goes to the command before the button is pressed"
        window.click("button[value=yes]")
        eventually(lambda: brought, what="the code at the command")
    assert brought[0]["state"] == "of-the-command"
    assert brought[0]["iss"] == house.url
    status, tokens = house.token(code_grant(brought[0]["code"], verifier, redirect_uri))
    assert (status, tokens["token_type"], tokens["expires_in"]) == (200, "Bearer", 900)
    assert tokens["person"]["name"] == f"{subject}@example.com"

    access = tokens["access_token"]
    status, me = house.raw("GET", "/fairlead/v1/me", access)
    assert (status, me["name"], me["groups"], me["clusters"]) == (200, f"{subject}@example.com", ["sailors"], ["toy"])
    status, issued = house.raw("POST", "/fairlead/v1/me/credentials", access, {"cluster": "toy", "kind": "plugin"})
    assert status == 201, issued
    door = house.door(issued)
    assert door.ask("GET", "/api/v1/namespaces/demo/pods").status == 200
    status, listed = house.raw("GET", "/fairlead/v1/me/sessions", access)
    assert sorted(it["client"] for it in listed["items"]) == ["browser", "command"]

    # Out again, here and at the provider; whatever rested on the sign-in has ended.
    window.go(f"{house.url}/fairlead/home")
    assert "fairlead on a laptop" in window.text()
    window.click("button[value=everywhere]")
    eventually(lambda: "Do you want to sign-out" in window.text(), what="the provider's question")
    window.click("button[name=logout]")
    eventually(lambda: "Signed out" in window.text(), what="the way back")
    assert house.raw("GET", "/fairlead/v1/me", access)[1]["code"] == "SESSION_ENDED"
    assert door.ask("GET", "/api/v1/namespaces/demo/pods").code == "CREDENTIAL_REVOKED"
    refused = {"error_description": ANY, "error_uri": ANY, "correlation_id": ANY, "code": "INVALID_GRANT"}
    assert house.refresh(tokens) == (400, {"error": "invalid_grant", **refused})
    window.go(f"{house.url}/fairlead/home")
    assert "Sign in" in window.text()
    for kind in ("CUA011I", "CUA013I", "CUA014I"):
        assert house.recorded(kind, actor=f"{subject}@example.com"), kind


def test_a_device_that_has_no_browser(house: Gatehouse, window: Browser) -> None:
    """It shows a code; a person confirms it elsewhere, on a page that says who asks."""
    subject = house.person("sailors")
    status, begun = house.oauth("device", {"client_id": "fairlead-cli", "label": "build <b>box</b>"})
    assert (status, begun["verification_uri"], begun["interval"]) == (200, f"{house.url}/fairlead/device", 5)
    grant = {"grant_type": DEVICE_GRANT, "device_code": begun["device_code"]}
    assert house.token(grant)[1]["error"] == "authorization_pending"
    window.forget()
    window.go(begun["verification_uri"])
    window.click("a.button")
    log_in(window, subject)
    eventually(lambda: window.has("input[name=code]"), what="the page that takes the code")
    window.type("input[name=code]", begun["user_code"].lower())
    window.click("button")
    eventually(lambda: "Sign in this device?" in window.text(), what="the question")
    shown = window.text()
    assert begun["user_code"] in shown
    assert "build <b>box</b>" in shown
    assert f"{subject}@example.com" in shown
    assert house.token(grant)[1]["error"] == "slow_down", "it asks faster than it was told"
    window.click("button[value=yes]")
    eventually(lambda: "Confirmed" in window.text(), what="the confirmation")
    status, tokens = house.token(grant)
    assert status == 200, tokens
    status, me = house.raw("GET", "/fairlead/v1/me", tokens["access_token"])
    assert (status, me["session"]["client"], me["session"]["label"]) == (200, "device", "build <b>box</b>")
    assert house.token(grant)[1]["code"] == "INVALID_GRANT", "a device code is good once"
    assert house.oauth("revoke", {"token": tokens["refresh_token"]}) == (200, {})
    assert house.raw("GET", "/fairlead/v1/me", tokens["access_token"])[0] == 401


def test_a_device_is_refused(house: Gatehouse) -> None:
    surfer = house.surfer()
    house.sign_in(surfer, house.person())
    begun = house.oauth("device", {"client_id": "fairlead-cli"})[1]
    action, fields = surfer.go(begun["verification_uri_complete"]).form()
    assert "not signed in" in surfer.go(action, fields | {"answer": "no"}).body
    refused = house.token({"grant_type": DEVICE_GRANT, "device_code": begun["device_code"]})
    assert (refused[0], refused[1]["error"]) == (400, "access_denied")


class _Any:
    def __eq__(self, other: object) -> bool:
        return isinstance(other, str)

    __hash__ = None  # type: ignore[assignment]


ANY = _Any()
