"""What the loopback address believes: an answer to what this very command asked, and nothing else."""

from __future__ import annotations

import http.server
import urllib.request
from urllib.parse import urlencode

import pytest

from ops.cli.loopback import Brought, listening, read

ISSUER, STATE = "https://fairlead.example.com", "the-state-of-this-command"
GOOD = {"code": "flo_1", "state": STATE, "iss": ISSUER}


def target(**changes: str) -> str:
    return f"/callback?{urlencode({name: value for name, value in (GOOD | changes).items() if value})}"


def test_an_answer_is_taken() -> None:
    assert read(target(), ISSUER, STATE) == Brought("flo_1", "")
    assert read(target(code="", error="access_denied"), ISSUER, STATE) == Brought("", "access_denied")


@pytest.mark.parametrize(
    "wrong",
    [
        target(state="of-another"),
        target(state=""),
        target(state=STATE + "é"),
        target(iss="https://other.example.com"),
        target(iss=""),
        target(code=""),
        target() + "&code=flo_2",
        target().replace("/callback", "/"),
        "/favicon.ico",
    ],
)
def test_anything_else_changes_nothing(wrong: str) -> None:
    assert read(wrong, ISSUER, STATE) is None


def test_the_page_is_on_its_way_before_the_command_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that ends when it has its answer would take the page with it."""
    with listening(ISSUER, STATE) as (redirect_uri, arrivals):
        came_early = []

        def answer(self: http.server.BaseHTTPRequestHandler, *args: object) -> None:
            came_early.append(not arrivals.empty())
            end_headers(self)

        end_headers = http.server.BaseHTTPRequestHandler.end_headers
        monkeypatch.setattr(http.server.BaseHTTPRequestHandler, "end_headers", answer)
        with urllib.request.urlopen(redirect_uri.removesuffix("/callback") + target(), timeout=60) as page:
            assert b"Back to the terminal" in page.read()
        assert arrivals.get(timeout=60) == Brought("flo_1", "")
        assert came_early == [False]
