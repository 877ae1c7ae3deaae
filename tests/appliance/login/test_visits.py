"""What may come of a URL or a form, without a browser."""

from __future__ import annotations

import pytest

from appliance.core.problems import ProblemError
from appliance.login.authorizing import loopback
from appliance.login.visits import (
    HOME,
    SESSION_COOKIE,
    Visit,
    challenge_of,
    check_form,
    derived,
    label,
    next_path,
    origin_of,
)

URL = "https://fairlead.example.com"


@pytest.mark.parametrize(
    ("asked", "onwards"),
    [
        ("/fairlead/device?code=BCDF-GHJK", "/fairlead/device?code=BCDF-GHJK"),
        ("/fairlead/authorize?x=y", "/fairlead/authorize?x=y"),
        ("/fairlead/setup", "/fairlead/setup"),
        (None, HOME),
        ("", HOME),
        ("https://evil.example.com/", HOME),
        ("//evil.example.com/fairlead/device", HOME),
        ("/\\evil.example.com", HOME),
        ("/fairlead/device\r\nSet-Cookie: x=y", HOME),
        ("/fairlead/device/../../api", HOME),
        ("/fairlead/authorize?" + "x" * 5000, HOME),
    ],
)
def test_a_sign_in_leads_back_to_our_own_pages_only(asked: str | None, onwards: str) -> None:
    assert next_path(asked) == onwards


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("http://127.0.0.1:1/callback", True),
        ("http://[::1]:65535/callback", True),
        ("http://127.0.0.1:65536/callback", False),
        ("http://127.0.0.1:0/callback", False),
        ("http://127.0.0.1/callback", False),
        ("https://127.0.0.1:1/callback", False),
        ("http://127.0.0.2:1/callback", False),
        ("http://localhost:1/callback", False),
        ("http://127.0.0.1:1/callback?x", False),
        ("http://127.0.0.1:1/callback#x", False),
        ("http://127.0.0.1:1/callback\n", False),
        ("http://x@127.0.0.1:1/callback", False),
    ],
)
def test_a_command_listens_on_this_machine_only(url: str, fits: bool) -> None:
    assert loopback(url) is fits


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        (URL, URL),
        (f"{URL}:443", URL),
        (f"{URL}:8443", f"{URL}:8443"),
        ("http://127.0.0.1:4000/callback", "http://127.0.0.1:4000"),
        ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443"),
    ],
)
def test_origins_are_as_browsers_write_them(url: str, origin: str) -> None:
    assert origin_of(url) == origin


def visit(proof: str = "", origin: str | None = URL, cookie: str = "c" * 43) -> Visit:
    return Visit({}, {}, {"proof": proof}, {SESSION_COOKIE: cookie}, origin, "192.0.2.1", 0, "x")


def test_a_form_is_believed_with_its_secret_and_from_our_origin() -> None:
    secret = visit().cookie(SESSION_COOKIE)
    assert secret is not None
    good = derived(secret, "form")
    check_form(visit(good), secret, URL)
    for bad, known in (
        (visit(), secret),
        (visit(derived("other" * 9, "form")), secret),
        (visit(derived(secret, "nonce")), secret),
        (visit("é"), secret),
        (visit(good, "https://evil.example.com"), secret),
        (visit(good, "null"), secret),
        (visit(good, None), secret),
        (visit(good), None),
    ):
        with pytest.raises(ProblemError):
            check_form(bad, known, URL)


def test_a_cookie_that_cannot_be_ours_is_none() -> None:
    assert visit(cookie="x").cookie(SESSION_COOKIE) is None
    assert visit(cookie="c" * 43 + ";").cookie(SESSION_COOKIE) is None


def test_what_a_client_calls_itself_is_one_short_line() -> None:
    assert label("build\r\nbox\x1b[2J" + "x" * 100) == ("buildbox[2J" + "x" * 100)[:64]
    assert label(None) == ""


def test_the_challenge_is_that_of_the_rfc() -> None:
    """RFC 7636, appendix B."""
    assert challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
