"""The pages that answers link to, as they are served."""

from __future__ import annotations

import re

import pytest

from appliance.core.problems import Code, Problem
from appliance.front.help import load
from appliance.front.replies import HELP_PREFIX, Reply, plain_reply, proxy_reply

URL = "https://fairlead.example.com"
BROWSER = ((b"Accept", b"text/html,application/xhtml+xml,*/*;q=0.8"),)
LINK = re.compile(rb"<https://fairlead\.example\.com(/[^>]+)>; rel=\"help\"")


def header(reply: Reply, name: bytes) -> bytes:
    return dict(reply.headers)[name]


@pytest.mark.parametrize("code", Code)
def test_every_refusal_links_to_a_page_about_it(code: Code) -> None:
    refusal = Problem(code, "A sentence.")
    for reply in (
        plain_reply(refusal, b"0" * 32, URL),
        proxy_reply(refusal, b"/api/v1/pods", b"0" * 32, URL),
        proxy_reply(refusal, b"/api", b"0" * 32, URL),
    ):
        link = LINK.fullmatch(header(reply, b"Link"))
        assert link is not None
        text, html = load().reply(link[1], ()), load().reply(link[1], BROWSER)
        assert (text.status, text.body.splitlines()[0]) == (200, f"# {code}".encode())
        assert (html.status, f"<h1>{code}</h1>".encode() in html.body) == (200, True)
        assert (header(text, b"Content-Type"), header(html, b"Content-Type")) == (
            b"text/plain; charset=utf-8",
            b"text/html; charset=utf-8",
        )


def test_a_page_runs_no_script_and_may_be_kept() -> None:
    html = load().reply(HELP_PREFIX + b"FORBIDDEN?x=y", BROWSER)
    assert b"script-src" not in header(html, b"Content-Security-Policy")
    assert header(html, b"Content-Security-Policy").startswith(b"default-src 'none'; style-src 'self'")
    assert (header(html, b"Vary"), b"max-age" in header(html, b"Cache-Control")) == (b"Accept", True)
    assert b"{cluster}" in html.body
    assert header(html, b"Content-Length") == b"%d" % len(html.body)


def test_all_codes_are_listed_and_an_unknown_one_is_not_there() -> None:
    every = load().reply(HELP_PREFIX, BROWSER)
    assert all(f'<a href="{code}">'.encode() in every.body for code in Code)
    assert load().reply(HELP_PREFIX, ()).body.split() == [code.encode() for code in Code]
    for name in (b"NOTHING", b"../FORBIDDEN", b"forbidden", b"\xff"):
        gone = load().reply(HELP_PREFIX + name, BROWSER)
        assert (gone.status, gone.body) == (404, b"There is no error code of this name.\n")
